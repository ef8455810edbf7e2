//! What the operating system knows about a thread.

#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "this is not queried there")
)]

use std::time::Duration;

/// A thread of this process, whether or not it ever took a checked lock.
#[derive(Clone, Debug)]
pub(crate) struct OsThread {
    /// The thread id, as shown by debuggers and `top -H`.
    pub(crate) id: u64,
    /// The name; on Linux, its first 15 bytes.
    pub(crate) name: String,
    pub(crate) activity: Activity,
    /// How often it has stopped running. If two readings are equal, it has not run in between.
    pub(crate) switches: [u64; 2],
    /// How long it has not run, at least, if that was observed.
    pub(crate) idle: Option<Duration>,
}

/// What a thread is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// Runs, or is runnable.
    Runs,
    /// Sleeps until another thread wakes it.
    Futex(FutexWait),
    /// Waits for another thread of this process to end.
    Joins(u64),
    /// Is blocked in another system call.
    SystemCall(SystemCall),
    /// Is blocked in the kernel outside a system call: by a page fault.
    Faults,
    /// Was stopped by a signal or a debugger.
    Stopped,
    /// Has ended. Only the first thread of a process stays visible.
    HasEnded,
    /// The system does not tell.
    Unknown,
}

/// A wait on a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FutexWait {
    /// The address of the futex.
    pub(crate) address: u64,
    /// The value that was expected there.
    pub(crate) value: u32,
    pub(crate) is_timed: bool,
    /// No other process can wake it.
    pub(crate) is_private: bool,
}

/// A system call that blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemCall {
    pub(crate) number: u64,
    /// For calls that usually block, the name and a description of the wait.
    pub(crate) known: Option<(&'static str, &'static str)>,
}
