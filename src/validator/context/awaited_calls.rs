//! Calls into thread pools that were made with a lock held and have not ended.
//!
//! A job keeps the innermost of these that waits for it. If the job blocks for a lock that is held by
//! the thread that waits in that call, or in one around it, neither of the two can ever continue.
//!
//! The lock guards the list only.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use parking_lot::Mutex;

static CALLS: Mutex<Vec<AwaitedCall>> = Mutex::new(Vec::new());

struct AwaitedCall {
    id: u64,
    /// The innermost awaited call that waits for this one, or 0.
    around: u64,
}

/// Returns the lock around the list, for a fork.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &CALLS
}

/// Adds a call. Returns its id, which is not 0.
pub(in crate::validator) fn begin(around: u64) -> u64 {
    static LAST: AtomicU64 = AtomicU64::new(0);
    let id = LAST.fetch_add(1, Relaxed) + 1;
    CALLS.lock().push(AwaitedCall { id, around });
    id
}

/// Removes a call that has ended.
pub(in crate::validator) fn end(id: u64) {
    let mut calls = CALLS.lock();
    if let Some(at) = calls.iter().rposition(|call| call.id == id) {
        calls.swap_remove(at);
    }
}

/// Returns `true` if a call waits for the jobs of another, directly or not.
pub(in crate::validator) fn waits_for(call: u64, jobs_of: u64) -> bool {
    let calls = CALLS.lock();
    let mut next = jobs_of;
    while next != 0 && next != call {
        let known = calls.iter().find(|it| it.id == next);
        // An id is larger than that of the call around it.
        next = known.map_or(0, |it| it.around);
    }
    next != 0
}
