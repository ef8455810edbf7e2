//! Finds cycles of threads that wait for each other. Pure: the caller says which thread blocks
//! which.

use std::collections::VecDeque;

use rustc_hash::FxHashSet;

/// Returns the shortest cycle through a thread, starting with that thread, each with the way in
/// which it blocks the one before it.
///
/// `blockers` returns the threads that block one. It may leave out threads that do not wait
/// themselves, because no cycle leads through them. Called once for each thread within reach,
/// breadth first.
pub(in crate::validator) fn shortest<How: Clone>(
    start: usize,
    mut blockers: impl FnMut(usize) -> Vec<(usize, How)>,
) -> Option<Vec<(usize, How)>> {
    // Each step has its thread, the way in which it blocks the one before it, and the index of that
    // step.
    let mut steps: Vec<(usize, How, Option<usize>)> = Vec::new();
    let mut seen = FxHashSet::default();
    let mut open = VecDeque::from([(start, None)]);
    while let Some((thread, at)) = open.pop_front() {
        for (blocker, how) in blockers(thread) {
            if !seen.insert(blocker) {
                continue;
            }
            steps.push((blocker, how, at));
            let this = steps.len() - 1;
            if blocker != start {
                open.push_back((blocker, Some(this)));
                continue;
            }
            let before = |&(_, _, before): &(_, _, Option<usize>)| Some(&steps[before?]);
            let back = std::iter::successors(Some(&steps[this]), |step| before(step));
            let mut wait_cycle: Vec<_> =
                back.map(|(thread, how, _)| (*thread, how.clone())).collect();
            // From the start, which is the first of the walk back.
            wait_cycle[1..].reverse();
            return Some(wait_cycle);
        }
    }
    None
}

#[cfg(all(test, not(loom)))]
mod tests {
    use petgraph::{Directed, algo::astar, graph::Graph};
    use proptest::prelude::*;

    use super::*;

    fn search(threads: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
        let blockers = |thread: usize| threads[thread].iter().map(|&b| (b, thread)).collect();
        let wait_cycle = shortest(start, blockers)?;
        // Each one blocks the one before it.
        let before = wait_cycle.iter().cycle().skip(wait_cycle.len() - 1);
        assert!(wait_cycle.iter().zip(before).all(|((_, blocked), (before, _))| blocked == before));
        Some(wait_cycle.into_iter().map(|(thread, _)| thread).collect())
    }

    #[test]
    fn small_cycles() {
        assert_eq!(search(&[vec![]], 0), None);
        assert_eq!(search(&[vec![0]], 0), Some(vec![0]));
        assert_eq!(search(&[vec![1], vec![2], vec![0]], 0), Some(vec![0, 1, 2]));
        assert_eq!(search(&[vec![1, 2], vec![2], vec![0]], 0), Some(vec![0, 2]));
        // It waits for a cycle without being part of it.
        assert_eq!(search(&[vec![1], vec![2], vec![1]], 0), None);
    }

    proptest! {
        /// Compares with petgraph, on a graph that has the start twice.
        #[test]
        fn agrees_with_petgraph(edges in prop::collection::vec((0..8_usize, 0..8_usize), 0..24)) {
            let mut threads = vec![Vec::new(); 8];
            for &(from, to) in &edges {
                threads[from].push(to);
            }
            let split = edges.iter().map(|&(from, to)| (from, if to == 0 { 8 } else { to }));
            let graph = Graph::<(), (), Directed, usize>::from_edges(split.chain([(8, 8)]));
            let expected = astar(&graph, 0.into(), |node| node == 8.into(), |_| 1_usize, |_| 0);
            let found = search(&threads, 0);
            prop_assert_eq!(found.as_ref().map(Vec::len), expected.map(|(length, _)| length));
            if let Some(wait_cycle) = found {
                let next = wait_cycle.iter().cycle().skip(1);
                prop_assert!(wait_cycle.iter().zip(next).all(|(&from, to)| threads[from].contains(to)));
            }
        }
    }
}
