//! One edge of the lock order.

use std::time::Duration;

use super::{LockInfo, Mode, Site, Stack, ThreadInfo};

/// An edge of the lock order: a thread that held one lock acquired another, or
/// was about to.
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
    pub(crate) waited: Option<Duration>,
}

impl Edge {
    /// The lock that was held.
    #[must_use]
    pub fn held(&self) -> &LockInfo {
        &self.held
    }

    /// The lock that was acquired while [`held`](Self::held) was held.
    #[must_use]
    pub fn wanted(&self) -> &LockInfo {
        &self.wanted
    }

    /// The thread that was first seen to do so.
    #[must_use]
    pub fn thread(&self) -> &ThreadInfo {
        &self.thread
    }

    /// Whether the thread does not hold [`held`](Self::held), but waits to write it, and keeps
    /// readers waiting by that. Only in a [`Deadlock`](super::FindingKind::Deadlock).
    #[must_use]
    pub fn is_queued(&self) -> bool {
        self.is_queued
    }

    /// How long the thread had waited when the finding was made. Only in a
    /// [`Deadlock`](super::FindingKind::Deadlock).
    #[must_use]
    pub fn waited(&self) -> Option<Duration> {
        self.waited
    }

    /// Where the held lock had been acquired.
    #[must_use]
    pub fn held_at(&self) -> &Site {
        &self.held_at
    }

    /// Where the wanted lock was acquired.
    #[must_use]
    pub fn acquired_at(&self) -> &Site {
        &self.acquired_at
    }

    /// The call stack of that acquisition.
    #[must_use]
    pub fn backtrace(&self) -> &Stack {
        &self.backtrace
    }

    /// The call stack where the held lock had been acquired. Empty unless
    /// `LOCKDEP_BACKTRACE=full`.
    #[must_use]
    pub fn held_backtrace(&self) -> &Stack {
        &self.held_backtrace
    }

    /// How the held lock is held.
    #[must_use]
    pub fn held_mode(&self) -> Mode {
        self.held_mode
    }

    /// How the wanted lock is acquired.
    #[must_use]
    pub fn wanted_mode(&self) -> Mode {
        self.wanted_mode
    }
}
