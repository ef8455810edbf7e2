//! The permits of pools: how many a pool has, and how many of them are in guards.
//!
//! A wait for a permit ends when any holder releases one. So it lasts for ever only if all permits are in guards that
//! lockdep knows of, and each of their holders waits for ever as well. The wrappers count the guards; the
//! [census](super::tasks) compares these counts with the holders that it finds.
//!
//! Knows neither threads nor tasks. The locks guard the table only.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;

use super::lock_id::LockId;

/// The permits of one pool.
pub(crate) struct Pool {
    lock: LockId,
    permits: u32,
    /// The number of guards in the upper half, and that of the permits in them in the lower half.
    counts: AtomicU64,
    /// `true` once it is unknown how many permits there are, or who has them.
    has_changed: AtomicBool,
    is_known: AtomicBool,
}

type Shard = Mutex<HashMap<LockId, Arc<Pool>, FxBuildHasher>>;

/// Enough shards that threads rarely contend for one.
static SHARDS: [Shard; 16] = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; 16];

/// The number of pools in the table.
static KNOWN: AtomicUsize = AtomicUsize::new(0);

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn shard(lock: LockId) -> &'static Shard {
    &SHARDS[lock as usize % SHARDS.len()]
}

/// Returns the locks of all shards, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    SHARDS.iter().map(|shard| shard as &dyn crate::fork_lock::ForkLock)
}

/// Returns `true` if any pool is in use.
pub(super) fn are_any() -> bool {
    KNOWN.load(SeqCst) != 0
}

/// Returns the pool whose lock this is.
pub(super) fn of(lock: LockId) -> Option<Arc<Pool>> {
    shard(lock).lock().get(&lock).cloned()
}

/// Called when a permit was released by another thread or task than the one that had acquired it. Permits are alike, so
/// from then on it is unknown who has them.
pub(super) fn note_handed_over(lock: LockId) {
    if are_any()
        && let Some(pool) = of(lock)
    {
        pool.note_change();
    }
}

/// Returns what a guard of so many permits adds to the counts.
fn of_guard(permits: usize) -> u64 {
    (1 << u32::BITS) + permits as u64
}

impl Pool {
    pub(crate) fn new(lock: LockId, permits: u32) -> Arc<Self> {
        let (has_changed, is_known) = (AtomicBool::new(false), AtomicBool::new(false));
        Arc::new(Self { lock, permits, counts: AtomicU64::new(0), has_changed, is_known })
    }

    /// Adds the pool to the table, unless it is there.
    pub(crate) fn make_known(self: &Arc<Self>) {
        if !self.is_known.load(Relaxed) && !self.is_known.swap(true, SeqCst) {
            KNOWN.fetch_add(1, SeqCst);
            shard(self.lock).lock().insert(self.lock, Arc::clone(self));
        }
    }

    /// Called when the lock is destroyed.
    pub(crate) fn destroyed(&self) {
        if self.is_known.load(SeqCst) {
            KNOWN.fetch_sub(1, SeqCst);
            let gone = shard(self.lock).lock().remove(&self.lock);
            drop(gone);
        }
    }

    /// Counts a guard of so many permits.
    pub(crate) fn add(&self, permits: usize) {
        self.counts.fetch_add(of_guard(permits), SeqCst);
    }

    /// Counts it no longer.
    pub(crate) fn remove(&self, permits: usize) {
        self.counts.fetch_sub(of_guard(permits), SeqCst);
    }

    /// Called when permits are added or taken away, or may be.
    pub(crate) fn note_change(&self) {
        self.has_changed.store(true, SeqCst);
    }

    pub(super) fn permits(&self) -> u32 {
        self.permits
    }

    /// Returns the number of guards that have all permits together. `None` if they do not.
    pub(super) fn guards_of_all(&self) -> Option<u64> {
        let counts = self.counts.load(SeqCst);
        let (guards, held) = (counts >> u32::BITS, counts & u64::from(u32::MAX));
        let have_all = held == u64::from(self.permits) && !self.has_changed.load(SeqCst);
        have_all.then_some(guards)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    proptest! {
        /// Guards come and go. All permits are in guards exactly if their sum says so.
        #[test]
        fn guards_are_counted(
            steps in vec((any::<bool>(), 1..4_usize, any::<prop::sample::Index>()), 0..20),
            permits in 2..6_u32,
        ) {
            let pool = Pool::new(0, permits);
            let mut guards = Vec::new();
            for (is_acquired, permits, at) in steps {
                if is_acquired {
                    pool.add(permits);
                    guards.push(permits);
                } else if !guards.is_empty() {
                    pool.remove(guards.swap_remove(at.index(guards.len())));
                }
                let have_all = guards.iter().sum::<usize>() == pool.permits() as usize;
                let expected = have_all.then_some(guards.len() as u64);
                prop_assert_eq!(pool.guards_of_all(), expected);
            }
            pool.note_change();
            prop_assert_eq!(pool.guards_of_all(), None);
        }
    }
}
