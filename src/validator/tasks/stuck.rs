//! The actors that are stuck, in a graph of which waits for which. Pure.
//!
//! One is stuck if each of its waits is for others that are. The largest set of which this is true is found by
//! taking out, again and again, those of whom it is not.

use std::hash::Hash;

use rustc_hash::{FxHashMap, FxHashSet};

/// Who keeps one waiting for a lock.
pub(super) struct Blockers<K> {
    /// Each of them does so by himself.
    pub(super) alone: Vec<K>,
    /// One of them does, and it is not known which.
    pub(super) together: Vec<K>,
}

impl<K> Blockers<K> {
    /// Returns `true` if the wait never ends, as those of whom `is_stuck` is true never go on.
    fn is_for_ever(&self, is_stuck: impl Fn(&K) -> bool) -> bool {
        let Self { alone, together } = self;
        alone.iter().any(&is_stuck) || !together.is_empty() && together.iter().all(is_stuck)
    }
}

/// Returns the stuck ones among all that have to go on before `start` can; none if `start` can go on. `look` returns
/// what an actor is and waits for, and `None` if it can go on.
pub(super) fn stuck<K: Copy + Hash + Eq, A, M>(
    start: A,
    key: impl Fn(&A) -> K,
    mut look: impl FnMut(A) -> Option<(M, Vec<Blockers<K>>, Vec<A>)>,
) -> FxHashMap<K, M> {
    let first = key(&start);
    let mut met = FxHashSet::from_iter([first]);
    let mut open = vec![start];
    let mut left = FxHashMap::default();
    while let Some(next) = open.pop() {
        let at = key(&next);
        let Some((member, waits, others)) = look(next) else {
            if at == first {
                break;
            }
            continue;
        };
        left.insert(at, (member, waits));
        open.extend(others.into_iter().filter(|it| met.insert(key(it))));
    }
    // The greatest set of which all members wait for each other.
    loop {
        let is_free = |waits: &[Blockers<K>]| {
            !waits.iter().all(|it| it.is_for_ever(|other| left.contains_key(other)))
        };
        let free: Vec<K> =
            left.iter().filter(|(_, (_, waits))| is_free(waits)).map(|(key, _)| *key).collect();
        for key in &free {
            left.remove(key);
        }
        if !left.contains_key(&first) {
            return FxHashMap::default();
        }
        if free.is_empty() {
            return left.into_iter().map(|(key, (member, _))| (key, member)).collect();
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Who keeps one waiting alone, and who together. `None` for one that can go on.
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

    /// All that are stuck, by the definition.
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

    /// All that have to go on before one can.
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
        // It waits for a circle, and is not in it.
        assert!(is_stuck(&[alone(&[1]), alone(&[2]), alone(&[1])]));
        // One of two readers is stuck: the writer never gets the lock.
        assert!(is_stuck(&[alone(&[1, 2]), alone(&[0]), None]));
        // One of two may be the only one that it waits for.
        assert!(!is_stuck(&[together(&[1, 2]), alone(&[0]), None]));
        assert!(is_stuck(&[together(&[1, 2]), alone(&[0]), alone(&[0])]));
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
