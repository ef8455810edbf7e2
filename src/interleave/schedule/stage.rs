//! A schedule that is being followed: who is where, and who waits for whom.

use std::{
    cell::RefCell,
    collections::HashSet,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    failure::{Reason, Unfollowed},
    plan::{At, Plan, Progress},
    role::{Actor, Role},
};
use crate::{
    finding::Until,
    interleave::{family::Family, point::describe},
    points::{Part, Passage, Script},
    validator::{self, LockId},
};

pub(super) struct Stage {
    state: Mutex<State>,
    changed: Condvar,
    deadline: Instant,
    /// Whose threads may come by their names.
    family: Family,
}

struct State {
    plan: Plan,
    roles: Vec<Role>,
    failed: Option<Unfollowed>,
    /// The schedule is over: nobody waits any more.
    closed: bool,
    /// Whether it is over where a lock of the program does not let it be followed.
    yields_to_locks: bool,
    /// How many threads have come.
    came: u64,
}

/// What tells a passage from others of one thread, from its arrival to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    Point,
    Acquire(LockId),
    Wait(LockId),
    Release(LockId),
}

impl From<&Passage<'_>> for Deed {
    fn from(passage: &Passage<'_>) -> Self {
        match passage {
            Passage::Point(_) => Self::Point,
            Passage::Acquire(entry) => Self::Acquire(entry.tag.lock()),
            Passage::Wait(entry, _) => Self::Wait(entry.tag.lock()),
            Passage::Release(entry) => Self::Release(entry.tag.lock()),
        }
    }
}

impl Stage {
    pub(super) fn new(plan: Plan, limit: Duration, yields_to_locks: bool, family: Family) -> Self {
        let mut state = State {
            plan,
            roles: Vec::new(),
            failed: None,
            closed: false,
            yields_to_locks,
            came: 0,
        };
        for at in state.plan.events() {
            let name = state.plan.event(at).role.clone();
            state.role(&name);
        }
        // A limit too long for a clock is none.
        let deadline = Instant::now().checked_add(limit);
        let never = || Instant::now() + Duration::from_hours(24 * 365);
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            deadline: deadline.unwrap_or_else(never),
            family,
        }
    }

    /// Waits until all events are passed, or those that are not never will be.
    pub(super) fn wait_for_the_end(&self) {
        let state = &mut self.state.lock();
        while state.failed.is_none() && !state.closed && !state.plan.is_followed() {
            let missing = state.first_missing();
            let may_come = |role: &Role| !role.actors.is_empty() || role.expected > 0;
            if !state.roles.iter().any(|role| state.is_wanted(role) && may_come(role)) {
                state.fail(Reason::NeverPassed(missing));
            } else if self.changed.wait_until(state, self.deadline).timed_out() {
                state.fail(Reason::TooLate(missing));
            }
        }
        self.changed.notify_all();
    }

    /// Lets all go, and says what went wrong.
    pub(super) fn close(&self) -> Option<Unfollowed> {
        let mut state = self.state.lock();
        state.closed = true;
        self.changed.notify_all();
        state.failed.take()
    }
}

impl State {
    /// The number of a role, added if it is new.
    fn role(&mut self, name: &str) -> usize {
        let known = self.roles.iter().position(|role| *role.name == *name);
        known.unwrap_or_else(|| {
            self.roles.push(Role {
                name: name.into(),
                actors: Vec::new(),
                expected: 0,
                has_begun: false,
                numbers: Vec::new(),
                last: None,
            });
            self.roles.len() - 1
        })
    }

    /// Whether some event of a role is not passed yet.
    fn is_wanted(&self, role: &Role) -> bool {
        let is_missing = |at: &At| self.plan.progress(*at) != Progress::Passed;
        self.plan
            .events()
            .into_iter()
            .filter(is_missing)
            .any(|at| self.plan.event(at).role == role.name)
    }

    /// The first event that is not passed, of those that nothing keeps from it.
    fn first_missing(&self) -> At {
        let mut events = self.plan.events().into_iter();
        let first = events.find(|&at| self.plan.progress(at) != Progress::Passed);
        first.expect("some event is missing")
    }

    /// The schedule cannot be followed. All go on as they like.
    fn fail(&mut self, reason: Reason) {
        if self.failed.is_none() && !self.closed {
            self.failed = Some(Unfollowed::new(reason, &self.plan, &self.roles));
        }
    }

    /// A thread comes in a role, and has this key from now on.
    fn begin(&mut self, role: usize) -> u64 {
        self.came += 1;
        let key = self.came;
        let role = &mut self.roles[role];
        role.has_begun = true;
        role.numbers.extend(validator::current().map(|context| context.info().number()));
        role.actors.push(Actor { key, waits: Vec::new(), blocked: None, holds: Vec::new() });
        key
    }

    /// Fails if some thread waits for what can no longer come.
    fn look_for_a_dead_end(&mut self) {
        let Some((waiting, lost)) = self.dead_end() else { return };
        let is_locked_out = self.role_of(lost).is_some_and(|role| role.blocked().is_some());
        if is_locked_out && self.yields_to_locks {
            self.closed = true;
        } else {
            self.fail(Reason::DeadEnd { waiting, lost });
        }
    }

    /// An event before which a thread waits, and the one for which it waits in vain.
    fn dead_end(&self) -> Option<(At, At)> {
        let may_go_on = self.who_may_go_on();
        let actors = self.roles.iter().flat_map(|role| &role.actors);
        let stuck = actors.filter(|actor| !may_go_on.contains(&actor.key));
        let waits = stuck.flat_map(|actor| &actor.waits);
        let mut missing =
            waits.flat_map(|&at| self.plan.missing(at).map(move |before| (at, before)));
        missing.find(|&(_, before)| !self.may_come(before, &may_go_on))
    }

    /// The keys of the threads that do not wait, or only for such.
    fn who_may_go_on(&self) -> HashSet<u64> {
        let mut may_go_on = HashSet::new();
        loop {
            let actors = self.roles.iter().flat_map(|role| &role.actors);
            let new = actors
                .filter(|actor| !may_go_on.contains(&actor.key))
                .find(|actor| self.could_go_on(actor, &may_go_on));
            match new {
                Some(actor) => may_go_on.insert(actor.key),
                None => return may_go_on,
            };
        }
    }

    fn could_go_on(&self, actor: &Actor, may_go_on: &HashSet<u64>) -> bool {
        if let Some((wanted, _)) = &actor.blocked {
            let blocks = |other: &&Actor| {
                other.key != actor.key
                    && other.holds.iter().any(|&held| validator::blocks(held, *wanted))
            };
            let mut blocking = self.roles.iter().flat_map(|role| &role.actors).filter(blocks);
            return blocking.all(|other| may_go_on.contains(&other.key));
        }
        let mut missing = actor.waits.iter().flat_map(|&at| self.plan.missing(at));
        missing.all(|before| self.may_come(before, may_go_on))
    }

    /// Whether some thread may still come to an event: one that is there, or one to come.
    fn may_come(&self, at: At, may_go_on: &HashSet<u64>) -> bool {
        self.role_of(at).is_some_and(|role| {
            let is_to_come = !role.has_begun || role.expected > role.actors.len();
            is_to_come || role.actors.iter().any(|actor| may_go_on.contains(&actor.key))
        })
    }

    fn role_of(&self, at: At) -> Option<&Role> {
        self.roles.iter().find(|role| role.name == self.plan.event(at).role)
    }
}

/// A thread in a role.
struct Player {
    stage: Arc<Stage>,
    role: usize,
    key: u64,
    /// The events that it has begun, and by which passage.
    begun: RefCell<Vec<(At, Deed)>>,
}

impl Player {
    fn part(stage: Arc<Stage>, role: usize, key: u64) -> Rc<dyn Part> {
        Rc::new(Self { stage, role, key, begun: RefCell::default() })
    }

    /// The thread as the schedule knows it, with what it holds now.
    fn actor<'a>(&self, state: &'a mut State) -> Option<&'a mut Actor> {
        let actor = state.roles[self.role].actors.iter_mut().find(|it| it.key == self.key)?;
        if let Some(context) = validator::current_if_attached() {
            actor.holds.clear();
            actor.holds.extend(context.held.iter().map(|held| held.tag));
        }
        Some(actor)
    }

    /// The events that this has begun are passed.
    fn pass(&self, state: &mut State, which: impl Fn(Deed) -> bool) {
        self.begun.borrow_mut().retain(|&(at, deed)| {
            let is_passed = which(deed);
            if is_passed {
                state.plan.pass(at);
            }
            !is_passed
        });
        self.stage.changed.notify_all();
    }
}

impl Script for Stage {
    fn cast(self: Arc<Self>) -> Option<Rc<dyn Part>> {
        let thread = thread::current();
        let name = thread.name()?;
        let mut state = self.state.lock();
        let at = state.roles.iter().position(|role| *role.name == *name)?;
        let role = &state.roles[at];
        let is_free = role.actors.is_empty() && role.expected == 0;
        // One that it does not order may be another schedule's.
        let is_ordered =
            || state.plan.events().iter().any(|&at| *state.plan.event(at).role == *name);
        if state.closed || !is_free || !is_ordered() || !self.family.may_employ_this_thread() {
            return None;
        }
        let key = state.begin(at);
        drop(state);
        Some(Player::part(self, at, key))
    }

    fn role(self: Arc<Self>, name: &str) -> Rc<dyn Part> {
        let mut state = self.state.lock();
        let role = state.role(name);
        let key = state.begin(role);
        drop(state);
        Player::part(self, role, key)
    }

    fn expect(&self, name: &str) {
        let mut state = self.state.lock();
        let role = state.role(name);
        state.roles[role].expected += 1;
    }

    fn expect_no_longer(&self, name: &str) {
        let mut state = self.state.lock();
        let role = state.role(name);
        state.roles[role].expected -= 1;
        state.look_for_a_dead_end();
        self.changed.notify_all();
    }

    fn has_role(&self, name: &str) -> bool {
        self.state.lock().roles.iter().any(|role| *role.name == *name)
    }
}

impl Part for Player {
    fn script(&self) -> Arc<dyn Script> {
        Arc::clone(&self.stage) as _
    }

    fn is_over(&self) -> bool {
        self.stage.state.lock().closed
    }

    fn arrives(&self, passage: &Passage<'_>, may_block: bool) {
        let Stage { state, changed, deadline, .. } = &*self.stage;
        let state = &mut state.lock();
        if state.closed {
            return;
        }
        // An acquisition that was neither made nor given up, as it was denied, is over when the
        // thread does anything else.
        if !matches!(passage, Passage::Wait(..)) {
            self.pass(state, |deed| matches!(deed, Deed::Acquire(_)));
        }
        let name = state.roles[self.role].name.clone();
        let events = state.plan.arrive(&name, passage);
        self.begun.borrow_mut().extend(events.iter().map(|&at| (at, passage.into())));
        if events.iter().any(|&at| state.plan.missing(at).next().is_some()) && may_block {
            if let Some(actor) = self.actor(state) {
                actor.waits.extend(&events);
            }
            state.look_for_a_dead_end();
            let is_early = |state: &State| {
                let missing = |&at: &At| state.plan.missing(at).next();
                let first = events.iter().find_map(missing);
                first.filter(|_| !state.closed && state.failed.is_none())
            };
            while let Some(missing) = is_early(state) {
                if changed.wait_until(state, *deadline).timed_out() {
                    state.fail(Reason::TooLate(missing));
                }
            }
            changed.notify_all();
            if let Some(actor) = self.actor(state) {
                actor.waits.clear();
            }
        }
        if let Some(actor) = self.actor(state) {
            actor.blocked = match passage {
                Passage::Wait(entry, Until::Acquired) => Some((entry.tag, describe(passage))),
                _ => None,
            };
            if actor.blocked.is_some() {
                state.look_for_a_dead_end();
                changed.notify_all();
            }
        }
    }

    fn passed(&self, passage: &Passage<'_>) {
        let state = &mut self.stage.state.lock();
        if state.closed {
            return;
        }
        let deed = Deed::from(passage);
        self.pass(state, |begun| begun == deed);
        state.roles[self.role].last = Some(describe(passage));
        if let Some(actor) = self.actor(state)
            && !matches!(passage, Passage::Wait(..))
        {
            actor.blocked = None;
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        validator::inside(|| {
            let state = &mut self.stage.state.lock();
            self.pass(state, |_| true);
            state.roles[self.role].actors.retain(|actor| actor.key != self.key);
            state.look_for_a_dead_end();
        });
    }
}
