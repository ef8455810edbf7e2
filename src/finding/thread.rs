//! A thread, as a report names it.

use std::{fmt, num::NonZeroU64, sync::Arc};

/// The number of a scope of [`testing`](crate::testing), never used again.
pub(crate) type ScopeId = NonZeroU64;

/// A thread of the program.
///
/// [`Display`](fmt::Display) is its name, or `#4` for a thread without one.
///
/// ```
/// # use lockdep::sync::Mutex;
/// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
/// # let transfer = || drop((accounts.lock(), ledger.lock()));
/// std::thread::scope(|scope| _ = scope.spawn(transfer)); // it has no name
/// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
///     assert_eq!(edge.thread().to_string(), format!("#{}", edge.thread().number()));
/// }
/// ```
#[derive(Clone, Debug, Default)]
pub struct ThreadInfo {
    pub(crate) number: u64,
    pub(crate) name: Option<Arc<str>>,
    /// The innermost scope that it was in.
    pub(crate) scope: Option<ScopeId>,
}

impl ThreadInfo {
    /// The number of this thread: given when it first takes a lock, never used
    /// again in this process.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger, log) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// std::thread::scope(|scope| _ = scope.spawn(|| drop((ledger.lock(), log.lock()))));
    /// let graph = lockdep::order_graph();
    /// let numbers = graph.as_petgraph().edge_weights().map(|edge| edge.thread().number());
    /// assert!(numbers.is_sorted()); // who came first has the smaller one
    /// ```
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name it had when it first took a lock.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// # let transfer = || drop((accounts.lock(), ledger.lock()));
    /// std::thread::scope(|scope| _ = scope.spawn(transfer));
    /// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
    ///     assert_eq!(edge.thread().name(), None);
    /// }
    /// ```
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl PartialEq for ThreadInfo {
    /// The same thread.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ThreadInfo {}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "#{}", self.number),
        }
    }
}
