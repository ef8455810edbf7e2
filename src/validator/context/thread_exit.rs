//! A thread's exit, as a lock. The thread holds it exclusively from its spawn to its end. A thread
//! that [joins](crate::validator::join) it, or waits for it at the end of a scope, acquires the exit.
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

use super::{acquisition_log::AcquisitionLog, held::Entry, lineage::Lineage, spawn_order::Spawn};
use crate::validator::{
    atomic::{AtomicBool, Ordering::SeqCst, locked, locked_in_time},
    lock_id::LockId,
};

/// The exit of a thread spawned through the mirror of `std::thread`.
pub(crate) struct ThreadExit {
    /// The entry that the thread holds from its spawn on.
    entry: Entry,
    log: Arc<AcquisitionLog>,
    lineage: Arc<Lineage>,
    /// How the thread was spawned, if any [initialization](super::spawn_order) had ended.
    spawn: Option<Arc<Spawn>>,
    /// `true` once a thread that held a lock, or whose own exit was awaited, has waited for this
    /// one.
    is_awaited: AtomicBool,
    /// `true` once the thread's body has ended.
    is_over: AtomicBool,
    /// `true` once the thread has spawned another or sent something to one, so that a guard that
    /// it was given may be elsewhere.
    has_passed_on: AtomicBool,
    /// The exit that the thread waits for.
    joining: Mutex<Option<Arc<ThreadExit>>>,
}

impl ThreadExit {
    pub(in crate::validator) fn with(
        entry: Entry,
        lineage: Arc<Lineage>,
        spawn: Option<Arc<Spawn>>,
    ) -> Arc<Self> {
        Arc::new(Self {
            entry,
            log: AcquisitionLog::new(),
            lineage,
            spawn,
            is_awaited: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            has_passed_on: AtomicBool::new(false),
            joining: Mutex::new(None),
        })
    }

    /// Called if the thread could not be spawned.
    pub(crate) fn was_not_spawned(&self) {
        self.lineage.was_not_spawned();
        self.end();
    }

    /// Called when the thread's body has ended, and has dropped what it was given.
    pub(crate) fn end(&self) {
        self.is_over.store(true, SeqCst);
    }

    pub(in crate::validator) fn is_over(&self) -> bool {
        self.is_over.load(SeqCst)
    }

    /// Called when the thread may pass on what it was given.
    pub(in crate::validator) fn pass_on(&self) {
        self.has_passed_on.store(true, SeqCst);
    }

    pub(in crate::validator) fn has_passed_on(&self) -> bool {
        self.has_passed_on.load(SeqCst)
    }

    pub(in crate::validator) fn lineage(&self) -> &Arc<Lineage> {
        &self.lineage
    }

    pub(in crate::validator) fn spawn(&self) -> Option<&Arc<Spawn>> {
        self.spawn.as_ref()
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

    /// Called when its thread no longer waits for another exit.
    pub(in crate::validator) fn end_join(&self) {
        *locked(&self.joining) = None;
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
