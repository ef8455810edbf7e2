//! How much has been looked at.

/// What the validator has seen so far in this process: a figure that shows that it
/// was at work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Stats {
    pub(crate) locks: u64,
    pub(crate) edges: u64,
}

impl Stats {
    /// How many locks were acquired, each counted once.
    #[must_use]
    pub fn locks(&self) -> u64 {
        self.locks
    }

    /// How many edges the lock order has had, those of destroyed locks included.
    #[must_use]
    pub fn edges(&self) -> u64 {
        self.edges
    }
}
