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
}

impl Stats {
    /// Returns how many locks were acquired, each counted once. Locks that other threads acquire for the
    /// first time meanwhile may or may not be among them.
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
}
