//! Tells what the program waits for while it runs: the watchdog, the answer to a signal, and the table of who
//! holds what.

pub(super) mod clock;
pub(super) mod helpers;
#[cfg(unix)]
pub(super) mod on_signal;
pub(super) mod snapshot;
pub(super) mod wait_chain;
pub(super) mod wakeup;
pub(super) mod watchdog;
