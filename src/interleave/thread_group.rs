//! A thread and its descendants.
//!
//! Std does not tell which thread started another. On Linux, however, each thread inherits the
//! timer slack of the one that started it: the time by which a sleep may be late, 50 µs by default
//! and rarely changed. So a distinct slack of 50 to 90 µs marks a group. On other systems all
//! threads count as one group.

use std::sync::Arc;

use crate::os_threads;

/// A thread and all its descendants, started by any of them.
#[derive(Clone, Debug)]
pub(super) struct ThreadGroup {
    mark: u64,
    /// The threads that existed when the group was created.
    preexisting: Arc<[u64]>,
}

impl ThreadGroup {
    /// Creates a group. The calling thread belongs to it until the member is dropped.
    pub(super) fn found() -> (Self, Member) {
        let family = Self { mark: marks::new(), preexisting: os_threads::all().into() };
        let founder = family.adopt();
        (family, founder)
    }

    /// Adds the calling thread, with the threads that it starts, until the member is dropped.
    pub(super) fn adopt(&self) -> Member {
        Member { before: marks::set(self.mark) }
    }

    /// Returns `true` if the calling thread belongs to the group.
    pub(super) fn has_this_thread(&self) -> bool {
        marks::own().is_none_or(|mark| mark == self.mark)
    }

    /// Returns `true` if the calling thread belongs to the group or existed before: a thread of a
    /// pool may work for the group.
    pub(super) fn may_employ_this_thread(&self) -> bool {
        let is_elder = |own: u64| self.preexisting.contains(&own);
        self.has_this_thread() || os_threads::own().is_some_and(is_elder)
    }

    /// Returns `true` if another thread of this process belongs to the group, or `None` if that is
    /// unknown.
    pub(super) fn has(&self, thread: u64) -> Option<bool> {
        marks::of(thread).map(|mark| mark == self.mark)
    }
}

/// The membership of the calling thread.
#[must_use]
pub(super) struct Member {
    before: Option<u64>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(before) = self.before {
            marks::set(before);
        }
    }
}

#[cfg(target_os = "linux")]
mod marks {
    #![allow(unsafe_code, reason = "`prctl` is a foreign function")]

    use std::{
        fs,
        sync::atomic::{AtomicU64, Ordering::Relaxed},
    };

    /// Returns a mark that no other group has, unless there are 40,000 of them.
    pub(super) fn new() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        50_001 + NEXT.fetch_add(1, Relaxed) % 40_000
    }

    pub(super) fn own() -> Option<u64> {
        // SAFETY: this reads a number of the calling thread.
        let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        u64::try_from(slack).ok()
    }

    /// Sets the mark and returns the previous one.
    pub(super) fn set(mark: u64) -> Option<u64> {
        let before = own()?;
        let mark = libc::c_ulong::try_from(mark).ok()?;
        // SAFETY: this sets a number of the calling thread.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, mark) };
        Some(before)
    }

    /// Reading another thread's slack requires a capability.
    pub(super) fn of(thread: u64) -> Option<u64> {
        let text = fs::read_to_string(format!("/proc/{thread}/timerslack_ns")).ok()?;
        text.trim().parse().ok()
    }
}

#[cfg(not(target_os = "linux"))]
mod marks {
    pub(super) fn new() -> u64 {
        0
    }

    pub(super) fn own() -> Option<u64> {
        None
    }

    pub(super) fn set(_: u64) -> Option<u64> {
        None
    }

    pub(super) fn of(_: u64) -> Option<u64> {
        None
    }
}

#[cfg(all(test, not(loom), target_os = "linux"))]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn children_belong_to_the_family_and_others_do_not() {
        let (family, member) = ThreadGroup::found();
        thread::scope(|scope| {
            let grandchild = || scope.spawn(|| family.has_this_thread()).join().unwrap();
            assert!(scope.spawn(grandchild).join().unwrap());
        });
        let (other, other_member) = ThreadGroup::found();
        assert!(other.has_this_thread() && !family.has_this_thread());
        drop(other_member);
        assert!(family.has_this_thread());
        drop(member);
        assert!(!family.has_this_thread());
    }
}
