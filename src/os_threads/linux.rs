//! Which threads there are, and which of them sleep.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The process whose threads are numbered in `/proc` as it numbers them itself, which they are unless
/// it is in a PID namespace that has no `/proc` mounted.
static NUMBERS_AS_PROC: AtomicU32 = AtomicU32::new(0);

/// The calling thread, by its number in `/proc`.
#[allow(unsafe_code, reason = "std does not tell")]
pub(crate) fn own() -> Option<u64> {
    let process = std::process::id();
    // SAFETY: it takes nothing, and cannot fail.
    let thread = u64::try_from(unsafe { libc::gettid() }).ok()?;
    if NUMBERS_AS_PROC.load(Relaxed) == process {
        return Some(thread);
    }
    let link = fs::read_link("/proc/thread-self").ok()?;
    let in_proc = link.file_name()?.to_str()?.parse().ok()?;
    if in_proc == thread {
        NUMBERS_AS_PROC.store(process, Relaxed);
    }
    Some(in_proc)
}

/// All threads of this process, in the order in which they were started. May have some that have
/// ended meanwhile.
pub(crate) fn all() -> Vec<u64> {
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

/// Returns `true` if the process has more than one thread.
pub(crate) fn are_many() -> bool {
    listed().len() > 1
}

/// Returns `true` if a thread sleeps: it waits for something that others do, or for time to pass. One
/// that has ended does not.
pub(crate) fn sleeps(thread: u64) -> bool {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok();
    // The name before it may have any character in it.
    let state = |text: String| text.rsplit(") ").next()?.chars().next();
    text.and_then(state) == Some('S')
}

/// Returns `true` if a thread still exists.
pub(crate) fn is_there(thread: u64) -> bool {
    fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(false)
}
