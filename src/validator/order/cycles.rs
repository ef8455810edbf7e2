//! The cycles of the graph through an edge, the shortest first.

use std::collections::VecDeque;

use petgraph::{
    Direction::Incoming,
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::Order;
use crate::{finding::Mode, validator::judge::waits};

/// How much longer than the shortest a cycle may be that is searched for.
pub(super) const LONGER: usize = 4;

impl<N, E> Order<N, E> {
    /// The shortest cycle through an edge in which every lock is wanted in a mode
    /// that [waits] for the one it is held in. Starts with that edge.
    ///
    /// The walk that is found may pass one lock twice, held by one thread exclusively and
    /// by another shared, which cannot be; then (rarely: another cycle was reported before) a
    /// longer one is searched for.
    pub(crate) fn shortest_cycle(&self, edge: EdgeIndex) -> Option<Vec<EdgeIndex>> {
        let walk = self.shortest_walk(edge)?;
        if self.is_simple(&walk) {
            return Some(walk);
        }
        self.shortest_cycle_where(edge, |_, _| true)
    }

    /// The same for several edges that have one head, wanted in one mode: found in one search.
    pub(crate) fn shortest_cycles(&self, firsts: &[EdgeIndex]) -> Vec<Option<Vec<EdgeIndex>>> {
        let mut found = vec![None; firsts.len()];
        let ends = |edge| self.graph.edge_endpoints(edge);
        let Some((_, head)) = firsts.first().and_then(|&first| ends(first)) else { return found };
        let tails = || firsts.iter().filter_map(|&first| Some(ends(first)?.0));
        let Some(ceiling) = self.ceiling_of(tails()) else { return found };
        let mut goals: FxHashMap<NodeIndex, SmallVec<[usize; 1]>> = FxHashMap::default();
        for (at, tail) in tails().enumerate() {
            // Most new edges begin or end at a lock that has no others.
            if self.graph.edges_directed(tail, Incoming).next().is_some() {
                goals.entry(tail).or_default().push(at);
            }
        }
        let mut left = goals.values().map(SmallVec::len).sum::<usize>();
        let mut reached_by: FxHashMap<(NodeIndex, Mode), Option<(EdgeIndex, Mode)>> =
            FxHashMap::default();
        let mut queue = VecDeque::new();
        let start = (head, self.graph[firsts[0]].wanted);
        reached_by.insert(start, None);
        queue.push_back(start);
        while left > 0
            && let Some((node, wanted)) = queue.pop_front()
        {
            let has_writer = self.graph[node].has_writer;
            for &at in goals.get(&node).into_iter().flatten() {
                let first = firsts[at];
                if found[at].is_none() && waits(wanted, self.graph[first].held, has_writer) {
                    let walk = self.path_back(first, (node, wanted), &reached_by);
                    // It may pass a lock twice, as another first edge's may not.
                    found[at] = if self.is_simple(&walk) {
                        Some(walk)
                    } else {
                        self.shortest_cycle(first)
                    };
                    left -= 1;
                }
            }
            for next in self.graph.edges(node) {
                let state = (next.target(), next.weight().wanted);
                if waits(wanted, next.weight().held, has_writer)
                    && self.label(next.target()) <= ceiling
                    && !reached_by.contains_key(&state)
                {
                    reached_by.insert(state, Some((next.id(), wanted)));
                    queue.push_back(state);
                }
            }
        }
        found
    }

    fn is_simple(&self, walk: &[EdgeIndex]) -> bool {
        let tails = walk.iter().filter_map(|&edge| self.graph.edge_endpoints(edge));
        tails.map(|(tail, _)| tail).collect::<FxHashSet<_>>().len() == walk.len()
    }

    /// The same, but one lock may come twice. Breadth first over (lock, mode in which it is
    /// wanted). Costs nothing while no edge was ever refused.
    fn shortest_walk(&self, edge: EdgeIndex) -> Option<Vec<EdgeIndex>> {
        let (tail, head) = self.graph.edge_endpoints(edge)?;
        let arc = &self.graph[edge];
        let ceiling = self.ceiling(tail)?;
        // Most new edges begin or end at a lock that has no others.
        self.graph.edges_directed(tail, Incoming).next()?;

        let mut reached_by: FxHashMap<(NodeIndex, Mode), Option<(EdgeIndex, Mode)>> =
            FxHashMap::default();
        let mut queue = VecDeque::new();
        reached_by.insert((head, arc.wanted), None);
        queue.push_back((head, arc.wanted));
        while let Some((node, wanted)) = queue.pop_front() {
            let has_writer = self.graph[node].has_writer;
            if node == tail {
                if waits(wanted, arc.held, has_writer) {
                    return Some(self.path_back(edge, (node, wanted), &reached_by));
                }
                continue;
            }
            for next in self.graph.edges(node) {
                let state = (next.target(), next.weight().wanted);
                if waits(wanted, next.weight().held, has_writer)
                    && self.label(next.target()) <= ceiling
                    && !reached_by.contains_key(&state)
                {
                    reached_by.insert(state, Some((next.id(), wanted)));
                    queue.push_back(state);
                }
            }
        }
        None
    }

    fn path_back(
        &self,
        first: EdgeIndex,
        mut state: (NodeIndex, Mode),
        reached_by: &FxHashMap<(NodeIndex, Mode), Option<(EdgeIndex, Mode)>>,
    ) -> Vec<EdgeIndex> {
        let mut cycle = Vec::new();
        while let Some(&Some((edge, wanted_before))) = reached_by.get(&state) {
            cycle.push(edge);
            let (tail, _) = self.graph.edge_endpoints(edge).expect("an edge of this search");
            state = (tail, wanted_before);
        }
        cycle.push(first);
        cycle.reverse();
        cycle
    }

    /// The shortest cycle through an edge, in which every lock waits and comes once, of which
    /// something else is true as well: asked of each path from the edge on, and whether it is
    /// the whole cycle; where it is not true of a path, no longer one is looked at.
    ///
    /// Depth first with a growing limit, as the question is a hard one: gives up after a
    /// while, and looks for cycles up to [`LONGER`] edges longer than the shortest.
    pub(crate) fn shortest_cycle_where(
        &self,
        first: EdgeIndex,
        mut is_so: impl FnMut(&[EdgeIndex], bool) -> bool,
    ) -> Option<Vec<EdgeIndex>> {
        let shortest = self.shortest_walk(first)?.len();
        let mut patience = 20_000;
        (shortest..=shortest + LONGER)
            .find_map(|length| self.cycle_of_length(first, length, &mut patience, &mut is_so))
    }

    fn cycle_of_length(
        &self,
        first: EdgeIndex,
        length: usize,
        patience: &mut u32,
        is_so: &mut impl FnMut(&[EdgeIndex], bool) -> bool,
    ) -> Option<Vec<EdgeIndex>> {
        let (goal, _) = self.graph.edge_endpoints(first)?;
        let ceiling = self.ceiling(goal)?;
        let mut path = Vec::new();
        let mut choices = vec![vec![first]];
        while let Some(edges) = choices.last_mut() {
            let Some(edge) = edges.pop() else {
                choices.pop();
                path.pop();
                continue;
            };
            let (_, head) = self.graph.edge_endpoints(edge)?;
            let wanted = self.graph[edge].wanted;
            let waits_for = |held| waits(wanted, held, self.graph[head].has_writer);
            let closes = head == goal && waits_for(self.graph[first].held);
            let is_passed =
                |&edge: &EdgeIndex| self.graph.edge_endpoints(edge).is_some_and(|(t, _)| t == head);
            let goes_on = head != goal && !path.iter().any(is_passed);
            path.push(edge);
            *patience = patience.checked_sub(1)?;
            if path.len() == length && closes && is_so(&path, true) {
                return Some(path);
            }
            if path.len() < length && goes_on && is_so(&path, false) {
                let next = self.graph.edges(head).filter(|next| {
                    waits_for(next.weight().held) && self.label(next.target()) <= ceiling
                });
                choices.push(next.map(|next| next.id()).collect());
            } else {
                path.pop();
            }
        }
        None
    }

    /// Whatever reaches a lock without a refused edge comes before it; a path with refused
    /// edges goes through the tail of one of them. `None` if there is no such edge.
    fn ceiling(&self, goal: NodeIndex) -> Option<u64> {
        self.ceiling_of([goal])
    }

    /// The same of several locks.
    pub(crate) fn ceiling_of(&self, goals: impl IntoIterator<Item = NodeIndex>) -> Option<u64> {
        let tails = self.refused.iter().filter_map(|&edge| self.graph.edge_endpoints(edge));
        let last = tails.map(|(tail, _)| self.label(tail)).max()?;
        goals.into_iter().map(|goal| self.label(goal).max(last)).max()
    }
}
