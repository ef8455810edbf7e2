//! Diagnostics while the program runs: the watchdog, answers to signals, and the table of held
//! locks.

pub(super) mod clock;
pub(super) mod helpers;
#[cfg(all(unix, feature = "signals"))]
pub(super) mod on_signal;
pub(super) mod snapshot;
pub(super) mod wait_chain;
pub(super) mod wakeup;
pub(super) mod watchdog;
