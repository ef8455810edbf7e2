//! Prints what the threads hold and wait for at a signal: [on request](request), or because the
//! signal [ends the process](ending).

mod ending;
mod request;

use signal_hook::{consts::FORBIDDEN, low_level::signal_name};

pub(in crate::validator) use self::ending::Endings;
use crate::ledger;

/// Returns the current handler of a signal.
#[allow(unsafe_code, reason = "std has no signals")]
fn handler(signal: libc::c_int) -> Option<libc::sighandler_t> {
    // SAFETY: without a new action, `sigaction` only writes the current one.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        let is_known = libc::sigaction(signal, std::ptr::null(), &raw mut action) == 0;
        is_known.then_some(action.sa_sigaction)
    }
}

/// Starts listening for the signals that `LOCKDEP_SIGNAL` names. Returns `true` if one of them ends
/// the process, which the watchdog [answers](Endings).
pub(in crate::validator) fn start(names: &str) -> bool {
    let mut any_ending = false;
    for name in names.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        let listens = match number(name) {
            None => Err("no signal has this name".to_owned()),
            Some(signal) if FORBIDDEN.contains(&signal) => {
                Err("this signal cannot be handled".to_owned())
            }
            Some(signal) if ending::ENDINGS.contains(&signal) => {
                any_ending = true;
                Ok(())
            }
            Some(signal) => request::listen(signal),
        };
        if let Err(reason) = listens {
            ledger::print_past_capture(&format!(
                "lockdep: `{name}` in LOCKDEP_SIGNAL is ignored: {reason}; it takes names like `USR1`"
            ));
        }
    }
    any_ending
}

/// Returns the signals whose handler is ours and does nothing to the program: one bit for each, the
/// lowest for signal 1.
#[cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "for global deadlocks")
)]
pub(in crate::validator) fn ours() -> u64 {
    ending::ours() | request::ours()
}

fn bit(signal: libc::c_int) -> u64 {
    1 << (signal - 1)
}

/// Parses `USR1` or `SIGUSR1`, in any case.
fn number(name: &str) -> Option<i32> {
    let name = name.to_uppercase();
    let is_it = |known: &str| known == name || known.strip_prefix("SIG") == Some(&name);
    (1..=64).find(|&signal| signal_name(signal).is_some_and(is_it))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn names() {
        assert_eq!(number("USR1"), Some(signal_hook::consts::SIGUSR1));
        assert_eq!(number("sigusr2"), Some(signal_hook::consts::SIGUSR2));
        assert_eq!(number("USR3"), None);
        assert!(!start("KILL") && start("int, TERM"));
        assert_eq!(ours(), 0, "nothing is installed yet");
    }
}
