//! [`Pool`], by which a wrapper counts the guards of a pool's permits.

use std::sync::Arc;

use once_cell::race::OnceBox;

use super::Tracked;
use crate::{
    finding::LockKind,
    validator::{self, Pool as Counts},
};

/// All holders of a pool are looked at when a task waits for one of its permits, so there must not be very many.
const MAX_PERMITS: u32 = 1024;

/// The permits of a semaphore or pool. Nothing is counted if it has only one, which makes it a lock, or more than
/// 1024.
///
/// Guards are counted even in a thread or task whose locks are not tracked. A guard without a known holder keeps a deadlock
/// from being reported.
pub struct Pool {
    permits: usize,
    /// From the first guard on.
    counts: OnceBox<Arc<Counts>>,
}

impl Pool {
    /// Creates the counts of a pool with so many permits.
    #[must_use]
    pub const fn new(permits: usize) -> Self {
        Self { permits, counts: OnceBox::new() }
    }

    /// Returns the number of permits that it was created with.
    #[must_use]
    pub fn permits(&self) -> usize {
        self.permits
    }

    /// Called when so many permits were acquired with one guard. `tracked` is the lock of the pool.
    #[inline]
    pub fn add(&self, tracked: &Tracked, kind: &'static LockKind, permits: usize) {
        match self.counts.get() {
            Some(counts) => counts.add(permits),
            None if self.permits == 1 => {}
            None => self.first(tracked, kind, |counts| counts.add(permits)),
        }
    }

    /// Called when this guard is about to be released, or changed.
    #[inline]
    pub fn remove(&self, permits: usize) {
        if let Some(counts) = self.counts.get() {
            counts.remove(permits);
        }
    }

    /// Called when it is unknown from now on how many permits there are, or who has them.
    pub fn note_change(&self, tracked: &Tracked, kind: &'static LockKind) {
        self.first(tracked, kind, Counts::note_change);
    }

    /// Runs `body` with the counts, if there are any to be.
    #[cold]
    fn first(&self, tracked: &Tracked, kind: &'static LockKind, body: impl FnOnce(&Counts)) {
        let permits = u32::try_from(self.permits).ok();
        let Some(permits) = permits.filter(|permits| (2..=MAX_PERMITS).contains(permits)) else {
            return;
        };
        let lock = tracked.number(kind);
        validator::inside(|| {
            let counts = self.counts.get_or_init(|| Box::new(Counts::new(lock, permits)));
            counts.make_known();
            body(counts);
        });
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        if let Some(counts) = self.counts.get() {
            validator::inside(|| counts.destroyed());
        }
    }
}
