//! The kinds of finding.

use super::Level;

/// What a [`Finding`](super::Finding) says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A cycle in the lock order: threads that run its edges at the same time
    /// wait for each other for ever.
    Inversion,
    /// This thread already holds the lock in a mode that blocks it: `lock` in
    /// `lock`, `read` in `write`, `write` in `read`, an initializer that asks
    /// for its own cell. Certain, not a matter of timing.
    SelfDeadlock,
    /// This thread already holds a read guard of the lock that it reads again:
    /// hangs as soon as a writer queues between the two.
    RecursiveRead,
    /// It has happened: each thread of a circle waits for a lock that the next one
    /// holds. At [`Level::Deny`] the thread that closes the circle panics, which gives back
    /// what it holds, so that the others go on; at [`Level::Warn`] it blocks with them.
    Deadlock,
    /// A wait on a condition variable while another lock is held: whoever needs
    /// that lock to get to the notification waits for ever.
    WaitWhileHolding,
    /// A thread ended while holding a lock, since the guard was forgotten: whoever waits
    /// for it from then on waits for ever. Found when the thread ends, where
    /// [`Level::Deny`] prints an error, as the thread can no longer panic; and again by
    /// each thread that is about to wait for the lock.
    LeakedGuard,
}

impl FindingKind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Inversion,
        Self::SelfDeadlock,
        Self::RecursiveRead,
        Self::Deadlock,
        Self::WaitWhileHolding,
        Self::LeakedGuard,
    ];

    /// The name used in reports and in `LOCKDEP`: `inversion`,
    /// `self_deadlock`, `recursive_read`, `deadlock`, `wait_while_holding`, `leaked_guard`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inversion => "inversion",
            Self::SelfDeadlock => "self_deadlock",
            Self::RecursiveRead => "recursive_read",
            Self::Deadlock => "deadlock",
            Self::WaitWhileHolding => "wait_while_holding",
            Self::LeakedGuard => "leaked_guard",
        }
    }

    /// The level in force unless the program or `LOCKDEP` says otherwise.
    #[must_use]
    pub fn default_level(self) -> Level {
        match self {
            Self::Inversion | Self::SelfDeadlock | Self::RecursiveRead | Self::Deadlock => {
                Level::Deny
            }
            Self::WaitWhileHolding | Self::LeakedGuard => Level::Warn,
        }
    }
}
