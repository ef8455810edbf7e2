//! The threads of this process, and which of them sleep.

use std::{
    fs,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// The process for which `/proc` uses the same thread ids as the process itself, or 0. They differ
/// only in a PID namespace that has no `/proc` mounted.
static NUMBERS_AS_PROC: AtomicU32 = AtomicU32::new(0);

/// Returns the calling thread's id in `/proc`.
#[allow(unsafe_code, reason = "std does not tell")]
pub(crate) fn own() -> Option<u64> {
    let process = std::process::id();
    // SAFETY: `gettid` takes no arguments and cannot fail.
    let thread = u64::try_from(unsafe { libc::gettid() }).ok()?;
    if NUMBERS_AS_PROC.load(Relaxed) == process {
        return Some(thread);
    }
    let link = fs::read_link("/proc/thread-self").ok()?;
    let in_proc = link.file_name()?.to_str()?.parse().ok()?;
    NUMBERS_AS_PROC.store(if in_proc == thread { process } else { 0 }, Relaxed);
    Some(in_proc)
}

/// Returns the id that std prints when the thread panics, from the thread's [own] id in `/proc`.
/// `None` if they may differ.
pub(crate) fn as_in_panics(own: u64) -> Option<NonZeroU32> {
    u32::try_from(own).ok().filter(|_| NUMBERS_AS_PROC.load(Relaxed) != 0).and_then(NonZeroU32::new)
}

/// Returns all threads of this process in the order in which they were started, possibly with some
/// that have ended meanwhile.
pub(crate) fn all() -> Vec<u64> {
    // The kernel ends a listing early if the thread at the current position ends. Two equal
    // listings in a row are taken as complete. If threads come and go too fast for that, so is the
    // union of many.
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

/// Returns `true` if a thread sleeps: it waits for an event or for time to pass. A thread that has
/// ended does not sleep.
pub(crate) fn sleeps(thread: u64) -> bool {
    let text = fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok();
    // The name before it may contain any character.
    let state = |text: String| text.rsplit(") ").next()?.chars().next();
    text.and_then(state) == Some('S')
}

/// Returns `true` if a thread still exists.
pub(crate) fn is_there(thread: u64) -> bool {
    fs::exists(format!("/proc/self/task/{thread}")).unwrap_or(false)
}
