//! Finds stuck actors in a graph of waits. Pure.
//!
//! An actor is stuck if each of its waits is for stuck actors. The largest such set is found by
//! repeatedly removing actors that are not.

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

/// The actors that block a wait.
pub(super) struct Blockers<K> {
    /// Each of them blocks it alone.
    pub(super) alone: Vec<K>,
    /// One of them blocks it, but it is unknown which.
    pub(super) together: Vec<K>,
}

impl<K> Blockers<K> {
    /// Returns the blockers of a wait for a permit of a pool, all of whose permits are in so many guards: the holders of
    /// these guards. Permits are alike, so any of them may end the wait. `None` if another one may, who is unknown.
    pub(super) fn of_pool(guards: u64, holders: Vec<K>) -> Option<Self> {
        (guards == holders.len() as u64).then_some(Self { alone: Vec::new(), together: holders })
    }

    /// Returns `true` if the wait never ends, given that actors for which `is_stuck` is true never
    /// continue.
    fn is_for_ever(&self, is_stuck: impl Fn(&K) -> bool) -> bool {
        let Self { alone, together } = self;
        alone.iter().any(&is_stuck) || !together.is_empty() && together.iter().all(is_stuck)
    }
}

/// Returns the stuck actors among all that must continue before `start` can; none if `start` can
/// continue. `look` describes an actor and its waits, and returns `None` if it can continue.
pub(super) fn stuck<K: Copy + Hash + Eq, A, M>(
    start: A,
    key: impl Fn(&A) -> K,
    mut look: impl FnMut(A) -> Option<(M, Vec<Blockers<K>>, Vec<A>)>,
) -> FxHashMap<K, M> {
    let first = key(&start);
    let mut met = FxHashSet::from_iter([first]);
    let mut open = vec![start];
    let mut left = FxHashMap::default();
    let mut free = FxHashSet::default();
    while let Some(next) = open.pop() {
        let at = key(&next);
        if let Some((member, waits, others)) = look(next) {
            left.insert(at, (member, waits));
            open.extend(others.into_iter().filter(|it| met.insert(key(it))));
            continue;
        }
        free.insert(at);
        // Often the first actor is free because one of very many is.
        remove_free(&mut left, &mut free);
        if free.contains(&first) {
            return FxHashMap::default();
        }
    }
    remove_free(&mut left, &mut free);
    if !left.contains_key(&first) {
        return FxHashMap::default();
    }
    left.into_iter().map(|(key, (member, _))| (key, member)).collect()
}

/// Moves actors with a wait that ends to those that are free. All others count as stuck.
fn remove_free<K: Copy + Hash + Eq, M>(
    left: &mut FxHashMap<K, (M, Vec<Blockers<K>>)>,
    free: &mut FxHashSet<K>,
) {
    loop {
        let is_free = |waits: &[Blockers<K>]| {
            !waits.iter().all(|it| it.is_for_ever(|other| !free.contains(other)))
        };
        let next: Vec<K> =
            left.iter().filter(|(_, (_, waits))| is_free(waits)).map(|(key, _)| *key).collect();
        if next.is_empty() {
            return;
        }
        for key in next {
            left.remove(&key);
            free.insert(key);
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// The actors that block one alone, and those that do together. `None` for one that can
    /// continue.
    type Waits = Option<Vec<(Vec<usize>, Vec<usize>)>>;

    fn found(all: &[Waits], start: usize) -> BTreeSet<usize> {
        let look = |at: usize| {
            let waits = all[at].as_ref()?;
            let blockers = |(alone, together): &(Vec<usize>, Vec<usize>)| Blockers {
                alone: alone.clone(),
                together: together.clone(),
            };
            let others = waits.iter().flat_map(|(alone, together)| alone.iter().chain(together));
            Some(((), waits.iter().map(blockers).collect(), others.copied().collect()))
        };
        stuck(start, |at| *at, look).into_keys().collect()
    }

    /// Returns all stuck actors, by the definition.
    fn fixpoint(all: &[Waits]) -> BTreeSet<usize> {
        let mut left: BTreeSet<usize> = (0..all.len()).filter(|&at| all[at].is_some()).collect();
        loop {
            let is_over = |(alone, together): &(Vec<usize>, Vec<usize>)| {
                let is_in = |others: &[usize]| others.iter().filter(|at| left.contains(at)).count();
                is_in(alone) == 0 && (together.is_empty() || is_in(together) < together.len())
            };
            let free = left.iter().find(|&&at| all[at].iter().flatten().any(is_over)).copied();
            match free {
                Some(at) => left.remove(&at),
                None => return left,
            };
        }
    }

    /// Returns all actors that must continue before one can.
    fn within_reach(all: &[Waits], start: usize) -> BTreeSet<usize> {
        let mut reached = BTreeSet::from([start]);
        for _ in all {
            let waits = reached.iter().filter_map(|&at| all[at].as_ref()).flatten();
            let next: Vec<usize> =
                waits.flat_map(|(alone, together)| alone.iter().chain(together)).copied().collect();
            reached.extend(next);
        }
        reached
    }

    #[allow(clippy::unnecessary_wraps, reason = "it is the answer of `look`")]
    fn alone(others: &[usize]) -> Waits {
        Some(vec![(others.to_vec(), Vec::new())])
    }

    #[allow(clippy::unnecessary_wraps, reason = "as above")]
    fn together(others: &[usize]) -> Waits {
        Some(vec![(Vec::new(), others.to_vec())])
    }

    #[test]
    fn small_graphs() {
        let is_stuck = |all: &[Waits]| found(all, 0).contains(&0);
        assert!(!is_stuck(&[None]));
        assert!(!is_stuck(&[alone(&[1]), None]));
        assert!(is_stuck(&[alone(&[0])]));
        assert!(is_stuck(&[alone(&[1]), alone(&[0])]));
        // It waits for a cycle without being part of it.
        assert!(is_stuck(&[alone(&[1]), alone(&[2]), alone(&[1])]));
        // One of two readers is stuck, so the writer never gets the lock.
        assert!(is_stuck(&[alone(&[1, 2]), alone(&[0]), None]));
        // It may be waiting for only one of the two.
        assert!(!is_stuck(&[together(&[1, 2]), alone(&[0]), None]));
        assert!(is_stuck(&[together(&[1, 2]), alone(&[0]), alone(&[0])]));
        // As many holders are known as there are guards, or one is not.
        let pool = |guards, holders: &[usize]| Blockers::of_pool(guards, holders.to_vec());
        assert!(pool(2, &[1, 2]).is_some_and(|it| it.is_for_ever(|_| true)));
        assert!(pool(2, &[1, 2]).is_some_and(|it| !it.is_for_ever(|it| *it == 1)));
        assert!(pool(3, &[1, 2]).is_none() && pool(1, &[1, 2]).is_none());
        // Either of two grants would wake it.
        assert!(!is_stuck(&[Some(vec![(vec![0], vec![]), (vec![1], vec![])]), None]));
        // Without blockers, a wait is about to end.
        assert!(!is_stuck(&[alone(&[])]));
    }

    proptest! {
        #[test]
        fn agrees_with_the_definition(
            all in vec(
                prop::option::weighted(
                    0.9,
                    vec((vec(0..8_usize, 0..3), vec(0..8_usize, 0..3)), 1..3),
                ),
                8,
            ),
            start in 0..8_usize,
        ) {
            let expected = fixpoint(&all);
            let found = found(&all, start);
            if expected.contains(&start) {
                let reach = within_reach(&all, start);
                prop_assert_eq!(found, expected.intersection(&reach).copied().collect());
            } else {
                prop_assert!(found.is_empty());
            }
        }
    }
}
