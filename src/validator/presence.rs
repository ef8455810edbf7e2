//! Does the order graph know this lock at all?
//!
//! Most locks are never nested nor named, and their end should not cost a lock of
//! ours. This is a counting filter with one hash: 0 says for sure that nothing is
//! known of a lock; anything else that it is worth looking.

use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

use super::identity::LockId;

/// Numbers are given in sequence, so that 2¹⁴ counters tell as many neighbours
/// apart.
static COUNTERS: [AtomicU32; 1 << 14] = [const { AtomicU32::new(0) }; 1 << 14];

fn counter(lock: LockId) -> &'static AtomicU32 {
    #[allow(clippy::cast_possible_truncation, reason = "only the low bits are used")]
    let low = lock as usize;
    &COUNTERS[low % COUNTERS.len()]
}

/// Who destroys a lock has seen, by whatever means, the end of every acquisition of it,
/// and an entry is made during one. A first writer has not: see
/// [`Identity::note_writer`](super::Identity::note_writer) for why the orderings are what
/// they are.
#[inline]
pub(super) fn may_be_known(lock: LockId) -> bool {
    counter(lock).load(SeqCst) != 0
}

pub(super) fn entered(lock: LockId) {
    counter(lock).fetch_add(1, SeqCst);
}

pub(super) fn left(lock: LockId) {
    counter(lock).fetch_sub(1, SeqCst);
}
