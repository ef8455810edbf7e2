//! A thread's exit, as a lock. The thread holds it exclusively from its spawn to its end. A thread
//! that joins it, or waits for it at the end of a scope, acquires the exit.
//!
//! So a thread that joins another while it holds a lock creates an edge from that lock to the exit,
//! and everything that the other acquires is an edge from its exit. But most threads are never
//! joined under a lock, so an exit is in no held set, where it would turn each acquisition into an
//! edge. Instead a spawned thread keeps a [log](super::acquisition_log). When a thread that holds a
//! lock waits for its end, the exit becomes *awaited*: edges from the exit to what is in the log
//! are entered into the order graph, and the acquisition of the exit is checked like any other.
//! From then on, the thread's acquisitions are checked with its exit held.
//!
//! The exit of a thread that has ended stays in the order graph if the thread was joined under a
//! lock, because a third thread may close the cycle after the join. Only the latest of each spawn
//! site stays; cycles through earlier ones are missed.
//!
//! A thread that waits for another also waits for those that this one waits for. So being awaited
//! propagates along joins, and the log of a joined thread is added to that of the joining one.

use std::{panic::Location, sync::Arc};

use parking_lot::Mutex;

use super::{
    acquisition_log::AcquisitionLog,
    held::{Entry, Tag},
    lineage::Lineage,
};
use crate::{
    finding::{Mode, Until, WaitKind},
    validator::{
        Acquisition, Context, ThreadState, about_to_block,
        atomic::{AtomicBool, Ordering::SeqCst, locked, locked_in_time},
        begin_wait, current,
        found::{Found, submit},
        graph,
        identity::Identity,
        lock_id::LockId,
        unjudged,
        waits::events::about_to_wait_for,
    },
};

/// The exit of a thread spawned through the mirror of `std::thread`.
pub(crate) struct ThreadExit {
    /// The entry that the thread holds from its spawn on.
    entry: Entry,
    log: Arc<AcquisitionLog>,
    lineage: Arc<Lineage>,
    /// `true` once a thread that held a lock, or whose own exit was awaited, has waited for this
    /// one.
    is_awaited: AtomicBool,
    /// The exit that the thread waits for.
    joining: Mutex<Option<Arc<ThreadExit>>>,
}

impl ThreadExit {
    /// Creates the exit of a thread that the calling one is about to spawn. `None` if the calling
    /// thread is not tracked.
    pub(crate) fn new(id: LockId, spawned_at: &'static Location<'static>) -> Option<Arc<Self>> {
        let context = current().filter(|context| !context.is_suspended())?;
        let _inside = context.enter(ThreadState::InValidator);
        let entry = Entry { tag: Tag::new(id, Mode::Exclusive), site: spawned_at };
        Some(Self::with(entry, context.spawns()))
    }

    pub(in crate::validator) fn with(entry: Entry, lineage: Arc<Lineage>) -> Arc<Self> {
        Arc::new(Self {
            entry,
            log: AcquisitionLog::new(),
            lineage,
            is_awaited: AtomicBool::new(false),
            joining: Mutex::new(None),
        })
    }

    /// Called if the thread could not be spawned.
    pub(crate) fn was_not_spawned(&self) {
        self.lineage.was_not_spawned();
    }

    /// Called when the calling thread has waited for the end of the thread or of its body.
    pub(crate) fn joined(&self) {
        if let Some(context) = current().filter(|context| !context.is_suspended()) {
            let _inside = context.enter(ThreadState::InValidator);
            context.has_joined(&self.lineage);
        }
    }

    pub(in crate::validator) fn lineage(&self) -> &Arc<Lineage> {
        &self.lineage
    }

    /// Returns its id as a lock.
    pub(crate) fn id(&self) -> LockId {
        self.entry.tag.lock()
    }

    /// Returns the entry that a joining thread acquires.
    pub(crate) fn acquired_at(&self, site: &'static Location<'static>) -> Entry {
        Entry { site, ..self.entry }
    }

    pub(in crate::validator) fn entry(&self) -> Entry {
        self.entry
    }

    pub(in crate::validator) fn log(&self) -> &Arc<AcquisitionLog> {
        &self.log
    }

    pub(in crate::validator) fn is_awaited(&self) -> bool {
        self.is_awaited.load(SeqCst)
    }

    /// Called when its thread is about to wait for another exit. Returns `true` if its own is
    /// awaited, so that the other becomes awaited as well.
    pub(in crate::validator) fn begin_to_join(&self, other: &Arc<Self>) -> bool {
        // In this order, because a thread that makes this exit awaited reads `joining` afterwards.
        *locked(&self.joining) = Some(Arc::clone(other));
        self.is_awaited()
    }

    /// Makes it awaited, and with it the exits that its thread waits for, transitively. Returns all
    /// of them.
    pub(in crate::validator) fn await_all(self: &Arc<Self>) -> Vec<Arc<Self>> {
        let mut all = Vec::new();
        let mut next = Some(Arc::clone(self));
        while let Some(exit) = next {
            exit.is_awaited.store(true, SeqCst);
            // Threads that join each other in a cycle are found when they wait.
            let is_met = all.iter().any(|met| Arc::ptr_eq(met, &exit));
            let joining = locked_in_time(&exit.joining).and_then(|joining| joining.clone());
            next = joining.filter(|_| !is_met);
            all.push(exit);
        }
        all
    }
}

/// The state of a thread that is being joined.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Progress {
    Running,
    /// It has finished, but only by chance before the join.
    Finished,
    /// The joining thread has checked that under the locks that it holds now, so the join cannot
    /// block.
    FoundFinished,
}

/// Waits for the end of a thread by acquiring its exit, whose identity is given. Always calls
/// `wait`, unless it panics.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny), before the wait begins.
#[track_caller]
pub(crate) fn join<R>(
    exit: &Arc<ThreadExit>,
    identity: &Identity,
    joined_at: &'static Location<'static>,
    progress: Progress,
    wait: impl FnOnce() -> R,
) -> R {
    let Some(context) = current().filter(|context| !context.is_suspended()) else { return wait() };
    let wanted = exit.acquired_at(joined_at);
    let own = context.exit();
    let joining = own.as_deref().map(Joining);
    if progress != Progress::FoundFinished && context.holds_for_condition() {
        // This thread has waited for a condition under its only lock, usually that the others are
        // done with that lock. If they are not, the deadlock is reported when it happens.
        let _inside = context.enter(ThreadState::InValidator);
        if let Some(own) = &own {
            own.begin_to_join(exit);
        }
        exit.await_all();
    } else if progress != Progress::FoundFinished {
        let found = {
            let _inside = context.enter(ThreadState::InValidator);
            begin_join(context, own.as_deref(), exit)
        };
        if !found.is_empty() && !context.is(ThreadState::Allowing) {
            submit(context, found);
        }
        let place = context.held.any_place_for(wanted.tag);
        if let Some(chain) = unjudged(context, place) {
            about_to_block(context, &Acquisition { identity, wanted, named_at: joined_at }, chain);
        }
    }
    let is_running = progress == Progress::Running;
    if is_running {
        about_to_wait_for(context, &wanted, WaitKind::Join);
    }
    let waited = is_running.then(|| begin_wait(context, &wanted, Until::Acquired, false));
    let result = wait();
    drop(waited);
    drop(joining);
    // A join of a thread that was found to have finished does not wait for what that thread
    // acquired.
    if let Some(own) = own.filter(|_| progress != Progress::FoundFinished) {
        let _inside = context.enter(ThreadState::InValidator);
        own.log.absorb(exit.entry.tag, &exit.log.entries());
    }
    result
}

/// Marks the thread of this exit as waiting for another one, until it is dropped.
struct Joining<'a>(&'a ThreadExit);

impl Drop for Joining<'_> {
    fn drop(&mut self) {
        *locked(&self.0.joining) = None;
    }
}

/// Called when a thread is about to wait for the end of another. If it holds a lock, or its own
/// exit is awaited, enters the acquisitions of the other. Returns the class inversions.
fn begin_join(context: &Context, own: Option<&ThreadExit>, exit: &Arc<ThreadExit>) -> Vec<Found> {
    let is_awaited = own.is_some_and(|own| own.begin_to_join(exit));
    if context.held.is_empty() && !is_awaited {
        return Vec::new();
    }
    let enter = |exit: Arc<ThreadExit>| {
        let acquired = exit.log.entries();
        graph::lock().enter_logged(&exit.entry, &acquired)
    };
    exit.await_all().into_iter().flat_map(enter).map(Found::from).collect()
}
