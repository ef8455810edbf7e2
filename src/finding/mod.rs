//! The ground floor: what a finding is made of, as plain data.
//!
//! Owns the types that travel up to hooks and tests and sideways to the
//! renderers. Knows nothing of how a finding is detected, kept or drawn, and
//! takes no lock.

mod edge;
mod kind;
mod level;
mod lock;
mod names;
mod order_graph;
mod os_thread;
mod site;
mod snapshot;
mod stats;
mod thread;
mod wait;

use std::sync::Arc;

pub use edge::Edge;
pub use kind::FindingKind;
pub use level::Level;
pub use lock::{LockInfo, LockKind, LockOf, Mode, Role};
pub use names::UnknownName;
pub use order_graph::OrderGraph;
pub(crate) use os_thread::{Activity, FutexWait, OsThread, SystemCall};
pub use site::Site;
pub(crate) use snapshot::{ChainEnd, Until, WaitChain, WaitLink};
pub use snapshot::{HeldLocks, LockUse, ThreadSnapshot};
pub use stats::Stats;
pub(crate) use thread::ScopeId;
pub use thread::ThreadInfo;
pub use wait::WaitKind;

/// One thing the validator has to say: a cycle in the lock order, a lock
/// acquired twice, a wait with a lock held, threads that wait for each other.
///
/// [`Display`](std::fmt::Display) is the report, without colour. Cloning is
/// cheap: the parts are shared.
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

/// What some findings have beside their edges.
#[derive(Clone, Debug)]
pub(crate) enum Detail {
    None,
    /// The writer that made a cycle of readers dangerous.
    Writer(Writer),
    /// The locks that keep a cycle from closing.
    Gates(Arc<[LockInfo]>),
    /// Two classes, by number, and the places that are said to make nothing but their locks.
    Classes {
        numbers: [u32; 2],
        made_at: Arc<[Site]>,
    },
    /// One of its threads had been joined before another was spawned.
    InSequence,
    /// What was declared.
    Declared(Declaration),
    /// All that the threads of a deadlock hold and wait for.
    Threads(Arc<[ThreadSnapshot]>),
    /// All threads of the process, none of which will ever go on.
    AllAsleep(Arc<[ThreadSnapshot]>),
    /// The thread that ended while holding what another is about to wait for.
    LeftBy(ThreadInfo),
    /// What is waited for while locks are held.
    Wait(WaitKind),
}

/// What the program declared of two locks, and they broke.
#[derive(Clone, Debug)]
pub(crate) enum Declaration {
    /// They have these keys, as their `Debug` prints them.
    Keys { held: Arc<str>, wanted: Arc<str>, are_equal: bool },
    /// The wanted one comes first: said there.
    Order(Site),
    /// The held one is a leaf.
    Leaf,
    /// The wanted one is an outermost lock.
    Outermost,
}

/// Who made a cycle of readers dangerous, by writing one of its locks.
#[derive(Clone, Debug)]
pub(crate) struct Writer {
    pub(crate) lock: LockInfo,
    pub(crate) thread: ThreadInfo,
    pub(crate) site: Site,
}

impl Finding {
    pub(crate) fn new(kind: FindingKind, level: Level, cycle: Vec<Edge>, detail: Detail) -> Self {
        Self { kind, level, cycle: cycle.into(), count: 1, detail, silenced: None }
    }

    /// What was found.
    ///
    /// ```
    /// # lockdep::set_level(lockdep::FindingKind::RecursiveRead, lockdep::Level::Allow);
    /// # let rates = lockdep::sync::RwLock::new(());
    /// drop((rates.read(), rates.read()));
    /// for finding in lockdep::take_findings() {
    ///     assert_eq!(finding.kind(), lockdep::FindingKind::RecursiveRead);
    /// }
    /// ```
    #[must_use]
    pub fn kind(&self) -> FindingKind {
        self.kind
    }

    /// The [`Level`] in force when it was found.
    ///
    /// ```
    /// use lockdep::{FindingKind, Level};
    /// # let rates = lockdep::sync::RwLock::new(());
    ///
    /// lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
    /// drop((rates.read(), rates.read()));
    /// for finding in lockdep::take_findings() {
    ///     assert_eq!(finding.level(), Level::Allow);
    /// }
    /// ```
    #[must_use]
    pub fn level(&self) -> Level {
        self.level
    }

    /// The edges of the cycle, one per lock in it, in its order: the lock that
    /// `cycle()[i]` wants is the one that `cycle()[i + 1]` holds, and the last
    /// wants what the first holds. The first edge is the acquisition that was
    /// about to happen when the finding was made; only where a cycle of readers
    /// became dangerous through a first `write`, all its edges are from before.
    ///
    /// The two edges of a [`FindingKind::ClassInversion`] are of different locks of the same two
    /// classes.
    ///
    /// A finding about one lock ([`FindingKind::SelfDeadlock`],
    /// [`FindingKind::RecursiveRead`]) has one edge, from the lock to itself.
    /// [`FindingKind::WaitWhileHolding`] has one edge per lock held during the
    /// wait, each wanting the mutex that a condition variable's wait releases, or else the channel or
    /// barrier.
    /// [`FindingKind::Deadlock`] has one edge per thread: what it holds of the circle
    /// and what it waits for, that of the thread which closed the circle first; it has none if all
    /// threads of the process sleep and nothing can wake them, whatever they wait for.
    /// [`FindingKind::LeakedGuard`] has one edge, from the lock to itself: of the thread
    /// that ended, and of each that is about to wait for the lock.
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

    /// What is waited for, by a [`WaitWhileHolding`](FindingKind::WaitWhileHolding).
    ///
    /// ```
    /// use lockdep::{WaitKind, sync::{Mutex, mpsc}, testing};
    ///
    /// let (state, (sender, receiver)) = (Mutex::new(()), mpsc::sync_channel::<u8>(0));
    /// let findings = testing::collect(|| {
    ///     std::thread::scope(|scope| {
    ///         scope.spawn(|| receiver.into_iter().count());
    ///         let _state = state.lock().unwrap();
    ///         sender.send(1).unwrap();
    ///         drop(sender);
    ///     });
    /// });
    /// for finding in findings {
    ///     assert_eq!(finding.wait(), Some(WaitKind::Send));
    /// }
    /// ```
    #[must_use]
    pub fn wait(&self) -> Option<WaitKind> {
        match self.detail {
            Detail::Wait(kind) => Some(kind),
            _ => None,
        }
    }

    /// Why it was not told, if it is known: the reason given to
    /// [`allow_pair`](crate::allow_pair) or in `lockdep.toml`.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// lockdep::allow_pair(&accounts, &ledger, "only at startup");
    /// drop((accounts.lock(), ledger.lock()));
    /// drop((ledger.lock(), accounts.lock()));
    /// for finding in lockdep::findings() {
    ///     assert_eq!(finding.silenced(), Some("only at startup"));
    /// }
    /// ```
    #[must_use]
    pub fn silenced(&self) -> Option<&str> {
        self.silenced.as_deref()
    }

    /// How often it happened so far, this one included.
    ///
    /// Not every repetition is seen: only what is denied is looked at again.
    ///
    /// ```
    /// # use std::panic::catch_unwind;
    /// # let rates = lockdep::sync::RwLock::new(());
    /// for _ in 0..3 {
    ///     let denied = catch_unwind(|| drop((rates.read(), rates.read())));
    /// }
    /// for finding in lockdep::take_findings() {
    ///     assert_eq!(finding.count(), 3);
    /// }
    /// ```
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}
