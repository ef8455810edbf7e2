//! Who runs next: random priorities, with changes at random steps. Pure.
//!
//! PCT's, as [`Explore`](super::Explore) says. Initial priorities are above `changes`, so that a
//! thread which is changed, to one of `1..=changes`, is below all that were not.

use crate::interleave::rng::Rng;

#[derive(Debug)]
pub(super) struct Priorities {
    rng: Rng,
    /// By thread.
    of: Vec<u64>,
    /// The steps at which the priority of the running thread changes: the last one to the lowest.
    changes: Vec<u64>,
    step: u64,
}

impl Priorities {
    /// For a run of about so many steps.
    pub(super) fn new(seed: u64, steps: u64, changes: u32) -> Self {
        let mut rng = Rng::new(seed);
        let changes = (0..changes).map(|_| rng.below(steps)).collect();
        Self { rng, of: Vec::new(), changes, step: 0 }
    }

    /// One more thread.
    pub(super) fn add(&mut self) {
        let lowest = self.changes.len() as u64 + 1;
        self.of.push(lowest + self.rng.below(u64::MAX - lowest));
    }

    /// Which of these threads makes the next step.
    pub(super) fn choose(&mut self, ready: &[usize]) -> Option<usize> {
        let highest = |of: &[u64]| ready.iter().copied().max_by_key(|&thread| of[thread]);
        let mut chosen = highest(&self.of)?;
        for change in 0..self.changes.len() {
            if self.changes[change] == self.step {
                self.of[chosen] = change as u64 + 1;
                chosen = highest(&self.of)?;
            }
        }
        self.step += 1;
        Some(chosen)
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

    /// Each of the `n * k` ways to have one change comes up.
    #[test]
    fn all_orders_of_a_depth_come_up() {
        let orders: HashSet<_> = (0..2_000).map(|seed| run(seed, 2, 4, 1)).collect();
        // A thread that is changed at its first step leaves all to the other, as if it were first.
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
