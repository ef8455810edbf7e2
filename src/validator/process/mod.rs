//! The life of the process: its forks, and its end.

pub(super) mod begin;
#[cfg(all(unix, not(loom)))]
pub(super) mod forks;
