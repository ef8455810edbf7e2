//! A schedule that is being followed: who is where, and who waits for whom.

use std::{
    cell::RefCell,
    rc::Rc,
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    failure::{Reason, Unfollowed},
    plan::{At, Plan, Progress},
};
use crate::{
    finding::{ThreadInfo, Until},
    interleave::{family::Family, point::describe},
    points::{self, Part, Passage, Script},
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
}

/// A thread of the schedule, or several that came in one role.
pub(super) struct Role {
    pub(super) name: Box<str>,
    /// How many threads there are in it.
    players: usize,
    /// How many more were announced.
    expected: usize,
    has_begun: bool,
    /// The events before which it waits.
    pub(super) waits: Vec<At>,
    /// The numbers of its threads, as the validator has them.
    numbers: Vec<u64>,
    /// The lock that it waits for, and the wait in words.
    blocked: Option<(LockId, String)>,
    holds: Vec<LockId>,
    pub(super) last: Option<String>,
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
        let mut state =
            State { plan, roles: Vec::new(), failed: None, closed: false, yields_to_locks };
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
            let may_come = |role: &Role| !role.is_over() && role.players + role.expected > 0;
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
                players: 0,
                expected: 0,
                has_begun: false,
                waits: Vec::new(),
                numbers: Vec::new(),
                blocked: None,
                holds: Vec::new(),
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

    /// Fails if some role waits for what can no longer come.
    fn look_for_a_dead_end(&mut self) {
        // Who may go on: those that do not wait, and those that wait only for such.
        let mut may_go_on = vec![false; self.roles.len()];
        loop {
            let mut is_new = false;
            for number in 0..self.roles.len() {
                if !may_go_on[number] && self.could_go_on(&self.roles[number], &may_go_on) {
                    may_go_on[number] = true;
                    is_new = true;
                }
            }
            if !is_new {
                break;
            }
        }
        let stuck = |(number, role): &(usize, &Role)| !role.waits.is_empty() && !may_go_on[*number];
        let Some((_, role)) = self.roles.iter().enumerate().find(stuck) else { return };
        let wanted = role.waits.iter().copied();
        let missing = wanted.flat_map(|at| self.plan.missing(at).map(move |before| (at, before)));
        let is_lost = |&(_, before): &(At, At)| {
            let of = self.roles.iter().position(|role| role.name == self.plan.event(before).role);
            of.is_none_or(|of| !may_go_on[of])
        };
        let dead_end = missing.into_iter().find(is_lost);
        let Some((waiting, lost)) = dead_end else { return };
        let is_locked_out = self
            .roles
            .iter()
            .any(|role| role.name == self.plan.event(lost).role && role.blocked().is_some());
        if is_locked_out && self.yields_to_locks {
            self.closed = true;
        } else {
            self.fail(Reason::DeadEnd { waiting, lost });
        }
    }

    fn could_go_on(&self, role: &Role, may_go_on: &[bool]) -> bool {
        let may = |name: &str| {
            let of = self.roles.iter().position(|role| *role.name == *name);
            of.is_some_and(|of| may_go_on[of])
        };
        if role.has_begun && role.players + role.expected == 0 {
            return false;
        }
        if let Some((lock, _)) = &role.blocked {
            let holder = self.roles.iter().find(|other| other.holds.contains(lock));
            if let Some(holder) = holder {
                return may(&holder.name);
            }
        }
        let mut missing = role.waits.iter().flat_map(|&at| self.plan.missing(at));
        missing.all(|before| may(&self.plan.event(before).role))
    }
}

impl Role {
    fn begin(&mut self) {
        self.players += 1;
        self.has_begun = true;
        self.numbers.extend(validator::current().map(|context| context.info().number()));
    }

    /// Whether there were threads in it, and no longer are.
    pub(super) fn is_over(&self) -> bool {
        self.has_begun && self.players + self.expected == 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn has(&self, thread: &ThreadInfo) -> bool {
        self.numbers.contains(&thread.number())
    }

    /// The wait for a lock that keeps it, in words.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.blocked.as_ref().map(|(_, wait)| &**wait)
    }
}

/// A thread in a role.
struct Player {
    stage: Arc<Stage>,
    role: usize,
    /// The events that it has begun, and by which passage.
    begun: RefCell<Vec<(At, Deed)>>,
}

impl Player {
    fn part(stage: Arc<Stage>, role: usize) -> Rc<dyn Part> {
        Rc::new(Self { stage, role, begun: RefCell::default() })
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
        let role = state.roles.iter().position(|role| *role.name == *name)?;
        let is_free = state.roles[role].players + state.roles[role].expected == 0;
        if state.closed || !is_free || !self.family.may_employ_this_thread() {
            return None;
        }
        state.roles[role].begin();
        drop(state);
        Some(Player::part(self, role))
    }

    fn role(self: Arc<Self>, name: &str) -> Rc<dyn Part> {
        let mut state = self.state.lock();
        let role = state.role(name);
        state.roles[role].begin();
        drop(state);
        Player::part(self, role)
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
            state.roles[self.role].waits.extend(&events);
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
            state.roles[self.role].waits.retain(|at| !events.contains(at));
        }
        if let Passage::Wait(entry, Until::Acquired) = passage {
            state.roles[self.role].blocked = Some((entry.tag.lock(), describe(passage)));
            state.look_for_a_dead_end();
            changed.notify_all();
        }
    }

    fn passed(&self, passage: &Passage<'_>) {
        let state = &mut self.stage.state.lock();
        if state.closed {
            return;
        }
        let deed = Deed::from(passage);
        self.pass(state, |begun| begun == deed);
        let role = &mut state.roles[self.role];
        role.last = Some(describe(passage));
        match passage {
            Passage::Acquire(entry) => {
                role.blocked = None;
                let lock = entry.tag.lock();
                let context = validator::current_if_attached();
                if context
                    .is_some_and(|context| context.held.iter().any(|it| it.tag.lock() == lock))
                {
                    role.holds.push(lock);
                }
            }
            Passage::Release(entry) => {
                let lock = entry.tag.lock();
                let at = role.holds.iter().rposition(|&held| held == lock);
                at.map(|at| role.holds.remove(at));
            }
            Passage::Point(_) | Passage::Wait(..) => {}
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        validator::inside(|| {
            let state = &mut self.stage.state.lock();
            self.pass(state, |_| true);
            state.roles[self.role].players -= 1;
            state.look_for_a_dead_end();
        });
    }
}

/// The names of the threads of schedules that are followed right now.
static RESERVED: Mutex<Vec<Box<str>>> = Mutex::new(Vec::new());
static GIVEN_BACK: Condvar = Condvar::new();

/// Names that no other schedule uses meanwhile.
pub(super) struct Reserved(Vec<Box<str>>);

/// Waits until no other schedule has threads of these names.
#[track_caller]
pub(super) fn reserve(plan: &Plan) -> Reserved {
    /// Longer than any test should take that has one of the names.
    const PATIENCE: Duration = Duration::from_mins(1);

    let mut names: Vec<_> =
        plan.events().into_iter().map(|at| plan.event(at).role.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let mut reserved = RESERVED.lock();
    while let Some(taken) = reserved.iter().find(|name| names.contains(name)) {
        let taken = taken.clone();
        let is_within_itself = points::script().is_some_and(|script| script.has_role(&taken));
        if is_within_itself || GIVEN_BACK.wait_for(&mut reserved, PATIENCE).timed_out() {
            drop(reserved);
            panic!("another schedule runs that has a thread `{taken}`: rename one of the two");
        }
    }
    reserved.extend(names.iter().cloned());
    Reserved(names)
}

impl Drop for Reserved {
    fn drop(&mut self) {
        RESERVED.lock().retain(|name| !self.0.contains(name));
        GIVEN_BACK.notify_all();
    }
}
