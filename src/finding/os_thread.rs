//! What the operating system says of a thread.

#![cfg_attr(
    not(all(target_os = "linux", target_pointer_width = "64")),
    allow(dead_code, reason = "it does not say anything there")
)]

/// A thread of this process, whether or not it ever took a checked lock.
#[derive(Clone, Debug)]
pub(crate) struct OsThread {
    /// Its number, by which debuggers and `top -H` know it.
    pub(crate) id: u64,
    /// Its name; on Linux, the first 15 bytes of it.
    pub(crate) name: String,
    pub(crate) activity: Activity,
}

/// What a thread does right now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Activity {
    /// It runs, or is about to.
    Runs,
    /// It sleeps until another thread wakes it.
    Futex(FutexWait),
    /// It waits for another thread of this process to end.
    Joins(u64),
    /// It is blocked in some other system call.
    SystemCall(SystemCall),
    /// It is blocked in the kernel, but not in a system call: by a page fault.
    Faults,
    /// A signal or a debugger has stopped it.
    Stopped,
    /// It has ended. Only the first thread of a process stays behind.
    HasEnded,
    /// The system does not tell.
    Unknown,
}

/// A wait in a futex.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct FutexWait {
    /// The address of the futex.
    pub(crate) address: u64,
    /// The value that it had.
    pub(crate) value: u32,
    pub(crate) is_timed: bool,
    /// No other process can wake it.
    pub(crate) is_private: bool,
}

/// A system call that blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SystemCall {
    pub(crate) number: u64,
    /// Its name, and in words what it waits for; of those that usually block.
    pub(crate) known: Option<(&'static str, &'static str)>,
}
