//! Locks that were only tried so far, as far as is known: no thread waits for them. The fast path of an acquisition
//! does not say that a thread would have waited.
//!
//! Not more than some of them, of those whose first acquisition was an attempt. No lock is taken, because a signal
//! handler may try a lock.

use std::sync::atomic::Ordering::Relaxed;

use super::{atomic::ConstAtomicU64 as AtomicU64, lock_id::LockId};

/// Their numbers, each in a place of its own; 0 for none. A later one takes the place of an earlier one.
static TRIED: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn place(lock: LockId) -> &'static AtomicU64 {
    &TRIED[lock as usize % TRIED.len()]
}

/// The first acquisition of a lock is an attempt.
pub(super) fn note(lock: LockId) {
    place(lock).store(lock, Relaxed);
}

/// A thread is about to acquire a lock, and to wait for it if it is held.
#[inline]
pub(super) fn forget(lock: LockId) {
    let place = place(lock);
    if place.load(Relaxed) == lock {
        place.store(0, Relaxed);
    }
}

/// Returns `true` if a lock is known to have been only tried so far. `false` if that is not known.
pub(super) fn is_only_tried(lock: LockId) -> bool {
    place(lock).load(Relaxed) == lock
}
