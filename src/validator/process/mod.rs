//! The life of the process: its first lock, and its forks.

pub(super) mod begin;
#[cfg(all(unix, not(loom)))]
pub(super) mod forks;
