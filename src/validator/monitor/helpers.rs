//! The threads of this crate that look at the program's: the watchdog, and the one that answers a signal.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Relaxed, SeqCst},
    fence,
};

use crate::{os_threads, validator::ignore_this_thread};

/// A helper thread.
pub(in crate::validator) struct Helper {
    /// The operating system's number of the thread; 0 if this entry is free.
    os_thread: AtomicU64,
    /// `true` while it waits for something to do, and holds no internal lock.
    is_at_rest: AtomicBool,
}

/// A helper without an entry counts as a thread of the program, which is safe: it is never asleep for ever.
static HELPERS: [Helper; 4] =
    [const { Helper { os_thread: AtomicU64::new(0), is_at_rest: AtomicBool::new(false) } }; 4];

impl Helper {
    /// Makes the calling thread one. `None` if the system does not number threads.
    pub(in crate::validator) fn this_thread() -> Option<&'static Self> {
        ignore_this_thread();
        let own = os_threads::own()?;
        let takes =
            |helper: &&Self| helper.os_thread.compare_exchange(0, own, Relaxed, Relaxed).is_ok();
        HELPERS.iter().find(takes)
    }

    /// Waits for something to do.
    pub(in crate::validator) fn rest<R>(helper: Option<&Self>, wait: impl FnOnce() -> R) -> R {
        let set = |is_at_rest| {
            if let Some(helper) = helper {
                helper.is_at_rest.store(is_at_rest, SeqCst);
                // Before it takes any lock: who sees a thread sleep for that lock sees this as well.
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

/// How many there are.
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "for global deadlocks")
)]
pub(in crate::validator) fn count() -> u64 {
    let is_there = |helper: &&Helper| helper.os_thread.load(Relaxed) != 0;
    HELPERS.iter().filter(is_there).count() as u64
}

/// Returns `true` if all of them but the calling one are at rest.
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

/// This is a fork, in which none of them is.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn forget_all() {
    for helper in &HELPERS {
        helper.os_thread.store(0, Relaxed);
    }
}

/// Starts a helper thread with all signals blocked. A program may block signals in all of its threads to
/// receive them by `sigwait`; they must not be delivered to a helper instead.
pub(in crate::validator) fn start(
    name: &str,
    body: impl FnOnce() + Send + 'static,
) -> std::io::Result<std::thread::Thread> {
    let thread = with_signals_blocked(|| std::thread::Builder::new().name(name.into()).spawn(body));
    Ok(thread?.thread().clone())
}

/// Runs a closure that starts a thread, which inherits the signals that are blocked meanwhile.
#[cfg(all(unix, not(loom)))]
#[allow(unsafe_code, reason = "`pthread_sigmask` is")]
fn with_signals_blocked<R>(start: impl FnOnce() -> R) -> R {
    // SAFETY: both sets are written before they are read, and each call takes a valid one.
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
