//! The kinds of finding.

use super::Level;

/// What a [`Finding`](super::Finding) says.
///
/// ```
/// use lockdep::{FindingKind, Level};
///
/// // This program has only one thread that takes locks.
/// lockdep::set_level(FindingKind::SingleThreadInversion, Level::Allow);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FindingKind {
    /// A cycle in the lock order that the threads which were seen can close: if they run its
    /// edges at the same time, they wait for each other for ever.
    Inversion,
    /// A cycle in the lock order that needs one thread to be in two places at once: all of
    /// its edges, or two that nobody else has shown, were seen on one and the same thread. It
    /// becomes an [`Inversion`](Self::Inversion) as soon as another thread shows one of them.
    SingleThreadInversion,
    /// A cycle in the lock order that could close, if the threads were there at the same time: but one
    /// did its part before it spawned the other, or an ancestor of it, or after it had joined it.
    /// This takes threads that [`lockdep::thread`](crate::thread) has spawned. It becomes an
    /// [`Inversion`](Self::Inversion) as soon as both are seen while both threads exist.
    OrderedInversion,
    /// A cycle in the lock order that cannot close, since its threads hold a common lock
    /// around it, a gate, which lets one of them through at a time. It becomes an
    /// [`Inversion`](Self::Inversion) as soon as an edge is seen without the gate.
    GuardedInversion,
    /// This thread or task already holds the lock in a mode that blocks it: `lock` in
    /// `lock`, `read` in `write`, `write` in `read`, an initializer that asks
    /// for its own cell. Certain, not a matter of timing.
    SelfDeadlock,
    /// This thread or task already holds a read guard of the lock that it reads again:
    /// hangs as soon as a writer queues between the two.
    RecursiveRead,
    /// It has happened: each thread or task of a circle waits for a lock that the next one
    /// holds. At [`Level::Deny`] the thread that closes the circle panics, which gives back
    /// what it holds, so that the others go on; at [`Level::Warn`] it blocks with them.
    ///
    /// Or every thread of the process sleeps until another one wakes it, whatever it waits for. The
    /// [`watchdog`](crate::watchdog#global-deadlocks) detects this on Linux, and prints it.
    Deadlock,
    /// An order that the program declared was broken: by [`order_by_key`](crate::order_by_key),
    /// [`declare_order`](crate::declare_order) and their like.
    DeclaredOrder,
    /// Two locks were acquired in one order, and two others, made at the same places in the
    /// source, in the other: never the same two in both, so far.
    ClassInversion,
    /// A wait for a notification, a message, space in a channel or a barrier while a lock is held. If the
    /// thread that is waited for needs that lock first, both wait for ever. The level can be set for each
    /// [kind of wait](super::WaitKind).
    WaitWhileHolding,
    /// A thread ended while holding a lock, since the guard was forgotten: whoever waits
    /// for it from then on waits for ever. Found when the thread ends, where
    /// [`Level::Deny`] prints an error, as the thread can no longer panic; and again by
    /// each thread that is about to wait for the lock.
    LeakedGuard,
    /// A guard of a lock that threads wait for was held while its task was not polled. A thread that waits
    /// for the lock may be the one that has to poll the task.
    HeldAcrossAwait,
    /// A task waits for a lock that another future of the same task holds or was granted, and which it does not
    /// poll meanwhile. Certain: nothing can wake the task. See Oxide's RFD 609.
    Futurelock,
    /// A permit of a semaphore is held while another one of the same semaphore is waited for. If as many tasks
    /// do this at once as the semaphore has permits, all of them wait for ever.
    PoolExhaustion,
}

impl FindingKind {
    /// All of them.
    ///
    /// ```
    /// for kind in lockdep::FindingKind::ALL {
    ///     println!("{kind}: {}", kind.default_level());
    /// }
    /// ```
    pub const ALL: [Self; 14] = [
        Self::Inversion,
        Self::OrderedInversion,
        Self::SingleThreadInversion,
        Self::GuardedInversion,
        Self::SelfDeadlock,
        Self::RecursiveRead,
        Self::Deadlock,
        Self::DeclaredOrder,
        Self::ClassInversion,
        Self::WaitWhileHolding,
        Self::LeakedGuard,
        Self::HeldAcrossAwait,
        Self::Futurelock,
        Self::PoolExhaustion,
    ];

    /// The name used in reports and in `LOCKDEP`: `inversion`, `ordered_inversion`,
    /// `single_thread_inversion`, `guarded_inversion`, `self_deadlock`, `recursive_read`, `deadlock`, `declared_order`,
    /// `class_inversion`, `wait_while_holding`, `leaked_guard`, `held_across_await`, `futurelock`, `pool_exhaustion`.
    ///
    /// ```
    /// // As in `LOCKDEP=recursive_read=warn`.
    /// assert_eq!(lockdep::FindingKind::RecursiveRead.name(), "recursive_read");
    /// ```
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Inversion => "inversion",
            Self::OrderedInversion => "ordered_inversion",
            Self::SingleThreadInversion => "single_thread_inversion",
            Self::GuardedInversion => "guarded_inversion",
            Self::SelfDeadlock => "self_deadlock",
            Self::RecursiveRead => "recursive_read",
            Self::Deadlock => "deadlock",
            Self::DeclaredOrder => "declared_order",
            Self::ClassInversion => "class_inversion",
            Self::WaitWhileHolding => "wait_while_holding",
            Self::LeakedGuard => "leaked_guard",
            Self::HeldAcrossAwait => "held_across_await",
            Self::Futurelock => "futurelock",
            Self::PoolExhaustion => "pool_exhaustion",
        }
    }

    /// The level in force unless the program or `LOCKDEP` says otherwise. For
    /// [`WaitWhileHolding`](Self::WaitWhileHolding), each [kind of wait](super::WaitKind::default_level)
    /// has its own, and this is that of a condition variable.
    ///
    /// ```
    /// use lockdep::{FindingKind, Level};
    ///
    /// assert_eq!(FindingKind::Inversion.default_level(), Level::Deny);
    /// assert_eq!(FindingKind::LeakedGuard.default_level(), Level::Warn);
    /// ```
    #[must_use]
    pub fn default_level(self) -> Level {
        match self {
            Self::Inversion
            | Self::SingleThreadInversion
            | Self::SelfDeadlock
            | Self::RecursiveRead
            | Self::Deadlock
            | Self::Futurelock
            | Self::DeclaredOrder => Level::Deny,
            Self::GuardedInversion => Level::Allow,
            Self::OrderedInversion
            | Self::ClassInversion
            | Self::WaitWhileHolding
            | Self::LeakedGuard
            | Self::HeldAcrossAwait
            | Self::PoolExhaustion => Level::Warn,
        }
    }
}
