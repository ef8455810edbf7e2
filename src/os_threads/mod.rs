//! This process's threads, from the operating system: which exist, and what each of them does.
//!
//! Reads `/proc/self/task` on Linux; on 64-bit Linux also what a sleeping thread waits for, and which
//! memory other processes may share. Elsewhere nothing is known, and callers must wait with a timeout
//! instead.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod sleep;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod system_calls;
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
mod text;
#[cfg(not(target_os = "linux"))]
mod unknown;

#[cfg(target_os = "linux")]
pub(crate) use linux::{all, are_many, as_in_panics, is_there, own, sleeps};
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
pub(crate) use sleep::{Process, Sleep, is_in_shared_memory, look};
#[cfg(not(target_os = "linux"))]
pub(crate) use unknown::{all, are_many, as_in_panics, is_there, own, sleeps};

/// Returns `true` if another process may share the memory at an address. Not known here; but another
/// process cannot wake a thread that waits for a lock of std or parking_lot.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) fn is_in_shared_memory(_: usize) -> bool {
    false
}

/// Returns every thread of this process with its activity.
#[cfg(not(all(target_os = "linux", target_pointer_width = "64")))]
pub(crate) fn look() -> Vec<crate::finding::OsThread> {
    Vec::new()
}
