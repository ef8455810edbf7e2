//! A thread or a task in a role of a schedule.

use std::{
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use super::{
    failure::Reason,
    plan::At,
    role::Actor,
    run::{EventKind, Run, State, Suspended},
};
use crate::{
    finding::Until,
    interleave::point::describe,
    points::{Controller, Participant, Stop, Suspension, SyncEvent},
    validator::{self, Context, Tag, tasks},
};

/// How often a suspended task checks for a dead end: the drop of a waker may have made another task
/// stuck without an event in the schedule.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

pub(super) struct Player {
    run: Arc<Run>,
    role: usize,
    key: u64,
    /// The thread's number in the validator.
    number: Option<u64>,
    is_task: bool,
    /// The events that it has begun, with their operations.
    begun: Mutex<Vec<(At, EventKind)>>,
}

impl Player {
    /// Returns the part of the calling thread or task, which has arrived in a role under this key.
    pub(super) fn part(run: Arc<Run>, role: usize, key: u64) -> Arc<dyn Participant> {
        let number = validator::current().map(Context::number);
        let is_task = tasks::acted_as().is_some();
        Arc::new(Self { run, role, key, number, is_task, begun: Mutex::default() })
    }

    /// Returns the schedule's state of the thread, after updating the locks that it holds.
    fn actor<'a>(&self, state: &'a mut State) -> Option<&'a mut Actor> {
        let actor = state.roles[self.role].actors.iter_mut().find(|it| it.key == self.key)?;
        // The future of a task may be dropped on another thread.
        if let Some(context) = validator::current_if_attached()
            && Some(context.number()) == self.number
        {
            let loosely = if self.is_task { tasks::all_held_loosely() } else { Vec::new() };
            actor.holds.clear();
            actor.holds.extend(context.held.iter().chain(loosely).map(|held| held.tag));
        }
        Some(actor)
    }

    /// Begins the events of a point and returns them.
    fn begin(&self, state: &mut State, sync_event: &SyncEvent<'_>) -> Vec<At> {
        // A denied acquisition neither succeeds nor is abandoned; it is over when the thread does
        // anything else. In a task, another future may still be acquiring.
        if !self.is_task && !matches!(sync_event, SyncEvent::Wait(..)) {
            self.pass(state, |kind| matches!(kind, EventKind::Acquire(_)));
        }
        let name = state.roles[self.role].name.clone();
        let events = state.plan.arrive(&name, sync_event);
        self.begun.lock().extend(events.iter().map(|&at| (at, sync_event.into())));
        events
    }

    /// Marks events that this thread has begun as passed.
    fn pass(&self, state: &mut State, which: impl Fn(EventKind) -> bool) {
        self.begun.lock().retain(|&(at, kind)| {
            let is_passed = which(kind);
            if is_passed {
                state.plan.pass(at);
            }
            !is_passed
        });
        self.run.let_go(state);
    }

    /// Blocks the thread until these events may happen.
    fn block(&self, state: &mut parking_lot::MutexGuard<'_, State>, events: &[At]) {
        if let Some(actor) = self.actor(state) {
            actor.waits.extend(events);
            actor.is_moving = false;
            actor.blocks_thread = self.is_task;
        }
        state.look_for_a_dead_end();
        self.run.let_go(state);
        while let Some(missing) = state.first_missing_before(events) {
            if self.run.changed.wait_until(state, self.run.deadline).timed_out() {
                state.fail(Reason::TooLate(missing));
            }
        }
        self.run.let_go(state);
        if let Some(actor) = self.actor(state) {
            actor.waits.clear();
            actor.is_moving = true;
            actor.blocks_thread = false;
        }
    }

    /// Continues from a point, possibly to wait for a lock.
    fn go_on(&self, state: &mut State, blocked: Option<(Tag, String)>) {
        if let Some(actor) = self.actor(state) {
            actor.blocked = blocked;
        }
    }
}

/// Returns the lock for which a thread or task waits once it continues from here.
fn blocked_by(sync_event: &SyncEvent<'_>) -> Option<(Tag, String)> {
    match sync_event {
        SyncEvent::Wait(entry, Until::Acquired) => Some((entry.tag, describe(sync_event))),
        _ => None,
    }
}

impl Participant for Player {
    fn controller(&self) -> Arc<dyn Controller> {
        Arc::clone(&self.run) as _
    }

    fn is_over(&self) -> bool {
        self.run.state.lock().closed
    }

    fn arrives(&self, sync_event: &SyncEvent<'_>, may_block: bool) {
        let state = &mut self.run.state.lock();
        if state.closed {
            return;
        }
        let events = self.begin(state, sync_event);
        if may_block && state.first_missing_before(&events).is_some() {
            self.block(state, &events);
        }
        let blocked = blocked_by(sync_event);
        let blocks = blocked.is_some();
        self.go_on(state, blocked);
        if blocks {
            if let Some(actor) = self.actor(state) {
                actor.is_moving = false;
                actor.blocks_thread = self.is_task;
            }
            state.look_for_a_dead_end();
            self.run.let_go(state);
        }
    }

    fn arrives_in_future(self: Arc<Self>, sync_event: &SyncEvent<'_>) -> Option<Box<dyn Stop>> {
        let state = &mut self.run.state.lock();
        if state.closed {
            return None;
        }
        let events = self.begin(state, sync_event);
        if state.first_missing_before(&events).is_none() {
            self.go_on(state, blocked_by(sync_event));
            return None;
        }
        // Whether this is a dead end is known only once the task is at rest.
        if let Some(actor) = self.actor(state) {
            actor.waits.extend(&events);
        }
        let suspension = Suspension::new();
        let suspended = Suspended {
            actor: self.key,
            events: events.clone(),
            suspension: Arc::clone(&suspension),
        };
        state.suspended.push(suspended);
        let player = Arc::clone(&self);
        Some(Box::new(Stopped { player, events, suspension, blocked: blocked_by(sync_event) }))
    }

    fn passed(&self, sync_event: &SyncEvent<'_>) {
        let state = &mut self.run.state.lock();
        if state.closed {
            return;
        }
        let kind = EventKind::from(sync_event);
        self.pass(state, |begun| begun == kind);
        state.roles[self.role].last = Some(describe(sync_event));
        if let Some(actor) = self.actor(state)
            && !matches!(sync_event, SyncEvent::Wait(..))
        {
            actor.blocked = None;
            actor.is_moving = true;
            actor.blocks_thread = false;
        }
    }

    fn resumes(&self) {
        let state = &mut self.run.state.lock();
        if let Some(actor) = self.actor(state) {
            actor.is_moving = true;
        }
    }

    fn rests(&self) {
        let state = &mut self.run.state.lock();
        if let Some(actor) = self.actor(state) {
            actor.is_moving = false;
        }
        state.look_for_a_dead_end();
        self.run.let_go(state);
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        validator::inside(|| {
            let state = &mut self.run.state.lock();
            self.pass(state, |_| true);
            state.roles[self.role].actors.retain(|actor| actor.key != self.key);
            state.look_for_a_dead_end();
            self.run.let_go(state);
        });
    }
}

/// A future that is suspended before events.
struct Stopped {
    player: Arc<Player>,
    events: Vec<At>,
    suspension: Arc<Suspension>,
    /// The lock for which it waits next.
    blocked: Option<(Tag, String)>,
}

impl Stop for Stopped {
    fn suspension(&self) -> &Suspension {
        &self.suspension
    }

    fn may_go_on(&mut self) -> bool {
        let run = &self.player.run;
        let state = &mut run.state.lock();
        if let Some(missing) = state.first_missing_before(&self.events) {
            let now = Instant::now();
            if now < run.deadline {
                self.suspension.wake_at(run.deadline.min(now + LOOK_AGAIN));
                return false;
            }
            state.fail(Reason::TooLate(missing));
            run.let_go(state);
        }
        self.player.go_on(state, self.blocked.take());
        true
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let state = &mut self.player.run.state.lock();
        state.suspended.retain(|it| !Arc::ptr_eq(&it.suspension, &self.suspension));
        if let Some(actor) = self.player.actor(state) {
            actor.waits.retain(|at| !self.events.contains(at));
        }
    }
}

impl Controller for Run {
    fn cast(self: Arc<Self>) -> Option<Arc<dyn Participant>> {
        // Tasks have no names, and the name of a thread is not that of the tasks it polls.
        if tasks::acted_as().is_some() {
            return None;
        }
        let thread = thread::current();
        let name = thread.name()?;
        let mut state = self.state.lock();
        let at = state.roles.iter().position(|role| *role.name == *name)?;
        let role = &state.roles[at];
        let is_free = role.actors.is_empty() && role.expected == 0;
        // A thread that this schedule does not order may belong to another.
        if state.closed || !is_free || !state.orders(name) || !self.family.may_employ_this_thread()
        {
            return None;
        }
        let key = state.begin(at);
        drop(state);
        Some(Player::part(self, at, key))
    }

    fn role(self: Arc<Self>, name: &str) -> Arc<dyn Participant> {
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
        self.let_go(&state);
    }

    fn has_role(&self, name: &str) -> bool {
        self.state.lock().roles.iter().any(|role| *role.name == *name)
    }

    fn admits(&self, name: &str) -> bool {
        let state = self.state.lock();
        !state.closed && state.orders(name) && self.family.may_employ_this_thread()
    }
}
