//! An edge of the lock order.

use std::time::Duration;

use super::{LockInfo, Mode, Site, ThreadInfo};
use crate::stack::Stack;

/// An edge of the lock order: a thread or task that held one lock acquired another, or
/// was about to.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
/// drop((accounts.lock(), ledger.lock()));
///
/// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
///     println!("{}: {}, then {}", edge.thread(), edge.held_at(), edge.acquired_at());
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Edge {
    pub(crate) held: LockInfo,
    pub(crate) held_mode: Mode,
    pub(crate) held_at: Site,
    pub(crate) held_backtrace: Stack,
    pub(crate) wanted: LockInfo,
    pub(crate) wanted_mode: Mode,
    pub(crate) acquired_at: Site,
    pub(crate) backtrace: Stack,
    pub(crate) thread: ThreadInfo,
    pub(crate) is_queued: bool,
    pub(crate) is_granted: bool,
    pub(crate) may_have_left: bool,
    pub(crate) waited: Option<Duration>,
}

#[cfg(all(test, not(loom)))]
impl Edge {
    /// Returns an edge between two mutexes, of which only the ids are known, at the caller's line.
    #[track_caller]
    pub(crate) fn for_test(held: u64, wanted: u64) -> Self {
        use super::{LockKind, LockOf, Role};

        static KIND: LockKind =
            LockKind { wrapper: "Mutex", of: LockOf::Nothing, role: Role::Lock };
        let site = Site::from(std::panic::Location::caller());
        let [held, wanted] = [held, wanted].map(|id| LockInfo {
            id,
            kind: &KIND,
            created_at: None,
            seen_at: site.clone(),
            name: None,
            class: None,
            resource: None,
        });
        Self {
            held,
            held_mode: Mode::Exclusive,
            held_at: site.clone(),
            held_backtrace: Stack::default(),
            wanted,
            wanted_mode: Mode::Exclusive,
            acquired_at: site,
            backtrace: Stack::default(),
            thread: ThreadInfo::default(),
            is_queued: false,
            is_granted: false,
            may_have_left: false,
            waited: None,
        }
    }
}

impl Edge {
    /// Returns the lock that was held.
    #[must_use]
    pub fn held(&self) -> &LockInfo {
        &self.held
    }

    /// Returns the lock that was acquired while [`held`](Self::held) was held.
    #[must_use]
    pub fn wanted(&self) -> &LockInfo {
        &self.wanted
    }

    /// Returns the first thread or task seen at this edge.
    #[must_use]
    pub fn thread(&self) -> &ThreadInfo {
        &self.thread
    }

    /// Returns `true` if the thread does not hold [`held`](Self::held), but waits to write it and
    /// thereby keeps readers waiting. Only in a [`Deadlock`](super::FindingKind::Deadlock).
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// Returns `true` if a future of the task was granted [`held`](Self::held) and has not been polled since,
    /// so that there is no guard yet. Only in a [`Futurelock`](super::FindingKind::Futurelock).
    #[must_use]
    pub fn is_granted(&self) -> bool {
        self.is_granted
    }

    /// Returns `true` if the guard of [`held`](Self::held) may have left the task that acquired it: the lock is a
    /// `static`, or the task has spawned another one since. If it has, nothing is deadlocked, so the finding is at
    /// [`Level::Warn`](super::Level::Warn) at most. Only where tasks wait for each other or for themselves.
    #[must_use]
    pub fn may_have_left(&self) -> bool {
        self.may_have_left
    }

    /// Returns how long the thread had waited when the finding was made. Only in a
    /// [`Deadlock`](super::FindingKind::Deadlock).
    #[must_use]
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Returns where the held lock was acquired; or requested, if it [was
    /// granted](Self::is_granted).
    #[must_use]
    pub fn held_at(&self) -> &Site {
        &self.held_at
    }

    /// Returns where the wanted lock was acquired.
    #[must_use]
    pub fn acquired_at(&self) -> &Site {
        &self.acquired_at
    }

    /// Returns the call stack of that acquisition.
    #[must_use]
    pub fn backtrace(&self) -> &Stack {
        &self.backtrace
    }

    /// Returns the call stack of the held lock's acquisition. Without `LOCKDEP_BACKTRACE=full`, it is
    /// empty if the thread had taken hundreds of locks since it made its last new edge.
    #[must_use]
    pub fn held_backtrace(&self) -> &Stack {
        &self.held_backtrace
    }

    /// Returns the mode in which the held lock is held.
    #[must_use]
    pub fn held_mode(&self) -> Mode {
        self.held_mode
    }

    /// Returns the mode in which the wanted lock is acquired.
    #[must_use]
    pub fn wanted_mode(&self) -> Mode {
        self.wanted_mode
    }
}

/// The other locks that a thread held when it took an edge.
#[derive(Debug, Default)]
#[cfg_attr(not(feature = "write_records"), allow(dead_code, reason = "for records"))]
pub(crate) struct OtherHolds {
    /// Those held exclusively, one of each class.
    pub(crate) exclusive: Vec<LockInfo>,
    /// There may be others that keep orders apart: held for reading, or not known.
    pub(crate) may_be_more: bool,
}
