//! PCT's scheduling decisions: random priorities, with changes at random steps. Pure.
//!
//! See [`Explore`](super::Explore). Initial priorities are above those assigned at changes, so a
//! thread whose priority was changed is below all others. A spinning thread is below all of these.

use crate::interleave::rng::Rng;

#[derive(Debug)]
pub(super) struct Priorities {
    rng: Rng,
    /// The priority of each thread.
    of: Vec<u64>,
    /// The steps at which the priority of the running thread changes: the last one to the lowest.
    changes: Vec<u64>,
    step: u64,
    /// The priority of the next thread that spins, below all others.
    next_lowest: u64,
}

/// Lower bound of all other priorities. Below is room for spinning threads.
const CHANGED: u64 = 1 << 32;

impl Priorities {
    /// Prepares a run of about `steps` steps.
    pub(super) fn new(seed: u64, steps: u64, changes: u32) -> Self {
        let mut rng = Rng::new(seed);
        let changes = (0..changes).map(|_| rng.below(steps)).collect();
        Self { rng, of: Vec::new(), changes, step: 0, next_lowest: CHANGED }
    }

    /// Adds a thread.
    pub(super) fn add(&mut self) {
        let lowest = CHANGED + self.changes.len() as u64 + 1;
        self.of.push(lowest + self.rng.below(u64::MAX - lowest));
    }

    /// Chooses the thread that makes the next step.
    pub(super) fn choose(&mut self, ready: &[usize]) -> Option<usize> {
        let highest = |of: &[u64]| ready.iter().copied().max_by_key(|&thread| of[thread]);
        let mut chosen = highest(&self.of)?;
        for change in 0..self.changes.len() {
            if self.changes[change] == self.step {
                self.of[chosen] = CHANGED + change as u64 + 1;
                chosen = highest(&self.of)?;
            }
        }
        self.step += 1;
        Some(chosen)
    }

    /// Lets all others go before a thread that waits by retrying.
    pub(super) fn spins(&mut self, thread: usize) {
        self.next_lowest = self.next_lowest.saturating_sub(1);
        self.of[thread] = self.next_lowest;
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn run(seed: u64, threads: usize, steps: u64, changes: u32) -> Vec<usize> {
        let mut priorities = Priorities::new(seed, steps, changes);
        (0..threads).for_each(|_| priorities.add());
        let ready: Vec<_> = (0..threads).collect();
        (0..steps).map(|_| priorities.choose(&ready).unwrap()).collect()
    }

    #[test]
    fn a_seed_gives_one_order() {
        assert_eq!(run(7, 4, 20, 3), run(7, 4, 20, 3));
    }

    #[test]
    fn without_changes_one_thread_runs() {
        for seed in 0..50 {
            let order = run(seed, 4, 10, 0);
            assert!(order.iter().all(|&thread| thread == order[0]));
        }
    }

    #[test]
    fn who_spins_lets_all_others_go_first() {
        let mut priorities = Priorities::new(3, 100, 2);
        (0..3).for_each(|_| priorities.add());
        let all = [0, 1, 2];
        let first = priorities.choose(&all).unwrap();
        priorities.spins(first);
        let second = priorities.choose(&all).unwrap();
        priorities.spins(second);
        let third = 3 - first - second;
        assert!((0..20).all(|_| priorities.choose(&all) == Some(third)));
    }

    /// PCT's guarantee: each seed finds a bug of depth 2 with a probability of at least `1 / (n *
    /// k)`.
    #[test]
    fn a_bug_of_two_constraints_is_found_as_often_as_promised() {
        const SEEDS: u64 = 4_000;
        for (threads, steps) in [(2, 4), (3, 6), (4, 12), (4, 40)] {
            let each = steps / threads as u64;
            // The last thread runs between the last two steps of the first.
            let is_found = |&seed: &u64| {
                let mut priorities = Priorities::new(seed, steps, 1);
                (0..threads).for_each(|_| priorities.add());
                let mut left = vec![each; threads];
                let mut order = Vec::new();
                while let Some(next) = {
                    let ready: Vec<_> = (0..threads).filter(|&it| left[it] > 0).collect();
                    priorities.choose(&ready)
                } {
                    left[next] -= 1;
                    order.push((next, left[next]));
                }
                let at = |step| order.iter().position(|&it| it == step).unwrap();
                let last = threads - 1;
                at((0, 1)) < at((last, 0)) && at((last, 0)) < at((0, 0))
            };
            let found = (0..SEEDS).filter(is_found).count() as u64;
            let promised = SEEDS / (threads as u64 * steps);
            assert!(found * 10 >= promised * 8, "{found} of {promised}: {threads}, {steps}");
        }
    }

    /// Each of the `n * k` placements of one change occurs.
    #[test]
    fn all_orders_of_a_depth_occur() {
        let orders: HashSet<_> = (0..2_000).map(|seed| run(seed, 2, 4, 1)).collect();
        // A thread that is changed at its first step behaves as if the other one had been first.
        let expected: HashSet<_> = (0..4)
            .flat_map(|change| {
                [0, 1].map(|first| {
                    (0..4).map(|step| if step < change { first } else { 1 - first }).collect()
                })
            })
            .collect::<HashSet<Vec<usize>>>();
        assert_eq!(orders, expected);
    }
}
