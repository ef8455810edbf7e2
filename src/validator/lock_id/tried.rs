//! Locks that were only ever tried, as far as is known, so no thread waits for them. The fast path
//! of an acquisition does not record that it would have waited.
//!
//! Remembers a limited number of locks whose first acquisition was an attempt. Takes no lock,
//! because a signal handler may try a lock.

use std::sync::atomic::Ordering::Relaxed;

use super::LockId;
use crate::validator::atomic::ConstAtomicU64 as AtomicU64;

/// Their ids, each in a slot chosen by the id; 0 for none. A later lock replaces an earlier one.
static TRIED: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn place(lock: LockId) -> &'static AtomicU64 {
    &TRIED[lock as usize % TRIED.len()]
}

/// Called when the first acquisition of a lock is an attempt.
pub(in crate::validator) fn note(lock: LockId) {
    place(lock).store(lock, Relaxed);
}

/// Called when a thread is about to acquire a lock, and would wait for it.
#[inline]
pub(in crate::validator) fn forget(lock: LockId) {
    let place = place(lock);
    if place.load(Relaxed) == lock {
        place.store(0, Relaxed);
    }
}

/// Returns `true` if a lock is known to have been only tried so far.
pub(in crate::validator) fn is_only_tried(lock: LockId) -> bool {
    place(lock).load(Relaxed) == lock
}
