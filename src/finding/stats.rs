//! How much has been looked at.

/// What the validator has seen so far in this process: a figure that shows that it
/// was at work.
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
    /// Returns how many locks were acquired, each counted once. Locks that other threads acquire for the
    /// first time meanwhile may or may not be among them. Threads, channels and barriers are no locks.
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

    /// How many edges the lock order has had, those of destroyed locks included.
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
    /// An acquisition that closes a cycle searches for the shortest one that can deadlock. This is
    /// hard where many locks are taken in many orders, so the search takes a limited number of
    /// steps, about a millisecond. When it is cut short it reports only what it has proved: an
    /// inversion of those locks may be missed, or reported as a weaker kind, but none is made up.
    /// Stays 0 in programs whose locks are not inverted on a large scale.
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
