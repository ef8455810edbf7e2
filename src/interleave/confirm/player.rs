//! A thread or task that may take a part in the deadlock.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use parking_lot::Mutex;

use super::rendezvous::{Rendezvous, Status, Stop};
use crate::{
    finding::ScopeId,
    points::{self, Controller, Participant, Suspension, SyncEvent},
    upstream,
    validator::{self, Context, Entry, ThreadState},
};

pub(super) struct Player {
    rendezvous: Arc<Rendezvous>,
    /// The number of the thread once it has stopped; 0 before.
    stopped: AtomicU64,
    /// Set while the thread takes its part.
    taking: Mutex<Option<Taking>>,
}

/// A thread that takes its part.
struct Taking {
    number: u64,
    /// The thread's previous scope.
    scope: Option<ScopeId>,
}

impl Player {
    /// Starts to take the part: findings of the thread go to the attempt's scope, and none is
    /// denied until the deadlock has happened.
    fn begin(&self, context: &Context) {
        let scope = validator::set_scope(Some(self.rendezvous.scope));
        *self.taking.lock() = Some(Taking { number: context.number(), scope });
        context.set(ThreadState::Confirming, true);
    }

    fn end(&self) {
        let Some(Taking { number, scope }) = self.taking.lock().take() else { return };
        // The future of a task may be dropped on another thread.
        if let Some(context) = validator::current_if_attached()
            && context.number() == number
        {
            validator::set_scope(scope);
            context.set(ThreadState::Confirming, false);
        }
    }

    /// Handles the arrival at a point. Returns the stop if the thread has a part here.
    fn arrive(&self, event: &SyncEvent<'_>) -> Option<(&'static Context, Stop)> {
        if matches!(event, SyncEvent::Wait(..)) {
            return None;
        }
        self.end();
        let (SyncEvent::Acquire(wanted), Some(context)) = (event, validator::current()) else {
            return None;
        };
        // A deadlock where no panic is possible could not be broken.
        if upstream::retakes_locks(wanted.site.file()) {
            return None;
        }
        let stop = self.stop_at(context, wanted)?;
        self.stopped.store(context.number(), Relaxed);
        Some((context, stop))
    }

    fn stop_at(&self, context: &Context, wanted: &Entry) -> Option<Stop> {
        let holds = self.rendezvous.holds(context, wanted);
        let is_part = holds.iter().any(|held| !held.is_empty());
        is_part.then(|| Stop {
            thread: context.info(),
            holds,
            wants: wanted.tag.lock(),
            at: Status::Stopped,
            suspension: None,
        })
    }
}

impl Controller for Rendezvous {
    fn cast(self: Arc<Self>) -> Option<Arc<dyn Participant>> {
        self.family.may_employ_this_thread().then(|| self.role(""))
    }

    fn role(self: Arc<Self>, _: &str) -> Arc<dyn Participant> {
        Arc::new(Player { rendezvous: self, stopped: AtomicU64::new(0), taking: Mutex::new(None) })
    }

    fn is_for_all(&self) -> bool {
        true
    }
}

impl Participant for Player {
    fn controller(&self) -> Arc<dyn Controller> {
        Arc::clone(&self.rendezvous) as _
    }

    fn is_over(&self) -> bool {
        self.rendezvous.state.lock().is_closed
    }

    fn arrives(&self, event: &SyncEvent<'_>, may_block: bool) {
        if let Some((context, stop)) = self.arrive(event)
            && may_block
            && self.rendezvous.stop(stop)
        {
            self.begin(context);
        }
    }

    fn arrives_in_future(self: Arc<Self>, event: &SyncEvent<'_>) -> Option<Box<dyn points::Stop>> {
        let (context, mut stop) = self.arrive(event)?;
        let suspension = Suspension::new();
        stop.suspension = Some(Arc::clone(&suspension));
        let rendezvous = &self.rendezvous;
        let mut state = rendezvous.state.lock();
        let (own, deadline) = rendezvous.enlist(&mut state, stop)?;
        if state.is_stopped(own) {
            drop(state);
            return Some(Box::new(Stopped { player: self, own, deadline, suspension }));
        }
        let is_let_go = state.stops[own].at == Status::LetGo;
        drop(state);
        if is_let_go {
            self.begin(context);
        }
        None
    }

    fn passed(&self, event: &SyncEvent<'_>) {
        if matches!(event, SyncEvent::Acquire(_)) {
            self.end();
        }
    }

    fn resumes(&self) {
        if let Some(context) = validator::current_if_attached()
            && self.taking.lock().is_some()
        {
            validator::set_scope(Some(self.rendezvous.scope));
            context.set(ThreadState::Confirming, true);
        }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.end();
        let own = self.stopped.load(Relaxed);
        for stop in &mut self.rendezvous.state.lock().stops {
            if stop.at == Status::GoneOn && stop.thread.number() == own {
                stop.at = Status::Ended;
            }
        }
    }
}

/// A future that is suspended at its part and waits for the others.
struct Stopped {
    player: Arc<Player>,
    own: usize,
    deadline: Instant,
    suspension: Arc<Suspension>,
}

impl points::Stop for Stopped {
    fn suspension(&self) -> &Suspension {
        &self.suspension
    }

    fn may_go_on(&mut self) -> bool {
        let mut state = self.player.rendezvous.state.lock();
        if state.is_stopped(self.own) {
            if Instant::now() < self.deadline {
                self.suspension.wake_at(self.deadline);
                return false;
            }
            state.give_up(self.own);
        }
        let is_let_go = state.stops[self.own].at == Status::LetGo;
        drop(state);
        if is_let_go && let Some(context) = validator::current() {
            self.player.begin(context);
        }
        true
    }
}

impl Drop for Stopped {
    fn drop(&mut self) {
        let mut state = self.player.rendezvous.state.lock();
        let stop = &mut state.stops[self.own];
        if stop.at == Status::Stopped {
            stop.at = Status::GoneOn;
        }
        stop.suspension = None;
    }
}
