//! The shortest cycles through given edges.

use std::{collections::VecDeque, ops::RangeInclusive};

use petgraph::{
    Direction::Incoming,
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{AcyclicGraph, EdgeData, Tail};
use crate::{
    finding::Mode,
    validator::graph::budget::{Budget, Exhausted, PAIR},
};

/// With more back edges than this, searches are not restricted to the range that these span.
const MAX_SCANNED: usize = 10_000;

/// Which edges a cycle may follow, besides those whose modes [wait](Mode::waits_for).
#[derive(Clone, Copy)]
pub(crate) struct Follow<'a> {
    /// Returns `true` if the second edge of a cycle may hold its lock in this mode.
    pub(crate) leaves_head: &'a dyn Fn(Mode) -> bool,
    /// `true` if the cycle may [use](Mode::Initialized) initialized cells.
    pub(crate) with_uses: bool,
}

impl Follow<'_> {
    /// All edges that count.
    pub(crate) const ANY: Self = Self { leaves_head: &|_| true, with_uses: true };

    /// Returns `true` if a cycle may follow an edge. `is_second`: as its second edge.
    pub(crate) fn may_follow<E>(&self, is_second: bool, edge: &EdgeData<E>) -> bool {
        (self.with_uses || edge.wanted != Mode::Initialized)
            && edge.tail() != Tail::Unshared
            && (!is_second || (self.leaves_head)(edge.held))
    }
}

/// A lock, and the mode in which the last edge of a path wants it.
type State = (NodeIndex, Mode);

/// How each state was reached: by which edge, out of a lock wanted in which mode.
type ReachedBy = FxHashMap<State, Option<(EdgeIndex, Mode)>>;

impl<N, E> AcyclicGraph<N, E> {
    /// Returns, for each of `firsts`, the shortest simple cycle that begins with it and in which
    /// every lock is wanted in a mode that [waits](crate::finding::Mode::waits_for) for the one it
    /// is held in.
    ///
    /// The edges share a head, wanted in one mode. `follow` says which edges may come next.
    ///
    /// Breadth-first over ([lock, mode](State)). The shortest walk may pass a lock twice, held
    /// exclusively by one thread and shared by another, which is impossible. In that rare case, a
    /// depth-first search for a simple cycle follows. If the budget is exhausted, cycles not found
    /// yet are missing.
    pub(crate) fn shortest_cycles(
        &self,
        firsts: &[EdgeIndex],
        follow: &Follow<'_>,
        budget: &mut Budget,
    ) -> Vec<Option<Vec<EdgeIndex>>> {
        let mut found = vec![None; firsts.len()];
        // If the budget is exhausted, the remaining edges stay without a cycle.
        let _: Result<(), Exhausted> = self.search(firsts, follow, budget, &mut found);
        found
    }

    fn search(
        &self,
        firsts: &[EdgeIndex],
        follow: &Follow<'_>,
        budget: &mut Budget,
        found: &mut [Option<Vec<EdgeIndex>>],
    ) -> Result<(), Exhausted> {
        let (Some(&first), Some(range)) = (firsts.first(), self.cyclic_range()) else {
            return Ok(());
        };
        let (_, head) = self.ends(first);
        let mut goals: FxHashMap<NodeIndex, SmallVec<[usize; 1]>> = FxHashMap::default();
        for (at, &first) in firsts.iter().enumerate() {
            let (tail, _) = self.ends(first);
            // Most new edges begin or end at a lock that has no others.
            let is_reachable = self.graph.edges_directed(tail, Incoming).next().is_some();
            if is_reachable && range.contains(&self.label(tail)) {
                goals.entry(tail).or_default().push(at);
            }
        }
        let mut is_open = vec![true; firsts.len()];
        let mut missing = goals.values().map(SmallVec::len).sum::<usize>();
        let start = (head, self.graph[first].wanted);
        let mut reached_by = ReachedBy::from_iter([(start, None)]);
        let mut queue = VecDeque::from([start]);
        while missing > 0
            && let Some(state) = queue.pop_front()
        {
            let (node, wanted) = state;
            for &at in goals.get(&node).into_iter().flatten() {
                let first = firsts[at];
                if is_open[at] && self.follows(state, first) {
                    is_open[at] = false;
                    missing -= 1;
                    let walk = self.path_back(first, state, &reached_by);
                    found[at] = if self.is_simple(&walk) {
                        Some(walk)
                    } else {
                        self.simple_cycle(first, walk.len(), follow, &range, budget)?
                    };
                }
            }
            for edge in self.graph.edges(node) {
                budget.spend(1)?;
                let (to, edge_data) = (edge.target(), edge.weight());
                let next = (to, edge_data.wanted);
                if follow.may_follow(node == head, edge_data)
                    && self.follows(state, edge.id())
                    && to != head
                    && range.contains(&self.label(to))
                    && !reached_by.contains_key(&next)
                {
                    // In a large graph, each new lock costs a few cache misses.
                    budget.spend(PAIR)?;
                    reached_by.insert(next, Some((edge.id(), wanted)));
                    queue.push_back(next);
                }
            }
        }
        Ok(())
    }

    /// Returns `true` if a thread that wants a lock in this state waits for a thread on this edge.
    fn follows(&self, (node, wanted): State, edge: EdgeIndex) -> bool {
        wanted.waits_for(self.graph[edge].held, self.graph[node].has_writer)
    }

    fn ends(&self, edge: EdgeIndex) -> (NodeIndex, NodeIndex) {
        self.graph.edge_endpoints(edge).expect("the edge is in the graph")
    }

    fn is_simple(&self, walk: &[EdgeIndex]) -> bool {
        let tails: FxHashSet<_> = walk.iter().map(|&edge| self.ends(edge).0).collect();
        tails.len() == walk.len()
    }

    fn path_back(
        &self,
        first: EdgeIndex,
        mut state: State,
        reached_by: &ReachedBy,
    ) -> Vec<EdgeIndex> {
        let mut cycle = Vec::new();
        while let Some(&Some((edge, wanted_before))) = reached_by.get(&state) {
            cycle.push(edge);
            state = (self.ends(edge).0, wanted_before);
        }
        cycle.push(first);
        cycle.reverse();
        cycle
    }

    /// Returns the shortest simple cycle through `first` of at least `shortest` edges, by iterative
    /// deepening.
    fn simple_cycle(
        &self,
        first: EdgeIndex,
        shortest: usize,
        follow: &Follow<'_>,
        range: &RangeInclusive<u64>,
        budget: &mut Budget,
    ) -> Result<Option<Vec<EdgeIndex>>, Exhausted> {
        let (goal, second) = self.ends(first);
        for length in shortest.. {
            let mut is_complete = true;
            let mut path: Vec<EdgeIndex> = Vec::new();
            let mut untried = vec![vec![first]];
            while let Some(edges) = untried.last_mut() {
                let Some(edge) = edges.pop() else {
                    untried.pop();
                    path.pop();
                    continue;
                };
                budget.spend(1 + path.len())?;
                let (_, head) = self.ends(edge);
                let state = (head, self.graph[edge].wanted);
                if head == goal {
                    if path.len() + 1 == length && self.follows(state, first) {
                        path.push(edge);
                        return Ok(Some(path));
                    }
                    continue;
                }
                if path.iter().any(|&edge| self.ends(edge).0 == head) {
                    continue;
                }
                if path.len() + 1 == length {
                    is_complete = false;
                    continue;
                }
                let mut next = Vec::new();
                for edge in self.graph.edges(head) {
                    budget.spend(1)?;
                    if follow.may_follow(head == second, edge.weight())
                        && self.follows(state, edge.id())
                        && range.contains(&self.label(edge.target()))
                    {
                        next.push(edge.id());
                    }
                }
                path.push(edge);
                untried.push(next);
            }
            if is_complete {
                break;
            }
        }
        Ok(None)
    }

    /// Returns the range of labels in which all cycles lie. `None` if there is no cycle.
    ///
    /// All edges except back edges lead to a larger label, so each lock of a cycle comes after the
    /// head of one of its back edges, and before the tail of one.
    pub(crate) fn cyclic_range(&self) -> Option<RangeInclusive<u64>> {
        if self.back_edges.len() > MAX_SCANNED {
            // The label of a removed lock is larger.
            return Some(0..=u64::MAX - 1);
        }
        let ends = || self.back_edges.iter().map(|&edge| self.ends(edge));
        let first = ends().map(|(_, head)| self.label(head)).min()?;
        let last = ends().map(|(tail, _)| self.label(tail)).max()?;
        Some(first..=last)
    }
}

#[cfg(test)]
impl<N, E> AcyclicGraph<N, E> {
    /// Returns the shortest cycle through one edge, with an unlimited budget.
    pub(super) fn shortest_cycle(&self, edge: EdgeIndex) -> Option<Vec<EdgeIndex>> {
        let mut budget = Budget::new(u32::MAX);
        let found = self.shortest_cycles(&[edge], &Follow::ANY, &mut budget).pop()?;
        assert!(!budget.is_exhausted());
        found
    }
}
