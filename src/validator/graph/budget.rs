//! The budget of one search for cycles.
//!
//! A cycle can close if a different thread can be chosen for each of its edges, which is hard to
//! decide. So a search takes a limited number of steps. A search that exhausts its budget is cut
//! short: it finds less, but never reports anything unproved.

/// The number of steps that the search of one acquisition may take. A step takes 5 to 10 ns, while
/// the graph is in the cache.
pub(in crate::validator) const STEPS: u32 = 200_000;

/// The cost in steps of comparing two choices, of an edge in the search for feasible cycles, or of
/// reaching a lock for the first time.
pub(in crate::validator) const PAIR: usize = 5;

/// The remaining steps of a search.
#[derive(Debug)]
pub(in crate::validator) struct Budget {
    left: u32,
    is_exhausted: bool,
}

/// The budget is too small for the next step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::validator) struct Exhausted;

impl Budget {
    pub(in crate::validator) fn new(steps: u32) -> Self {
        Self { left: steps, is_exhausted: false }
    }

    /// Spends some steps.
    pub(in crate::validator) fn spend(&mut self, steps: usize) -> Result<(), Exhausted> {
        let left = u32::try_from(steps).ok().and_then(|steps| self.left.checked_sub(steps));
        self.left = left.unwrap_or(0);
        self.is_exhausted |= left.is_none();
        left.map(drop).ok_or(Exhausted)
    }

    pub(in crate::validator) fn left(&self) -> u32 {
        self.left
    }

    /// Returns `true` if the search needed more steps than it had.
    pub(in crate::validator) fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// Runs a part of the search, which may spend half of the remaining steps.
    pub(in crate::validator) fn with_half<R>(&mut self, part: impl FnOnce(&mut Self) -> R) -> R {
        let mut half = Self::new(self.left / 2);
        self.left -= half.left;
        let result = part(&mut half);
        self.left += half.left;
        self.is_exhausted |= half.is_exhausted;
        result
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn unspent_steps_of_a_part_are_returned() {
        let mut budget = Budget::new(10);
        assert_eq!(budget.with_half(|half| half.spend(2)), Ok(()));
        assert_eq!(budget.with_half(|half| half.spend(4)), Ok(()));
        assert_eq!(budget.left(), 4);
        assert!(!budget.is_exhausted());
        assert_eq!(budget.with_half(|half| half.spend(3)), Err(Exhausted));
        assert_eq!(budget.spend(2), Ok(()));
        assert!(budget.is_exhausted(), "a part was cut short");
        assert_eq!(budget.spend(usize::MAX), Err(Exhausted));
        assert_eq!(budget.left(), 0);
    }
}
