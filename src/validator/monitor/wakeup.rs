//! The watchdog's sleep: for some time, or until a signal handler wakes it.
//!
//! Uses a futex directly, because std's primitives must not be used in a signal handler. On systems
//! without futexes the watchdog reacts only at its next tick.

use std::time::Duration;

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod imp {
    #![allow(unsafe_code, reason = "std has no futex")]

    use std::{
        ptr,
        sync::atomic::{AtomicU32, Ordering::SeqCst},
    };

    use super::Duration;

    /// 1 if `ring` was called since the last wait ended.
    static RUNG: AtomicU32 = AtomicU32::new(0);

    pub(in crate::validator) fn wait(limit: Duration) {
        let limit = libc::timespec {
            tv_sec: limit.as_secs().try_into().unwrap_or(libc::time_t::MAX),
            tv_nsec: limit.subsec_nanos().into(),
        };
        let operation = libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the futex is a static, and the limit lives until the call returns.
        unsafe {
            libc::syscall(libc::SYS_futex, RUNG.as_ptr(), operation, 0, &raw const limit);
        }
        RUNG.store(0, SeqCst);
    }

    pub(in crate::validator) fn ring() {
        RUNG.store(1, SeqCst);
        let operation = libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG;
        // SAFETY: the futex is a static. `errno` belongs to the interrupted code, so it is
        // restored.
        unsafe {
            let errno = libc::__errno_location();
            let before = ptr::read(errno);
            libc::syscall(libc::SYS_futex, RUNG.as_ptr(), operation, 1);
            ptr::write(errno, before);
        }
    }
}

#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
mod imp {
    use super::Duration;

    pub(in crate::validator) fn wait(limit: Duration) {
        std::thread::sleep(limit);
    }

    pub(in crate::validator) fn ring() {}
}

/// Waits until [`ring`] is called, or for some time. For one thread.
pub(in crate::validator) fn wait(limit: Duration) {
    imp::wait(limit);
}

/// Ends the current wait or the next one. Async-signal-safe.
pub(in crate::validator) fn ring() {
    imp::ring();
}
