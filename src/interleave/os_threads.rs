//! What the operating system says of this process's threads: which there are, and which sleep.
//!
//! Known on Linux. Elsewhere nothing is, and whoever asks has to wait for a while instead.

#[cfg(target_os = "linux")]
mod linux {
    use std::fs;

    /// The calling thread.
    pub(in super::super) fn own() -> Option<u64> {
        let link = fs::read_link("/proc/thread-self").ok()?;
        link.file_name()?.to_str()?.parse().ok()
    }

    /// All threads of this process, in the order in which they were started. May have some that have
    /// ended meanwhile.
    pub(in super::super) fn all() -> Vec<u64> {
        // The kernel ends a listing early if the thread at which it stands ends meanwhile. Two in a row
        // that are the same are taken for whole; with threads that come and go, so are many together.
        let mut all = listed();
        for _ in 0..20 {
            let again = listed();
            let is_same = again == all;
            all.extend(again);
            all.sort_unstable();
            all.dedup();
            if is_same {
                break;
            }
        }
        all
    }

    fn listed() -> Vec<u64> {
        let tasks = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
        let mut all: Vec<u64> =
            tasks.filter_map(|task| task.file_name().to_str()?.parse().ok()).collect();
        all.sort_unstable();
        all
    }

    /// Whether a thread sleeps: it waits for something that others do, or for time to pass. One that
    /// has ended does not.
    pub(in super::super) fn sleeps(thread: u64) -> bool {
        let text = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok();
        // The name before it may have any character in it.
        let state = |text: String| text.rsplit(") ").next()?.chars().next();
        text.and_then(state) == Some('S')
    }

    /// Whether a thread still is.
    pub(in super::super) fn is_there(thread: u64) -> bool {
        fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(false)
    }
}

#[cfg(not(target_os = "linux"))]
mod unknown {
    pub(in super::super) fn own() -> Option<u64> {
        None
    }

    pub(in super::super) fn all() -> Vec<u64> {
        Vec::new()
    }

    pub(in super::super) fn sleeps(_: u64) -> bool {
        true
    }

    pub(in super::super) fn is_there(_: u64) -> bool {
        false
    }
}

#[cfg(target_os = "linux")]
pub(super) use linux::{all, is_there, own, sleeps};
#[cfg(not(target_os = "linux"))]
pub(super) use unknown::{all, is_there, own, sleeps};
