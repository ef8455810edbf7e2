//! Prints the table of held locks when a signal asks for it.
//!
//! The handler, of the crate `signal_hook`, only writes a byte to a pipe. A helper thread reads it
//! and prints.

use std::sync::atomic::{
    AtomicUsize,
    Ordering::{Relaxed, SeqCst},
};

use signal_hook::{iterator::Signals, low_level::signal_name};

use super::{bit, handler};
use crate::{
    ledger, render,
    validator::{
        helpers::{self, Helper},
        monitor::snapshot,
    },
};

/// The handler installed for each signal whose default action was in place before.
static INSTALLED: [AtomicUsize; 65] = [const { AtomicUsize::new(0) }; 65];

/// Starts listening for a signal.
pub(super) fn listen(signal: libc::c_int) -> Result<(), String> {
    let before = handler(signal);
    let mut signals = Signals::new([signal]).map_err(|error| error.to_string())?;
    if before == Some(libc::SIG_DFL)
        && let (Some(ours), Ok(number)) = (handler(signal), usize::try_from(signal))
    {
        INSTALLED[number].store(ours, SeqCst);
    }
    let name = signal_name(signal).unwrap_or("a signal").to_owned();
    let answer = move || {
        let helper = Helper::this_thread();
        let mut signals = signals.forever();
        while Helper::rest(helper, || signals.next()).is_some() {
            let table = render::held(&snapshot::all());
            let cut_short = render::cut_short(ledger::cut_short());
            let cut_short = cut_short.map_or_else(String::new, |it| format!("{it}\n"));
            ledger::print_past_all(&format!("lockdep: held locks, at {name}:\n{table}{cut_short}"));
        }
    };
    helpers::start("lockdep-signal", answer).map(drop).map_err(|error| error.to_string())
}

/// Returns the signals whose handler is still the one installed here.
pub(super) fn ours() -> u64 {
    let is_ours = |&signal: &libc::c_int| {
        let installed = usize::try_from(signal).map_or(0, |at| INSTALLED[at].load(Relaxed));
        installed != 0 && handler(signal) == Some(installed)
    };
    (1..=64).filter(is_ours).fold(0, |all, signal| all | bit(signal))
}
