//! The recent acquisitions of a thread, for events that it owes.
//!
//! A thread that receives from a bounded channel owes its senders the next receive. A thread that
//! passes a barrier owes the others its next arrival. A wait for that is also a wait for all
//! acquisitions in between, the thread's *window*. So such a thread notes its acquisitions with a
//! running count, by which each window finds its own.
//!
//! A barrier may also order what comes before it and a wait that begins after it. So passing a
//! barrier ends the first part of each window, including those of other barriers and of channels.
//!
//! As with the [log](super::acquisition_log) of a thread's whole life, only such threads pay. Their
//! [held set](super::held) starts from a different word, so first locks are looked up in the
//! thread's recent chains as well, and noted here if they are not found. These chains are forgotten
//! when a window begins.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

use super::{Context, State, acquisition_log::Logged, held::Entry, job};

/// The capacity. The oldest acquisitions are dropped.
const MAX_NOTES: usize = 128;
/// The number of acquisitions that a thread notes in its life. Notes are useless for a thread that
/// keeps creating locks.
const MAX_COUNT: u64 = 2048;
/// The number of windows for which a thread forgets its recent chains. Notes of later windows are
/// incomplete.
const MAX_WINDOWS: u64 = 64;

/// The notes of one thread.
#[derive(Default)]
pub(in crate::validator) struct Notes {
    is_on: AtomicBool,
    /// The number of acquisitions noted so far.
    count: AtomicU64,
    windows: AtomicU64,
    /// The count at the last barrier. Nothing before it belongs to a window.
    at_barrier: AtomicU64,
    kept: Mutex<Vec<Note>>,
}

struct Note {
    /// The count including this one.
    at: u64,
    acquired: Logged,
}

impl Notes {
    /// Begins a window by forgetting the recent chains, so that all acquisitions are noted again.
    /// Returns the count before them. For the thread itself.
    pub(in crate::validator) fn begin_window(&self, context: &Context) -> u64 {
        if self.windows.load(Relaxed) < MAX_WINDOWS {
            self.windows.fetch_add(1, Relaxed);
            self.is_on.store(true, Relaxed);
            context.held.set_logged(true);
            context.recent.clear_own();
        }
        self.count()
    }

    /// Returns `true` if the thread notes its acquisitions, because it may owe an event.
    pub(in crate::validator) fn are_on(&self) -> bool {
        self.is_on.load(Relaxed)
    }

    /// Returns the number of acquisitions noted so far.
    pub(in crate::validator) fn count(&self) -> u64 {
        self.count.load(Relaxed)
    }

    /// Notes an acquisition that the calling thread, which owns the notes, is about to make.
    /// `has_writer` is asked only if it is noted.
    pub(in crate::validator) fn record(
        &self,
        context: &'static Context,
        wanted: Entry,
        has_writer: impl FnOnce() -> bool,
    ) {
        if !self.is_on.load(Relaxed) {
            return;
        }
        let _inside = context.enter(State::InValidator);
        let at = self.count.load(Relaxed) + 1;
        if at > MAX_COUNT {
            self.is_on.store(false, Relaxed);
            if !context.keeps_log() && !job::is_recording() {
                context.held.set_logged(false);
            }
            return;
        }
        let mut acquired = Logged::now(context, wanted);
        acquired.has_writer = has_writer();
        let mut notes = self.kept.lock();
        notes.retain(|note| !acquired.covers(&note.acquired));
        if notes.len() == MAX_NOTES {
            notes.remove(0);
        }
        notes.push(Note { at, acquired });
        self.count.store(at, Relaxed);
    }

    /// Called when the thread arrives at a barrier. For the thread itself.
    pub(in crate::validator) fn pass_barrier(&self) {
        self.at_barrier.store(self.count(), Relaxed);
    }

    /// Returns what was noted after a count and after the last barrier.
    pub(in crate::validator) fn since(&self, count: u64) -> Vec<Logged> {
        let count = count.max(self.at_barrier.load(Relaxed));
        let notes = self.kept.lock();
        let since = notes.iter().filter(|note| note.at > count && note.acquired.is_remembered());
        since.map(|note| note.acquired.clone()).collect()
    }

    /// Called when the thread has ended.
    pub(in crate::validator) fn end(&self) {
        self.is_on.store(false, Relaxed);
        self.count.store(0, Relaxed);
        self.windows.store(0, Relaxed);
        self.at_barrier.store(0, Relaxed);
        self.kept.lock().clear();
    }

    #[cfg(all(unix, not(loom)))]
    pub(in crate::validator) fn lock(&self) -> &dyn crate::fork_lock::ForkLock {
        &self.kept
    }
}
