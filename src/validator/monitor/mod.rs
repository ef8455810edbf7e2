//! Diagnostics while the program runs: the watchdog, answers to signals, and the table of held
//! locks.

#[cfg_attr(not(all(target_os = "linux", target_pointer_width = "64")), path = "no_global.rs")]
mod global;
#[cfg(all(unix, feature = "signals"))]
pub(super) mod on_signal;
pub(super) mod snapshot;
pub(super) mod wait_chain;
pub(super) mod wakeup;
pub(super) mod watchdog;
