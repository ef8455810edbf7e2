//! Prints the table of held locks when a signal asks for it.
//!
//! The handler, of the crate `signal_hook`, writes a byte to a pipe and no more; a thread of
//! ours reads it and prints.

use std::thread;

use signal_hook::{consts::FORBIDDEN, iterator::Signals, low_level::signal_name};

use super::{ignore_this_thread, snapshot};
use crate::{ledger, render};

/// Listens for the signal of a name from now on.
pub(super) fn start(name: &str) {
    if let Err(reason) = listen(name) {
        ledger::print(&format!(
            "lockdep: `{name}` in LOCKDEP_SIGNAL is ignored: {reason}; it takes a name like `USR1`"
        ));
    }
}

fn listen(name: &str) -> Result<(), String> {
    let signal = number(name).ok_or("no signal has this name")?;
    if FORBIDDEN.contains(&signal) {
        return Err("this signal cannot be handled".to_owned());
    }
    let mut signals = Signals::new([signal]).map_err(|error| error.to_string())?;
    let name = signal_name(signal).unwrap_or(name).to_owned();
    let answer = move || {
        ignore_this_thread();
        for _ in signals.forever() {
            let table = render::held(&snapshot::all());
            let cut_short = render::cut_short(ledger::cut_short());
            let cut_short = cut_short.map_or_else(String::new, |it| format!("{it}\n"));
            ledger::print_past_capture(&format!(
                "lockdep: held locks, at {name}:\n{table}{cut_short}"
            ));
        }
    };
    let thread = thread::Builder::new().name("lockdep-signal".into()).spawn(answer);
    thread.map(drop).map_err(|error| error.to_string())
}

/// `USR1` or `SIGUSR1`, in any case.
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
        assert!(listen("KILL").is_err());
    }
}
