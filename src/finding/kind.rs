//! The kinds of finding: one table, from which their names, levels and other properties derive.

use super::Level;

/// Defines [`FindingKind`] from a table of names, default levels, and whether a deadlock is `certain` or `possible`.
macro_rules! kinds {
    (is certain) => { true };
    (is possible) => { false };
    ($($(#[doc = $doc:literal])* $kind:ident: $name:literal, $level:ident, $deadlock:ident;)*) => {
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
            $($(#[doc = $doc])* #[doc = concat!("\n\n`", $name, "`, [`Level::", stringify!($level), "`] by default.")] $kind,)*
        }

        impl FindingKind {
            /// All of them.
            pub const ALL: [Self; [$($name),*].len()] = [$(Self::$kind),*];

            /// The name used in reports and in `LOCKDEP`, such as `recursive_read`.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self {
                    $(Self::$kind => $name,)*
                }
            }

            /// The level in force unless the program or `LOCKDEP` changes it. For
            /// [`WaitWhileHolding`](Self::WaitWhileHolding), each [kind of wait](super::WaitKind::default_level)
            /// has its own, and this is that of a condition variable.
            #[must_use]
            pub fn default_level(self) -> Level {
                match self {
                    $(Self::$kind => Level::$level,)*
                }
            }

            /// Returns `true` if the thread or task that makes the finding hangs unless it panics. The other kinds
            /// predict a deadlock, or report what may lead to one.
            #[must_use]
            pub fn is_certain(self) -> bool {
                match self {
                    $(Self::$kind => kinds!(is $deadlock),)*
                }
            }
        }
    };
}

kinds! {
    /// A cycle in the lock order that the threads seen so far can close: if they run its edges at the same time,
    /// they wait for each other forever.
    Inversion: "inversion", Deny, possible;
    /// A cycle in the lock order whose threads never ran at the same time: one did its part before it spawned the
    /// other (or an ancestor of it), or after it had joined it.
    /// This takes threads that [`lockdep::thread`](crate::thread) has spawned. It becomes an
    /// [`Inversion`](Self::Inversion) once both orders are seen while both threads exist.
    ///
    /// Or one that uses an initialized cell: a thread holds a lock that the cell's initializer took, and no spawn or
    /// join is known to put the use after the initialization. Had both run at once, each would have waited for the
    /// other. See [`Mode::Initialized`](super::Mode::Initialized).
    ///
    /// Or one with a new lock: according to the source, a thread had just made it, and no other thread knew it when
    /// the thread acquired the next lock. That cannot hang, so it is at [`Level::Allow`] in any case. It becomes an
    /// [`Inversion`](Self::Inversion) once these two are acquired in this order again.
    OrderedInversion: "ordered_inversion", Warn, possible;
    /// A cycle in the lock order that needs one thread in two places at once: one and the same thread took all of its
    /// edges, or two that no other thread took. It becomes an [`Inversion`](Self::Inversion) once another thread
    /// takes one of them.
    SingleThreadInversion: "single_thread_inversion", Deny, possible;
    /// A cycle in the lock order that cannot close, because its threads hold a common lock around it: a gate, which
    /// lets one of them through at a time. It becomes an [`Inversion`](Self::Inversion) once an edge is seen without
    /// the gate.
    GuardedInversion: "guarded_inversion", Allow, possible;
    /// A cycle in the lock order through a [`Resource`](crate::external::Resource) with a lease: the threads or tasks
    /// wait for each other until the lease ends. It shows as latency and time-outs.
    LeasedInversion: "leased_inversion", Warn, possible;
    /// This thread or task already holds the lock in a mode that blocks it: `lock` in `lock`, `read` in `write`,
    /// `write` in `read`, an initializer that asks for its own cell. It does not depend on timing.
    SelfDeadlock: "self_deadlock", Deny, certain;
    /// This thread or task already holds a read guard of the lock that it reads again: it hangs if a writer queues
    /// between the two.
    RecursiveRead: "recursive_read", Deny, possible;
    /// The threads or tasks of a cycle wait for each other now: each waits for a lock that the next one holds. At
    /// [`Level::Deny`] the thread that closes the cycle panics, which releases its locks, so that the others
    /// continue; at [`Level::Warn`] it blocks with them.
    ///
    /// Or a thread of a forked process is about to wait for a lock that another thread of the parent held at the
    /// fork: the fork copied the lock, but not its holder.
    ///
    /// Or all permits of a semaphore, or of a pool that the program declares, are held by tasks and threads that wait for
    /// each other. It is a warning at most: another permit may be added, or the pool may have a time limit.
    ///
    /// Or every thread of the process sleeps until another one wakes it, whatever it waits for. The
    /// [`watchdog`](crate::watchdog#global-deadlocks) detects this on Linux, and prints it.
    Deadlock: "deadlock", Deny, certain;
    /// An order that the program declared was broken: by [`order_by_key`](crate::order_by_key),
    /// [`declare_order`](crate::declare_order) or one of the related functions.
    DeclaredOrder: "declared_order", Deny, possible;
    /// Two locks were acquired in one order, and two others, made at the same places in the source, in the other
    /// order. The same two locks have not been seen in both.
    ClassInversion: "class_inversion", Warn, possible;
    /// Two locks of one class were held at once, in no declared order: two accounts, say, that one line of the source
    /// creates. Locks that are made for each use and dropped are never seen in both orders, so this is only a
    /// possibility. [`order_by_key`](crate::order_by_key) declares an order, which is then checked instead. It is not
    /// reported for a class with an [`Inversion`](Self::Inversion) between two of its locks.
    SameClassNesting: "same_class_nesting", Allow, possible;
    /// A wait for a notification, a message, space in a channel or a barrier while a lock is held. If the other
    /// thread needs that lock first, both wait forever. The level can be set for each
    /// [kind of wait](super::WaitKind).
    WaitWhileHolding: "wait_while_holding", Warn, possible;
    /// A thread ended while holding a lock, because the guard was forgotten: threads that wait for the lock from
    /// then on wait forever. Found when the thread ends, where [`Level::Deny`] prints an error because the thread
    /// can no longer panic; and again by each thread that is about to wait for the lock.
    ///
    /// Or another thread destroyed a lock that the thread holds. It is found, once for each place in the source, when
    /// the thread next acquires a lock in an order that is new, and printed at [`Level::Deny`] as well.
    LeakedGuard: "leaked_guard", Warn, possible;
    /// A [`Resource`](crate::external::Resource) was held for longer than its lease, so another process may have
    /// acquired it meanwhile. Found when it is released, where [`Level::Deny`] prints an error instead of a panic.
    ExpiredLease: "expired_lease", Warn, possible;
    /// A guard of a blocking lock was alive while its task was suspended. A thread that waits for the lock may be the
    /// one that has to poll the task.
    HeldAcrossAwait: "held_across_await", Warn, possible;
    /// A task waits for a lock that another future of the same task holds or was granted, and does not poll that
    /// future meanwhile. Nothing can wake the task. See Oxide's RFD 609.
    Futurelock: "futurelock", Deny, certain;
    /// A permit of a semaphore is held while another one of the same semaphore is waited for. If as many tasks
    /// do this at once as the semaphore has permits, all of them wait forever.
    PoolExhaustion: "pool_exhaustion", Warn, possible;
}
