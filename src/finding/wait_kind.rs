//! The kinds of waits other than for a lock.

use super::Level;

/// A kind of wait other than for a lock. [`WaitWhileHolding`](super::FindingKind::WaitWhileHolding)
/// has a level for each.
///
/// ```
/// use lockdep::{Level, WaitKind};
///
/// // No worker of this program may hold a lock while it waits for a job.
/// lockdep::set_wait_level(WaitKind::Recv, Level::Deny);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
#[repr(u8)]
pub enum WaitKind {
    /// A notification of a condition variable.
    Condvar,
    /// The end of another thread: `join`, or the end of a scope.
    Join,
    /// A message: `recv` on an empty channel.
    Recv,
    /// Space for a message: `send` on a full bounded channel; or the receiver, on a channel without
    /// capacity.
    Send,
    /// The other threads at a barrier.
    Barrier,
    /// A call of `unpark` by another thread.
    Park,
    /// Jobs of a thread pool: rayon's `join`, `scope`, `install` or `broadcast`.
    Jobs,
}

impl WaitKind {
    /// All kinds.
    pub const ALL: [Self; 7] =
        [Self::Condvar, Self::Join, Self::Recv, Self::Send, Self::Barrier, Self::Park, Self::Jobs];

    /// Returns the name used in `LOCKDEP`: `condvar`, `join`, `recv`, `send`, `barrier`, `park`, `jobs`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Condvar => "condvar",
            Self::Join => "join",
            Self::Recv => "recv",
            Self::Send => "send",
            Self::Barrier => "barrier",
            Self::Park => "park",
            Self::Jobs => "jobs",
        }
    }

    /// Returns the level of [`WaitWhileHolding`](super::FindingKind::WaitWhileHolding) for this
    /// kind of wait, unless the program or `LOCKDEP` sets another.
    ///
    /// Kinds that are usually harmless are allowed: the workers of a pool take turns at one
    /// receiver, scopes join their threads while the list of threads is locked, and tests let
    /// threads meet at a barrier while they hold locks.
    #[must_use]
    pub fn default_level(self) -> Level {
        match self {
            Self::Condvar | Self::Send => Level::Warn,
            Self::Join | Self::Recv | Self::Barrier | Self::Park | Self::Jobs => Level::Allow,
        }
    }

    /// Describes the awaited event.
    pub(crate) fn event(self) -> &'static str {
        match self {
            Self::Condvar => "a notification",
            Self::Join => "another thread to end",
            Self::Recv => "a message",
            Self::Send => "space for a message",
            Self::Barrier => "the other threads at a barrier",
            Self::Park => "another thread to unpark it",
            Self::Jobs => "the jobs of a thread pool",
        }
    }
}
