//! Locks whose thread has ended without releasing them. Their guards were forgotten, so unless
//! another thread releases them by force, a wait for one never ends.
//!
//! The lock guards the list only.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::{
    finding::ThreadInfo,
    validator::{
        context::held::{Entry, Tag},
        lock_id::{LockId, known_locks},
    },
};

/// A lock that an ended thread left held.
#[derive(Clone)]
pub(in crate::validator) struct Leak {
    pub(in crate::validator) held: Entry,
    pub(in crate::validator) thread: ThreadInfo,
}

/// The number of leaks remembered.
const CAPACITY: usize = 256;

static LEAKS: Mutex<Vec<Leak>> = Mutex::new(Vec::new());
/// The number of leaks, normally 0, which is all that most callers need.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// Returns the lock around the list, for a fork.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &LEAKS
}

/// Called when a thread has ended while it held a lock.
///
/// A lock that another thread destroyed before its holder ended may stay here, because that is not
/// always detected. Therefore the oldest entries are dropped when there are too many.
pub(in crate::validator) fn add(held: Entry, thread: ThreadInfo) {
    known_locks::entered(held.tag.lock());
    change(|leaks| {
        if leaks.len() == CAPACITY {
            known_locks::left(leaks.remove(0).held.tag.lock());
        }
        leaks.push(Leak { held, thread });
    });
}

/// Called when a lock was released that no living thread holds.
pub(in crate::validator) fn released(tag: Tag) {
    if are_any() {
        change(|leaks| {
            let at = leaks.iter().position(|leak| leak.held.tag == tag);
            if let Some(at) = at {
                known_locks::left(leaks.remove(at).held.tag.lock());
            }
        });
    }
}

/// Called when a lock was destroyed.
pub(in crate::validator) fn destroyed(lock: LockId) {
    if are_any() {
        change(|leaks| {
            leaks.retain(|leak| {
                let is_it = leak.held.tag.lock() == lock;
                if is_it {
                    known_locks::left(lock);
                }
                !is_it
            });
        });
    }
}

fn change(how: impl FnOnce(&mut Vec<Leak>)) {
    let mut leaks = LEAKS.lock();
    how(&mut leaks);
    COUNT.store(leaks.len(), Relaxed);
}

pub(in crate::validator) fn are_any() -> bool {
    COUNT.load(Relaxed) > 0
}

/// Returns the leak that blocks an acquisition.
pub(in crate::validator) fn blocking(wanted: &Entry) -> Option<Leak> {
    if !are_any() {
        return None;
    }
    let (lock, mode) = (wanted.tag.lock(), wanted.tag.mode());
    let blocks = |held: Tag| held.lock() == lock && mode.waits_for(held.mode(), false);
    LEAKS.lock().iter().find(|leak| blocks(leak.held.tag)).cloned()
}

/// Returns all remembered leaks.
pub(in crate::validator) fn all() -> Vec<Leak> {
    LEAKS.lock().clone()
}
