//! A thread or a task, as reports identify it.

use std::{fmt, num::NonZeroU64, sync::Arc};

use super::Site;

/// The number of a scope of [`testing`](crate::testing), never reused.
pub(crate) type ScopeId = NonZeroU64;

/// A thread of the program, or a task that its threads poll.
///
/// [`Display`](fmt::Display) writes a thread's name, `#4` for a thread without one, and `task 7`
/// for a task.
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
    /// The innermost scope of the thread.
    pub(crate) scope: Option<ScopeId>,
    /// Where the task was spawned; `None` for a thread.
    pub(crate) spawned_at: Option<Site>,
}

impl ThreadInfo {
    /// Returns the number of this thread or task, never reused in this process. A thread gets it
    /// when it first acquires a lock, a task when it is spawned.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger, log) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// std::thread::scope(|scope| _ = scope.spawn(|| drop((ledger.lock(), log.lock()))));
    /// let graph = lockdep::order_graph();
    /// let numbers = graph.as_petgraph().edge_weights().map(|edge| edge.thread().number());
    /// assert!(numbers.is_sorted()); // the thread that came first has the smaller one
    /// ```
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the name that the thread had when it first acquired a lock. A task has none.
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

    /// Returns `true` if it is a task: one of `lockdep::tokio`, or of a program under `cargo
    /// lockdep`.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock())); // in a thread
    /// for edge in lockdep::order_graph().as_petgraph().edge_weights() {
    ///     assert!(!edge.thread().is_task());
    /// }
    /// ```
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.spawned_at.is_some()
    }

    /// Returns where the task was spawned; `None` for a thread.
    ///
    /// ```
    /// # #[cfg(feature = "tokio")]
    /// # #[::tokio::main(flavor = "current_thread")] async fn main() {
    /// use lockdep::tokio::{self, sync::Mutex};
    ///
    /// let nested = async {
    ///     let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    ///     let both = (accounts.lock().await, ledger.lock().await);
    ///     lockdep::order_graph()
    /// };
    /// let (task, line) = (tokio::spawn(nested), line!());
    /// for edge in task.await.unwrap().as_petgraph().edge_weights() {
    ///     assert_eq!(edge.thread().spawned_at().unwrap().line(), line);
    /// }
    /// # }
    /// # #[cfg(not(feature = "tokio"))] fn main() {}
    /// ```
    #[must_use]
    pub fn spawned_at(&self) -> Option<&Site> {
        self.spawned_at.as_ref()
    }
}

impl PartialEq for ThreadInfo {
    /// Compares the identity of the threads or tasks.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ThreadInfo {}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None if self.is_task() => write!(f, "task {}", self.number),
            None => write!(f, "#{}", self.number),
        }
    }
}
