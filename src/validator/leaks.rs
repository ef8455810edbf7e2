//! Locks whose thread has ended: their guards were forgotten, and unless some other thread
//! releases them by force, whoever waits for them waits for ever.
//!
//! Its lock guards the list alone.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use parking_lot::Mutex;

use super::{
    clock::Moment,
    held::{Entry, Tag},
    identity::LockId,
    judge, presence, snapshot,
};
use crate::{
    finding::{self, ThreadInfo, ThreadSnapshot},
    render,
};

/// A lock that was left behind.
#[derive(Clone)]
pub(super) struct Leak {
    pub(super) held: Entry,
    pub(super) thread: ThreadInfo,
}

/// How many are remembered.
const CAPACITY: usize = 256;

static LEAKS: Mutex<Vec<Leak>> = Mutex::new(Vec::new());
/// How many there are: as a rule none, which is all that anybody wants to know.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// The lock around the list.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::renewable::Renewable {
    &LEAKS
}

/// A thread has ended while holding a lock.
///
/// Locks that were destroyed by others before their thread ended stay here, as nobody knows: so
/// the oldest go when there are too many.
pub(super) fn add(held: Entry, thread: ThreadInfo) {
    presence::entered(held.tag.lock());
    change(|leaks| {
        if leaks.len() == CAPACITY {
            presence::left(leaks.remove(0).held.tag.lock());
        }
        leaks.push(Leak { held, thread });
    });
}

/// A lock was released that no living thread holds.
pub(super) fn released(tag: Tag) {
    if are_any() {
        change(|leaks| {
            let at = leaks.iter().position(|leak| leak.held.tag == tag);
            if let Some(at) = at {
                presence::left(leaks.remove(at).held.tag.lock());
            }
        });
    }
}

/// A lock was destroyed.
pub(super) fn destroyed(lock: LockId) {
    if are_any() {
        change(|leaks| {
            leaks.retain(|leak| {
                let is_it = leak.held.tag.lock() == lock;
                if is_it {
                    presence::left(lock);
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

pub(super) fn are_any() -> bool {
    COUNT.load(Relaxed) > 0
}

/// The leak that keeps an acquisition waiting.
pub(super) fn blocking(wanted: &Entry) -> Option<Leak> {
    if !are_any() {
        return None;
    }
    let (lock, mode) = (wanted.tag.lock(), wanted.tag.mode());
    let blocks = |held: Tag| held.lock() == lock && judge::waits(mode, held.mode(), false);
    LEAKS.lock().iter().find(|leak| blocks(leak.held.tag)).cloned()
}

/// The threads that have ended, each as often as it left a lock.
pub(super) fn threads() -> Vec<ThreadSnapshot> {
    let leaks = LEAKS.lock().clone();
    let thread = |Leak { held, thread }| ThreadSnapshot {
        thread,
        has_ended: true,
        held: vec![snapshot::held_lock(&held, Moment::UNKNOWN)],
        waiting: None,
    };
    leaks.into_iter().map(thread).collect()
}

/// Whether a destructor of the calling thread's locals runs: a panic in it would abort the
/// process. By the names of std's functions that run it and see to that, either of which may be
/// inlined, as nothing else tells. The caller is [`Reporting`](super::ThreadState::Reporting).
pub(super) fn thread_is_ending() -> bool {
    let mut addresses = Vec::new();
    finding::trace(|frame| {
        addresses.push(frame.ip());
        true
    });
    render::is_any_function(&addresses, |name| {
        let is_of = |function| name.contains("thread_local::") && name.contains(function);
        is_of("::destroy") || is_of("::abort_on_dtor_unwind")
    })
}

/// Whether the whole process ends: `exit` destroys the calling thread's locals while its
/// guards live on, further up its stack.
#[cfg(unix)]
pub(super) fn process_is_exiting() -> bool {
    let exit = libc::exit as *const () as usize;
    let mut is_exiting = false;
    finding::trace(|frame| {
        is_exiting = frame.symbol_address() as usize == exit;
        !is_exiting
    });
    is_exiting
}

/// Elsewhere no destructor of the calling thread's locals runs then.
#[cfg(not(unix))]
pub(super) fn process_is_exiting() -> bool {
    false
}
