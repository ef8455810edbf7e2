//! Answers a signal that ends the process, such as Ctrl-C, with the waits of its threads. Then the
//! process ends as usual.
//!
//! The program's handlers take precedence. That of lockdep is installed only where the default
//! action is in place, and some time after the first lock, because programs install theirs when
//! they start. A handler that the program installs later replaces ours. If it chains to the
//! previous one, as the crate `signal_hook` does, ours notices that it is no longer installed and
//! returns.
//!
//! The handler stores the signal's number and wakes the watchdog, which prints and ends the
//! process. In a fork, which has no watchdog, and at the second signal unless it is a copy of the
//! first, the handler ends the process itself.

#![allow(unsafe_code, reason = "std has no signals")]

use std::{
    sync::atomic::{
        AtomicI32, AtomicU32, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
    time::Duration,
};

use libc::{SIGHUP, SIGINT, SIGQUIT, SIGTERM, c_int, sighandler_t};
use signal_hook::low_level::signal_name;

use super::{bit, handler, number};
use crate::{
    ledger,
    validator::{clock::Moment, monitor::wakeup},
};

/// The signals with which people and tools end a program.
pub(super) const ENDINGS: [c_int; 4] = [SIGHUP, SIGINT, SIGQUIT, SIGTERM];

/// The time that programs have to install their own handlers, after their first lock.
const INSTALL_AFTER: Duration = Duration::from_secs(3);

/// The process whose signals are answered.
static PROCESS: AtomicU32 = AtomicU32::new(0);
/// The signals with our handler, as [`bit`]s.
static INSTALLED: AtomicU64 = AtomicU64::new(0);
/// The signal that was received, or 0.
static RECEIVED: AtomicI32 = AtomicI32::new(0);
/// When it was received: a [`Moment`].
static RECEIVED_AT: AtomicU64 = AtomicU64::new(0);
/// A signal that comes sooner after the first one is a copy of it. `timeout` signals the program and then its whole
/// group, and test runners pass a signal of the group on to their tests.
const COPIES: Duration = Duration::from_secs(1);

/// Installs the handlers when it is time, and checks whether one has received its signal.
pub(in crate::validator) struct Endings {
    not_installed: Vec<c_int>,
}

/// A signal that the watchdog must answer.
pub(in crate::validator) struct Answer {
    signal: c_int,
}

impl Endings {
    /// Creates it for the signals that `LOCKDEP_SIGNAL` names.
    pub(in crate::validator) fn of_environment() -> Self {
        PROCESS.store(std::process::id(), Relaxed);
        let names = ledger::settings().signal.as_deref().unwrap_or_default();
        let signals = names.split(',').filter_map(|name| number(name.trim()));
        Self { not_installed: signals.filter(|signal| ENDINGS.contains(signal)).collect() }
    }

    /// Checks once. Called by the watchdog.
    pub(in crate::validator) fn look(&mut self) -> Option<Answer> {
        if Moment::now().since_first_lock() >= INSTALL_AFTER {
            std::mem::take(&mut self.not_installed).into_iter().for_each(install);
        }
        let signal = RECEIVED.load(SeqCst);
        if signal != 0 && !is_ours(signal) {
            // A handler that was installed meanwhile has received the signal as well.
            RECEIVED_AT.store(0, SeqCst);
            RECEIVED.store(0, SeqCst);
            return None;
        }
        (signal != 0).then_some(Answer { signal })
    }
}

impl Answer {
    pub(in crate::validator) fn signal_name(&self) -> &'static str {
        signal_name(self.signal).unwrap_or("a signal")
    }

    /// Ends the process as the signal would have.
    pub(in crate::validator) fn end_process(self) {
        // SAFETY: the set is initialized before it is used. The watchdog blocks all signals.
        unsafe {
            let mut only = std::mem::zeroed();
            libc::sigemptyset(&raw mut only);
            libc::sigaddset(&raw mut only, self.signal);
            libc::pthread_sigmask(libc::SIG_UNBLOCK, &raw const only, std::ptr::null_mut());
        }
        take_default(self.signal);
    }
}

/// Installs the handler if the default action is in place.
fn install(signal: c_int) {
    if handler(signal) != Some(libc::SIG_DFL) {
        return;
    }
    INSTALLED.fetch_or(bit(signal), SeqCst);
    // SAFETY: an all-zero action is valid, and the handler is async-signal-safe.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = ours_as_handler();
        // Interrupted calls are resumed until the process ends.
        action.sa_flags = libc::SA_RESTART;
        libc::sigaction(signal, &raw const action, std::ptr::null_mut());
    }
}

fn ours_as_handler() -> sighandler_t {
    receive as *const () as sighandler_t
}

/// Returns `true` if our handler is installed for a signal.
fn is_ours(signal: c_int) -> bool {
    INSTALLED.load(Relaxed) & bit(signal) != 0 && handler(signal) == Some(ours_as_handler())
}

/// Returns the signals whose handler is ours.
pub(super) fn ours() -> u64 {
    let ours = ENDINGS.into_iter().filter(|&signal| is_ours(signal));
    ours.fold(0, |all, signal| all | bit(signal))
}

/// Replaces a signal's default action. Async-signal-safe.
extern "C" fn receive(signal: c_int) {
    if !is_ours(signal) {
        return;
    }
    let is_first = RECEIVED.compare_exchange(0, signal, SeqCst, SeqCst).is_ok();
    // SAFETY: `getpid` cannot fail.
    let process = u32::try_from(unsafe { libc::getpid() });
    // The environment was read before the handler was installed, so this only asks the clock.
    let now = Moment::now();
    if process != Ok(PROCESS.load(Relaxed)) {
        take_default(signal);
    } else if is_first {
        RECEIVED_AT.store(now.0, SeqCst);
        wakeup::ring();
    } else if !is_copy(RECEIVED_AT.load(SeqCst), now.0) {
        take_default(signal);
    }
}

/// Returns `true` if a signal at `now` is a copy of the one at `first`, both in milliseconds; `first` is 0 while the
/// first one is being handled, or if there is no clock.
fn is_copy(first: u64, now: u64) -> bool {
    first == 0 || u128::from(now.saturating_sub(first)) < COPIES.as_millis()
}

/// Performs the default action of a signal, which ends the process. If the signal is blocked, as in
/// its own handler, this happens as soon as it is unblocked.
fn take_default(signal: c_int) {
    // SAFETY: both are async-signal-safe.
    unsafe {
        libc::signal(signal, libc::SIG_DFL);
        libc::raise(signal);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn a_signal_that_follows_at_once_is_a_copy() {
        assert!(is_copy(0, 7) && is_copy(7, 7) && is_copy(7, 1006));
        assert!(!is_copy(7, 1007) && !is_copy(7, 90_000));
    }
}
