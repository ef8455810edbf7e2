//! Which threads are the children of one, and theirs.
//!
//! Std tells nobody who has started a thread. But on Linux each thread inherits its timer slack from
//! the one that starts it: by how much a sleep may be late, 50 µs unless somebody has set it, which
//! hardly anybody does. So a slack of its own, of 50 to 90 µs, marks a family. Elsewhere all threads
//! are taken for one.

use std::sync::Arc;

use crate::os_threads;

/// A thread and all that descend from it, by whoever.
#[derive(Clone, Debug)]
pub(super) struct ThreadGroup {
    mark: u64,
    /// The threads that were there when it was founded.
    preexisting: Arc<[u64]>,
}

impl ThreadGroup {
    /// A family of which the calling thread is the first, until what is given as well is dropped.
    pub(super) fn found() -> (Self, Member) {
        let family = Self { mark: marks::new(), preexisting: os_threads::all().into() };
        let founder = family.adopt();
        (family, founder)
    }

    /// Takes the calling thread in, until what this gives is dropped: those that it starts meanwhile
    /// belong here.
    pub(super) fn adopt(&self) -> Member {
        Member { before: marks::set(self.mark) }
    }

    /// Whether the calling thread belongs here.
    pub(super) fn has_this_thread(&self) -> bool {
        marks::own().is_none_or(|mark| mark == self.mark)
    }

    /// Whether the calling thread belongs here, or was there before: as a pool's may be, which does
    /// this family's work.
    pub(super) fn may_employ_this_thread(&self) -> bool {
        let is_elder = |own: u64| self.preexisting.contains(&own);
        self.has_this_thread() || os_threads::own().is_some_and(is_elder)
    }

    /// Whether another thread of this process belongs here, if that can be known.
    pub(super) fn has(&self, thread: u64) -> Option<bool> {
        marks::of(thread).map(|mark| mark == self.mark)
    }
}

/// That the calling thread belongs to a family.
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

    /// One that no other family has, unless there are 40,000 of them.
    pub(super) fn new() -> u64 {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        50_001 + NEXT.fetch_add(1, Relaxed) % 40_000
    }

    pub(super) fn own() -> Option<u64> {
        // SAFETY: it reads a number of the calling thread's.
        let slack = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        u64::try_from(slack).ok()
    }

    /// Gives the mark that was there before.
    pub(super) fn set(mark: u64) -> Option<u64> {
        let before = own()?;
        let mark = libc::c_ulong::try_from(mark).ok()?;
        // SAFETY: it sets a number of the calling thread's.
        unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, mark) };
        Some(before)
    }

    /// Only some may ask: it takes a capability.
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
