//! The exits of threads that are gone but were joined under a lock.
//!
//! While a thread or its handle exists, edges through its exit show what a join waited for. They
//! are orders like any other: a third thread may close a cycle with them long after the join. So
//! the latest exits stay in the graph, a few for each location that spawns threads.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use crate::validator::lock_id::{LockId, creation_sites::SiteIndex};

/// The number of exits kept for each location.
const MAX_EXITS: usize = 8;

#[derive(Default)]
pub(super) struct PastExits(FxHashMap<SiteIndex, VecDeque<LockId>>);

impl PastExits {
    /// Keeps the exit of a thread that is gone. Returns the exit that it replaces.
    pub(super) fn keep(&mut self, spawned_at: SiteIndex, exit: LockId) -> Option<LockId> {
        let kept = self.0.entry(spawned_at).or_default();
        kept.push_back(exit);
        if kept.len() > MAX_EXITS { kept.pop_front() } else { None }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_exit_is_replaced() {
        let mut exits = PastExits::default();
        let gone: Vec<_> = (1..=10 * MAX_EXITS as u64).map(|exit| exits.keep(1, exit)).collect();
        assert!(gone[..MAX_EXITS].iter().all(Option::is_none));
        assert!(gone[MAX_EXITS..].iter().copied().eq((1..=9 * MAX_EXITS as u64).map(Some)));
        assert_eq!(exits.keep(2, 100), None, "those of another place");
    }
}
