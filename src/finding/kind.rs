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
    /// A wait on a condition variable while another lock is held: whoever needs
    /// that lock to get to the notification waits for ever.
    WaitWhileHolding,
}

impl FindingKind {
    pub(crate) const ALL: [Self; 4] =
        [Self::Inversion, Self::SelfDeadlock, Self::RecursiveRead, Self::WaitWhileHolding];

    /// The name used in reports and in `LOCKDEP`: `inversion`,
    /// `self_deadlock`, `recursive_read`, `wait_while_holding`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inversion => "inversion",
            Self::SelfDeadlock => "self_deadlock",
            Self::RecursiveRead => "recursive_read",
            Self::WaitWhileHolding => "wait_while_holding",
        }
    }

    /// The level in force unless the program or `LOCKDEP` says otherwise.
    #[must_use]
    pub fn default_level(self) -> Level {
        match self {
            Self::Inversion | Self::SelfDeadlock | Self::RecursiveRead => Level::Deny,
            Self::WaitWhileHolding => Level::Warn,
        }
    }
}
