//! Guards that change hands: locks of one class, acquired at one place in the source, of which one was released by
//! another thread or task.
//!
//! Who has such a guard is not known, so an order in which one is held proves nothing.

use std::{
    hash::{Hash, Hasher},
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Relaxed, SeqCst},
    },
};

use rustc_hash::FxHasher;

use crate::finding::Site;

/// The number of pairs of a class and a place that are distinguished. Beyond that, all guards count as handed over.
const PAIRS: usize = 256;

/// The hashes of the pairs. Two that have the same are both silent.
struct Pairs {
    /// Filled from the front. 0 from the first vacant one on.
    list: [AtomicU64; PAIRS],
    is_full: AtomicBool,
}

static SEEN: Pairs = Pairs::new();

/// Notes that a lock of this class that was acquired here was released by another thread or task. Returns `true` if
/// that is new.
pub(super) fn note(class: Option<&str>, acquired_at: &Site) -> bool {
    SEEN.note(hash(class, acquired_at))
}

/// Returns `true` if a lock of this class that was acquired here was released by another thread or task.
pub(super) fn is_noted(class: Option<&str>, acquired_at: &Site) -> bool {
    SEEN.has(hash(class, acquired_at))
}

fn hash(class: Option<&str>, acquired_at: &Site) -> u64 {
    let mut hasher = FxHasher::default();
    (class, acquired_at).hash(&mut hasher);
    hasher.finish() | 1
}

impl Pairs {
    const fn new() -> Self {
        Self { list: [const { AtomicU64::new(0) }; PAIRS], is_full: AtomicBool::new(false) }
    }

    /// Returns `true` if the pair is new. Beyond the bound, only the first pair counts as new.
    fn note(&self, pair: u64) -> bool {
        for known in &self.list {
            match known.compare_exchange(0, pair, SeqCst, Relaxed) {
                Ok(_) => return true,
                Err(other) if other == pair => return false,
                Err(_) => {}
            }
        }
        !self.is_full.swap(true, Relaxed)
    }

    fn has(&self, pair: u64) -> bool {
        let mut known = self.list.iter().map(|it| it.load(SeqCst)).take_while(|&it| it != 0);
        known.any(|it| it == pair) || self.is_full.load(Relaxed)
    }
}

#[cfg(all(test, not(loom), not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_told_apart_until_there_are_too_many() {
        let pair = |class: &str, line| hash(Some(class), &Site::new("a.rs".to_owned(), line, 1));
        let (pairs, one) = (Pairs::new(), pair("redis order:{}", 1));
        assert!(!pairs.has(one));
        assert!(pairs.note(one) && !pairs.note(one));
        let others = [pair("redis order:{}", 2), pair("redis user:{}", 1)];
        assert!(pairs.has(one) && !others.iter().any(|&other| pairs.has(other)));
        (2..)
            .map(|line| pair("c", line))
            .take(PAIRS - 1)
            .for_each(|other| assert!(pairs.note(other)));
        assert!(!pairs.has(others[0]));
        assert!(pairs.note(pair("d", 1)) && !pairs.note(pair("d", 2)));
        assert!(pairs.has(others[0]));
    }
}
