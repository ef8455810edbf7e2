//! Locks whose thread has ended: their guards were forgotten, and unless some other thread
//! releases them by force, whoever waits for them waits for ever.
//!
//! Its lock guards the list alone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use crate::{
    finding::ThreadInfo,
    validator::{
        context::held::{Entry, Tag},
        graph::known_locks,
        lock_id::LockId,
    },
};

/// A lock that was left behind.
#[derive(Clone)]
pub(in crate::validator) struct Leak {
    pub(in crate::validator) held: Entry,
    pub(in crate::validator) thread: ThreadInfo,
}

/// How many are remembered.
const CAPACITY: usize = 256;

static LEAKS: Mutex<Vec<Leak>> = Mutex::new(Vec::new());
/// How many there are: as a rule none, which is all that anybody wants to know.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The lock around the list.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &LEAKS
}

/// A thread has ended while holding a lock.
///
/// Locks that were destroyed by others before their thread ended stay here, as nobody knows: so
/// the oldest go when there are too many.
pub(in crate::validator) fn add(held: Entry, thread: ThreadInfo) {
    known_locks::entered(held.tag.lock());
    change(|leaks| {
        if leaks.len() == CAPACITY {
            known_locks::left(leaks.remove(0).held.tag.lock());
        }
        leaks.push(Leak { held, thread });
    });
}

/// A lock was released that no living thread holds.
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

/// A lock was destroyed.
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

/// The leak that keeps an acquisition waiting.
pub(in crate::validator) fn blocking(wanted: &Entry) -> Option<Leak> {
    if !are_any() {
        return None;
    }
    let (lock, mode) = (wanted.tag.lock(), wanted.tag.mode());
    let blocks = |held: Tag| held.lock() == lock && mode.waits_for(held.mode(), false);
    LEAKS.lock().iter().find(|leak| blocks(leak.held.tag)).cloned()
}

/// All that are remembered.
pub(in crate::validator) fn all() -> Vec<Leak> {
    LEAKS.lock().clone()
}
