//! The helper threads of lockdep: the watchdog, and the one that answers a signal.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use crate::{os_threads, validator::context::current::ignore_this_thread};

/// A helper thread.
pub(in crate::validator) struct Helper {
    /// The operating system's id of the thread; 0 if this entry is free.
    os_thread: AtomicU64,
    /// `true` while it waits for work and holds no internal lock.
    is_at_rest: AtomicBool,
}

/// A helper without an entry counts as a thread of the program that never sleeps forever, which is
/// safe.
static HELPERS: [Helper; 4] =
    [const { Helper { os_thread: AtomicU64::new(0), is_at_rest: AtomicBool::new(false) } }; 4];

impl Helper {
    /// Registers the calling thread as a helper. `None` if the system has no ids for threads.
    pub(in crate::validator) fn this_thread() -> Option<&'static Self> {
        ignore_this_thread();
        let own = os_threads::own()?;
        let takes =
            |helper: &&Self| helper.os_thread.compare_exchange(0, own, Relaxed, Relaxed).is_ok();
        HELPERS.iter().find(takes)
    }

    /// Waits for work.
    pub(in crate::validator) fn rest<R>(helper: Option<&Self>, wait: impl FnOnce() -> R) -> R {
        let set = |is_at_rest| {
            if let Some(helper) = helper {
                helper.is_at_rest.store(is_at_rest, SeqCst);
                // Before it takes any lock, so that a thread which sees it sleep for that lock sees
                // this too.
                fence(SeqCst);
            }
        };
        set(true);
        let result = wait();
        set(false);
        result
    }
}

/// Returns `true` if a thread is a helper.
pub(in crate::validator) fn is_one(os_thread: u64) -> bool {
    HELPERS.iter().any(|helper| helper.os_thread.load(Relaxed) == os_thread)
}

/// Returns the number of helpers.
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "for global deadlocks")
)]
pub(in crate::validator) fn count() -> u64 {
    let is_there = |helper: &&Helper| helper.os_thread.load(Relaxed) != 0;
    HELPERS.iter().filter(is_there).count() as u64
}

/// Returns `true` if all helpers except the calling thread are at rest.
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "for global deadlocks")
)]
pub(in crate::validator) fn others_rest() -> bool {
    let own = os_threads::own().unwrap_or(0);
    HELPERS.iter().all(|helper| {
        let is_other = ![0, own].contains(&helper.os_thread.load(Relaxed));
        !is_other || helper.is_at_rest.load(SeqCst)
    })
}

/// Called in a fork, which has no helpers.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn forget_all() {
    for helper in &HELPERS {
        helper.os_thread.store(0, Relaxed);
    }
}

/// Starts a helper thread with all signals blocked. A program may block signals in all of its
/// threads to receive them with `sigwait`; they must not be delivered to a helper instead.
pub(in crate::validator) fn start(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::Thread> {
    let thread = with_signals_blocked(|| std::thread::Builder::new().name(name.into()).spawn(body));
    Ok(thread?.thread().clone())
}

/// Runs a closure that starts a thread, which inherits the blocked signals.
#[cfg(all(unix, not(loom)))]
#[allow(unsafe_code, reason = "`pthread_sigmask` is")]
fn with_signals_blocked<R>(start: impl FnOnce() -> R) -> R {
    // SAFETY: both sets are written before they are read, and each call gets a valid one.
    unsafe {
        let (mut all, mut before) = (std::mem::zeroed(), std::mem::zeroed());
        libc::sigfillset(&raw mut all);
        let is_set = libc::pthread_sigmask(libc::SIG_SETMASK, &raw const all, &raw mut before) == 0;
        let result = start();
        if is_set {
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
        }
        result
    }
}

#[cfg(not(all(unix, not(loom))))]
fn with_signals_blocked<R>(start: impl FnOnce() -> R) -> R {
    start()
}
