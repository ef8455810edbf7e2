//! The life of the process: its forks, and its end.

#[cfg(all(unix, not(loom)))]
pub(super) mod forks;
