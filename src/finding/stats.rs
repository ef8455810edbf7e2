//! How much has been checked.

/// Counts of what was checked so far in this process. Shows that the validator was active.
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
    #[must_use]
    pub fn locks(&self) -> u64 {
        self.locks
    }

    /// Returns how many edges the lock order has had, including those of destroyed locks.
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
    /// An order of two classes of locks also counts if it was left out, because there are some
    /// 65,000 already.
    #[must_use]
    pub fn cut_short(&self) -> u64 {
        self.cut_short
    }
}
