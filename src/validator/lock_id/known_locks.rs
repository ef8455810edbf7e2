//! The locks about which lockdep may know something, in two tables that are read without a lock; and
//! in a third one, locks that were destroyed.
//!
//! Most locks are never nested or named, and destroying them should not take the graph's lock. A
//! counting filter with one hash has the locks that are in the graph, named, allowed or left
//! behind: a counter of 0 excludes all of these. The other table has the
//! [leaves](crate::validator::graph::leaves), each in the slot of its id.

use std::sync::atomic::{
    AtomicU32, AtomicU64,
    Ordering::{Acquire, Release, SeqCst},
};

use super::LockId;

/// Ids of one creation site are consecutive, so 2¹⁴ counters distinguish as many neighbours.
static COUNTERS: [AtomicU32; 1 << 14] = [const { AtomicU32::new(0) }; 1 << 14];

/// The maximum number of leaves.
pub(in crate::validator) const LEAVES: usize = 64;

/// The leaves. They are added, and moved to the graph, under the graph's lock. A thread that
/// destroys a leaf removes it without that lock.
static LEAF_LOCKS: [AtomicU64; LEAVES] = [const { AtomicU64::new(0) }; LEAVES];

/// The lock destroyed last in each slot, by its [`generation`]; 0 if there was none.
static DESTROYED: [AtomicU32; COUNTERS.len()] = [const { AtomicU32::new(0) }; COUNTERS.len()];

fn counter(lock: LockId) -> &'static AtomicU32 {
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    let low = lock as usize;
    &COUNTERS[low % COUNTERS.len()]
}

/// Returns the slot of a leaf.
#[inline]
pub(in crate::validator) fn leaf_index(lock: LockId) -> usize {
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    let low = lock as usize;
    low % LEAVES
}

/// Returns `true` if the lock may be known.
///
/// Dropping a lock happens after all its acquisitions, and entries are added only during one. A
/// first write is not ordered this way: see
/// [`Identity::note_writer`](crate::validator::Identity::note_writer) for its orderings. The leaves
/// are read first, because a leaf that moves to the graph is counted before it is removed.
#[inline]
pub(in crate::validator) fn may_be_known(lock: LockId) -> bool {
    LEAF_LOCKS[leaf_index(lock)].load(SeqCst) == lock || counter(lock).load(SeqCst) != 0
}

pub(in crate::validator) fn entered(lock: LockId) {
    counter(lock).fetch_add(1, SeqCst);
}

pub(in crate::validator) fn left(lock: LockId) {
    counter(lock).fetch_sub(1, SeqCst);
}

/// Returns the slot of a lock among those destroyed, and the number that distinguishes it from all
/// others with that slot.
#[inline]
#[allow(clippy::cast_possible_truncation, reason = "ids have less than 46 bits")]
fn generation(lock: LockId) -> (usize, u32) {
    let slots = DESTROYED.len() as LockId;
    ((lock % slots) as usize, (lock / slots) as u32 + 1)
}

/// Called when a lock is destroyed.
#[inline]
pub(in crate::validator) fn note_destroyed(lock: LockId) {
    let (slot, generation) = generation(lock);
    DESTROYED[slot].store(generation, Release);
}

/// Returns `true` if a lock is known to have been destroyed. Another one with the same slot may have
/// been destroyed since: then this is no longer known.
#[inline]
pub(in crate::validator) fn is_destroyed(lock: LockId) -> bool {
    let (slot, generation) = generation(lock);
    DESTROYED[slot].load(Acquire) == generation
}

/// Returns the leaf in a slot, or 0.
pub(in crate::validator) fn leaf_at(index: usize) -> LockId {
    LEAF_LOCKS[index].load(SeqCst)
}

/// Adds a leaf. Its slot is vacant, and the caller holds the graph's lock.
#[inline]
pub(in crate::validator) fn add_leaf(lock: LockId) {
    LEAF_LOCKS[leaf_index(lock)].store(lock, SeqCst);
}

/// Removes a leaf that is destroyed or moves to the graph. Returns `true` only for the first of the
/// two.
#[inline]
pub(in crate::validator) fn remove_leaf(lock: LockId) -> bool {
    LEAF_LOCKS[leaf_index(lock)].compare_exchange(lock, 0, SeqCst, SeqCst).is_ok()
}

/// Returns `true` if there is a leaf. Sees at least those that the calling thread has added.
pub(in crate::validator) fn are_leaves() -> bool {
    LEAF_LOCKS.iter().any(|leaf| leaf.load(SeqCst) != 0)
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_destroyed_lock_is_no_other() {
        // Ids that no lock of this process has.
        let slots = DESTROYED.len() as LockId;
        let last = (1 << 45) - 1;
        let with_its_slot = [last, last - slots, last % slots];
        for lock in with_its_slot {
            note_destroyed(lock);
            for other in with_its_slot {
                assert_eq!(is_destroyed(other), other == lock, "{other} {lock}");
            }
            assert!(!is_destroyed(lock - 1));
        }
    }
}
