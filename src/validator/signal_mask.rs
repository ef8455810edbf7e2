//! Signal handlers, which must neither allocate nor unwind, and how the thread recognizes one.

/// Returns `true` if the calling thread blocks any signal, as in a signal handler that was
/// installed without `SA_NODEFER`.
#[cfg(unix)]
#[allow(unsafe_code, reason = "`pthread_sigmask` is")]
pub(super) fn blocks_signals() -> bool {
    // For invalid numbers, `sigismember` sets `errno`, which the interrupted code may be about to
    // read.
    let last = if cfg!(target_os = "linux") { 64 } else { 31 };
    // SAFETY: without a new mask, `pthread_sigmask` only writes the old one, which is initialized
    // then; `sigismember` reads that.
    unsafe {
        let mut blocked = std::mem::zeroed();
        libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), &raw mut blocked);
        (1..=last).any(|signal| libc::sigismember(&raw const blocked, signal) == 1)
    }
}

#[cfg(not(unix))]
pub(super) fn blocks_signals() -> bool {
    false
}
