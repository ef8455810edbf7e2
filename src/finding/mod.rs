//! Findings as plain data; the lowest layer.
//!
//! Owns the types that the validator passes up to hooks and tests and to the renderers. Knows
//! nothing about how a finding is detected, stored or drawn, and takes no lock.

mod bug;
mod doctest;
mod edge;
mod kind;
mod level;
mod lock;
mod order_graph;
mod os_thread;
mod parse;
mod site;
mod snapshot;
mod stats;
mod thread;
mod wait_kind;

use std::{sync::Arc, time::Duration};

pub(crate) use bug::{Bug, BugEdge, ShownAt};
pub(crate) use doctest::{Doctest, Origin};
pub use edge::Edge;
pub(crate) use edge::OtherHolds;
pub use kind::FindingKind;
pub use level::Level;
pub use lock::{LockInfo, LockKind, LockOf, Mode, Role};
pub(crate) use lock::{ResourceInfo, with_article};
pub use order_graph::OrderGraph;
pub(crate) use os_thread::{Activity, FutexWait, OsThread, SystemCall};
pub use parse::UnknownName;
pub use site::Site;
pub(crate) use snapshot::{ChainEnd, Until, WaitChain, WaitLink};
pub use snapshot::{HeldLocks, LockUse, ThreadSnapshot};
pub use stats::Stats;
pub use thread::ThreadInfo;
#[cfg(feature = "write_records")]
pub(crate) use thread::UNNAMED;
pub(crate) use thread::{ScopeId, tell_apart};
pub use wait_kind::WaitKind;

/// A problem that the validator has found: a cycle in the lock order, a lock acquired twice, a wait
/// with a lock held, threads that wait for each other.
///
/// [`Display`](std::fmt::Display) writes the report without colours. Cloning is cheap because the
/// parts are shared.
///
/// ```
/// use lockdep::{FindingKind, sync::RwLock, testing};
///
/// let rates = RwLock::new(());
/// for finding in testing::collect(|| drop((rates.read(), rates.read()))) {
///     assert_eq!(finding.kind(), FindingKind::RecursiveRead);
///     println!("{finding}");
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Finding {
    pub(crate) kind: FindingKind,
    pub(crate) level: Level,
    pub(crate) cycle: Arc<[Edge]>,
    pub(crate) count: u64,
    pub(crate) detail: Detail,
    pub(crate) silenced: Option<Arc<str>>,
}

/// What some findings contain besides their edges.
#[derive(Clone, Debug)]
pub(crate) enum Detail {
    None,
    /// The writer that makes a cycle of readers dangerous.
    Writer(Writer),
    /// The locks that keep a cycle from closing.
    Gates(Arc<[LockInfo]>),
    /// Two classes, by number, and the places that may create only locks of these.
    Classes {
        numbers: [u32; 2],
        made_at: Arc<[Site]>,
    },
    /// A class of which two locks were held at once, by number, and the places that may create only its locks.
    OneClass {
        number: u32,
        made_at: Arc<[Site]>,
        /// Where a report shows the two acquisitions, if it is known: helpers acquire many locks.
        shown_at: Option<[Site; 2]>,
    },
    /// One of the threads was joined before another was spawned.
    InSequence,
    /// No other thread knew the held lock of the edge with this index.
    Unshared(usize),
    /// The declared order.
    Declared(Declaration),
    /// Everything that the threads of a deadlock hold and wait for.
    Threads(Arc<[ThreadSnapshot]>),
    /// The pool in a deadlock, all of whose permits are held by threads or tasks that wait.
    Exhausted(Exhausted),
    /// All threads of the process, none of which will ever wake up.
    AllAsleep(Arc<[ThreadSnapshot]>),
    /// The thread that ended while it held the lock for which another is about to wait.
    LeftBy(ThreadInfo),
    /// Another thread has destroyed the lock, whose guard was forgotten.
    Destroyed,
    /// The thread that holds the lock for which another is about to wait. It does not exist in this
    /// process, which was forked.
    LeftInParent(ThreadInfo),
    /// How long a lock was held, and the lease under which it was acquired.
    HeldFor(Duration, Duration),
    /// The thread ran this job while it waited in a call, with the lock held.
    InJob(InJob),
    /// The kind of the wait during which locks are held.
    Wait(WaitKind),
}

/// A pool all of whose permits are held by threads or tasks that wait. They wait for ever only under a condition, so it is
/// a warning at most.
#[derive(Clone, Debug)]
pub(crate) struct Exhausted {
    pub(crate) pool: LockInfo,
    pub(crate) permits: u32,
    /// One of the guards may be with another thread or task.
    pub(crate) may_have_left: bool,
    /// Everything that these threads and tasks hold and wait for.
    pub(crate) threads: Arc<[ThreadSnapshot]>,
}

impl Exhausted {
    /// Returns `true` if another thread or task may add permits, or close the pool, which ends the waits. The waits for a
    /// pool outside of the program may have a time limit instead.
    pub(crate) fn may_grow(&self) -> bool {
        !self.pool.kind.is_outside()
    }
}

/// How a thread came to run a job while it held a lock.
#[derive(Clone, Debug)]
pub(crate) struct InJob {
    pub(crate) waits_at: Site,
    /// `true` if the call does not wait for the job, which the thread ran meanwhile.
    pub(crate) is_stolen: bool,
}

impl Detail {
    /// Returns the two classes of a finding about classes, and the places that may create only locks of these.
    pub(crate) fn classes(&self) -> Option<([u32; 2], &[Site])> {
        match self {
            Self::Classes { numbers, made_at } => Some((*numbers, made_at)),
            Self::OneClass { number, made_at, .. } => Some(([*number; 2], made_at)),
            _ => None,
        }
    }

    /// Returns the threads besides those of the edges.
    fn threads_mut(&mut self) -> impl Iterator<Item = &mut ThreadInfo> {
        let (snapshots, one): (&mut [ThreadSnapshot], _) = match self {
            Self::Threads(threads)
            | Self::AllAsleep(threads)
            | Self::Exhausted(Exhausted { threads, .. }) => (Arc::make_mut(threads), None),
            Self::Writer(writer) => (&mut [], Some(&mut writer.thread)),
            Self::LeftBy(thread) | Self::LeftInParent(thread) => (&mut [], Some(thread)),
            _ => (&mut [], None),
        };
        snapshots.iter_mut().map(|it| &mut it.thread).chain(one)
    }
}

/// The declaration about two locks that was broken.
#[derive(Clone, Debug)]
pub(crate) enum Declaration {
    /// The locks have these keys, as `Debug` prints them.
    Keys { held: Arc<str>, wanted: Arc<str>, are_equal: bool },
    /// The wanted one comes first, as declared at this place.
    Order(Site),
    /// The held one is a leaf.
    Leaf,
    /// The wanted one is an outermost lock.
    Outermost,
}

/// The acquisition for writing that makes a cycle of readers dangerous.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) lock: LockInfo,
    pub(crate) thread: ThreadInfo,
    pub(crate) site: Site,
}

impl Finding {
    pub(crate) fn new(
        kind: FindingKind,
        level: Level,
        mut cycle: Vec<Edge>,
        mut detail: Detail,
    ) -> Self {
        tell_apart(cycle.iter_mut().map(|edge| &mut edge.thread).chain(detail.threads_mut()));
        Self { kind, level, cycle: cycle.into(), count: 1, detail, silenced: None }
    }

    /// Returns the kind of the finding.
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// Returns the [`Level`] in force when it was found.
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// Returns the edges of the cycle in order, one per lock: the lock that `cycle()[i]` wants is
    /// the one that `cycle()[i + 1]` holds, and the last wants the one that the first holds. The
    /// first edge is the acquisition that was about to happen when the finding was made; but if the
    /// first `write` of a lock made a cycle of readers dangerous, all edges are from before.
    ///
    /// The two edges of a [`FindingKind::ClassInversion`] concern different locks of the same two
    /// classes.
    ///
    /// [`FindingKind::SameClassNesting`] has one edge, between two locks of one class.
    ///
    /// A finding about one lock ([`FindingKind::SelfDeadlock`], [`FindingKind::RecursiveRead`]) has
    /// one edge, from the lock to itself. [`FindingKind::WaitWhileHolding`] has one edge per lock
    /// held during the wait, each to the mutex that the wait on a condition variable releases, or
    /// else to the channel or barrier. [`FindingKind::Deadlock`] has one edge per thread, from the
    /// lock of the cycle that it holds to the one for which it waits, starting with the thread that
    /// closed the cycle; it has none if all threads of the process sleep and nothing can wake them,
    /// and one, from the lock to itself, if the holder of the lock stayed in the parent of a fork.
    /// [`FindingKind::LeakedGuard`] has one edge, from the lock to itself: of the thread that
    /// ended, and of each that is about to wait for the lock.
    ///
    /// ```
    /// # use lockdep::{FindingKind, Level, sync::Mutex};
    /// # lockdep::set_level(FindingKind::SingleThreadInversion, Level::Allow);
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// drop((ledger.lock(), accounts.lock()));
    /// for inversion in lockdep::take_findings() {
    ///     let [first, second] = inversion.cycle() else { panic!("there are two locks") };
    ///     assert!(first.wanted() == second.held() && second.wanted() == first.held());
    /// }
    /// ```
    #[must_use]
    pub fn cycle(&self) -> &[Edge] {
        &self.cycle
    }

    /// Returns the kind of wait of a [`WaitWhileHolding`](FindingKind::WaitWhileHolding).
    #[must_use]
    pub fn wait(&self) -> Option<WaitKind> {
        match self.detail {
            Detail::Wait(kind) => Some(kind),
            _ => None,
        }
    }

    /// Returns why the finding is silenced, if it is: the reason given to
    /// [`allow_pair`](crate::allow_pair) or in `lockdep.toml`.
    #[must_use]
    pub fn silenced(&self) -> Option<&str> {
        self.silenced.as_deref()
    }

    /// Returns how often it has happened so far, including this time.
    ///
    /// Repetitions are only counted if they are denied.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}
