//! A running schedule: where each thread is, and which threads wait for which.

use std::{
    collections::HashSet,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    failure::{Reason, ScheduleError},
    plan::{At, Plan, Progress},
    role::{Actor, Role},
};
use crate::{
    interleave::thread_group::ThreadGroup,
    points::{Suspension, SyncEvent},
    validator::{self, LockId, tasks},
};

pub(super) struct Run {
    pub(super) state: Mutex<State>,
    pub(super) changed: Condvar,
    pub(super) deadline: Instant,
    /// The threads that may come in by their names.
    pub(super) family: ThreadGroup,
}

pub(super) struct State {
    pub(super) plan: Plan,
    pub(super) roles: Vec<Role>,
    failed: Option<ScheduleError>,
    /// The schedule is over: no thread waits any more.
    pub(super) closed: bool,
    /// Abandon the schedule if a lock of the program keeps it from being followed.
    yields_to_locks: bool,
    /// How many threads have come in.
    came: u64,
    pub(super) suspended: Vec<Suspended>,
}

/// A future that is suspended before events.
pub(super) struct Suspended {
    /// The key of its task.
    pub(super) actor: u64,
    pub(super) events: Vec<At>,
    pub(super) suspension: Arc<Suspension>,
}

/// Distinguishes the operations of one thread that have begun and not ended.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum EventKind {
    Point,
    Acquire(LockId),
    Wait(LockId),
    Release(LockId),
}

impl From<&SyncEvent<'_>> for EventKind {
    fn from(sync_event: &SyncEvent<'_>) -> Self {
        match sync_event {
            SyncEvent::Point(_) => Self::Point,
            SyncEvent::Acquire(entry) => Self::Acquire(entry.tag.lock()),
            SyncEvent::Wait(entry, _) => Self::Wait(entry.tag.lock()),
            SyncEvent::Release(entry) => Self::Release(entry.tag.lock()),
        }
    }
}

impl Run {
    pub(super) fn new(
        plan: Plan,
        timeout: Duration,
        yields_to_locks: bool,
        family: ThreadGroup,
    ) -> Self {
        let mut state = State {
            plan,
            roles: Vec::new(),
            failed: None,
            closed: false,
            yields_to_locks,
            came: 0,
            suspended: Vec::new(),
        };
        for at in state.plan.events() {
            let name = state.plan.event(at).role.clone();
            state.role(&name);
        }
        // A timeout that the clock cannot represent means none.
        let deadline = Instant::now().checked_add(timeout);
        let never = || Instant::now() + Duration::from_hours(24 * 365);
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
            deadline: deadline.unwrap_or_else(never),
            family,
        }
    }

    /// Waits until all events are passed, or the missing ones can no longer happen.
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
        self.let_go(state);
    }

    /// Wakes threads and tasks whose turn may have come.
    pub(super) fn let_go(&self, state: &State) {
        self.changed.notify_all();
        let may_go_on = |it: &&Suspended| state.first_missing_before(&it.events).is_none();
        for suspended in state.suspended.iter().filter(may_go_on) {
            suspended.suspension.resume();
        }
    }

    /// Releases all threads and returns the failure, if any.
    pub(super) fn close(&self) -> Option<ScheduleError> {
        let mut state = self.state.lock();
        state.closed = true;
        self.let_go(&state);
        state.failed.take()
    }
}

impl State {
    /// Returns the index of a role, adding it if it is new.
    pub(super) fn role(&mut self, name: &str) -> usize {
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

    /// Returns `true` if it has an event of this role.
    pub(super) fn orders(&self, role: &str) -> bool {
        self.plan.events().iter().any(|&at| *self.plan.event(at).role == *role)
    }

    /// Returns `true` if an event of this role is missing.
    fn is_wanted(&self, role: &Role) -> bool {
        let is_missing = |at: &At| self.plan.progress(*at) != Progress::Passed;
        self.plan
            .events()
            .into_iter()
            .filter(is_missing)
            .any(|at| self.plan.event(at).role == role.name)
    }

    /// Returns the first missing event in topological order, so that nothing blocks it.
    fn first_missing(&self) -> At {
        let mut events = self.plan.events().into_iter();
        let first = events.find(|&at| self.plan.progress(at) != Progress::Passed);
        first.expect("some event is missing")
    }

    /// Returns the first missing event that must be passed before one of these. Returns `None` as
    /// well if the schedule is over.
    pub(super) fn first_missing_before(&self, events: &[At]) -> Option<At> {
        let missing = events.iter().find_map(|&at| self.plan.missing(at).next());
        missing.filter(|_| !self.closed && self.failed.is_none())
    }

    /// Records that the schedule cannot be followed. All threads run freely from then on.
    pub(super) fn fail(&mut self, reason: Reason) {
        if self.failed.is_none() && !self.closed {
            self.failed = Some(ScheduleError::new(reason, &self.plan, &self.roles));
        }
    }

    /// Registers a thread in a role and returns its key.
    pub(super) fn begin(&mut self, role: usize) -> u64 {
        self.came += 1;
        let key = self.came;
        let role = &mut self.roles[role];
        role.has_begun = true;
        role.numbers.extend(validator::current().map(|context| context.info().number()));
        role.actors.push(Actor {
            key,
            waits: Vec::new(),
            blocked: None,
            holds: Vec::new(),
            is_moving: true,
            task: tasks::acted_as().map(|task| Arc::downgrade(&task)),
            blocks_thread: false,
        });
        key
    }

    /// Fails if a thread waits for an event that can no longer happen.
    pub(super) fn look_for_a_dead_end(&mut self) {
        let Some((waiting, lost)) = self.dead_end() else { return };
        let is_locked_out = self.role_of(lost).is_some_and(|role| role.blocked().is_some());
        if is_locked_out && self.yields_to_locks {
            self.closed = true;
        } else {
            self.fail(Reason::DeadEnd { waiting, lost });
        }
    }

    /// Returns an event before which a thread waits, and the impossible event for which it waits.
    fn dead_end(&self) -> Option<(At, At)> {
        let may_go_on = self.who_may_go_on();
        let actors = self.roles.iter().flat_map(|role| &role.actors);
        let stuck = actors.filter(|actor| !may_go_on.contains(&actor.key));
        let waits = stuck.flat_map(|actor| &actor.waits);
        let mut missing =
            waits.flat_map(|&at| self.plan.missing(at).map(move |before| (at, before)));
        missing.find(|&(_, before)| !self.may_come(before, &may_go_on))
    }

    /// Returns the keys of the threads that do not wait, or only wait for threads of this set.
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
        if actor.is_moving || self.may_be_woken(actor) {
            return true;
        }
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

    /// Returns `true` for a task that may be woken by something other than this schedule and its locks.
    fn may_be_woken(&self, actor: &Actor) -> bool {
        let Some(task) = actor.task.as_ref().and_then(Weak::upgrade) else { return false };
        let is_own = |it: &&Suspended| it.actor == actor.key && it.suspension.wakes_task();
        let own = self.suspended.iter().filter(is_own).count();
        !actor.blocks_thread && !task.is_woken_only_by(own as u64)
    }

    /// Returns `true` if a thread may still reach the event: a present one, or an expected one.
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
