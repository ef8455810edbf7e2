//! How much has been checked.

/// Counts of what was checked so far in this process. Shows that the validator was active.
///
/// ```
/// use lockdep::{Stats, sync::Mutex};
///
/// assert_eq!(lockdep::stats(), Stats::default());
/// drop(Mutex::new(()).lock());
/// assert_eq!(lockdep::stats() != Stats::default(), lockdep::ENABLED);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    pub(crate) locks: u64,
    pub(crate) edges: u64,
    pub(crate) cut_short: u64,
}

impl Stats {
    /// Returns how many locks were acquired, each counted once. Locks that other threads acquire
    /// concurrently for the first time may be missing. Threads, channels and barriers are not
    /// locks.
    ///
    /// ```
    /// let accounts = lockdep::sync::Mutex::new(());
    /// for _ in 0..3 {
    ///     drop(accounts.lock());
    /// }
    /// assert_eq!(lockdep::stats().locks(), u64::from(lockdep::ENABLED));
    /// ```
    #[must_use]
    pub fn locks(&self) -> u64 {
        self.locks
    }

    /// Returns how many edges the lock order has had, including those of destroyed locks.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// assert_eq!(lockdep::stats().edges(), u64::from(lockdep::ENABLED));
    /// ```
    #[must_use]
    pub fn edges(&self) -> u64 {
        self.edges
    }

    /// Returns the number of acquisitions for which the search for cycles was cut short.
    ///
    /// An acquisition that closes a cycle searches for the shortest cycle that can deadlock. This
    /// is expensive if many locks are acquired in many orders, so the search is limited to about a
    /// millisecond. A search that was cut short reports only what it has proved: it may miss an
    /// inversion of these locks or report it as a weaker kind, but it reports no false one. Stays 0
    /// in programs without inversions on a large scale.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// assert_eq!(lockdep::stats().cut_short(), 0);
    /// ```
    #[must_use]
    pub fn cut_short(&self) -> u64 {
        self.cut_short
    }
}
