//! Searches for cycles that can close.
//!
//! A thread wants one lock while it holds others. Each held lock is a goal: a path from the wanted
//! lock to it closes a cycle. One depth-first search with iterative deepening serves all goals. It
//! chooses edges and their observations together, so that a contradictory choice is dropped at
//! once. The problem is hard (see [`observations`]), so there is a budget. The pruning is exact:
//!
//! - An edge is skipped if none of its choices is compatible with the first edge's. The thread of
//!   the first edge holds all its locks now, so few edges remain. The distance to the nearest goal
//!   over these edges is a lower bound.
//! - What a state offers depends on its lock and mode, on the number of edges left, and on the
//!   *sets* of threads, held locks and passed locks, not on the path to it. A state that failed
//!   once is not searched again. Sets are compared by 64-bit hashes.

use std::{collections::VecDeque, mem, ops::RangeInclusive, rc::Rc};

use petgraph::{
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{
    LockGraph,
    budget::{Budget, Exhausted, PAIR},
    observations::{self, Choice, Element},
    topology::Follow,
};
use crate::finding::Mode;

/// The number of edges that a cycle may have beyond the shortest cycle through the same first edge.
pub(super) const MAX_DETOUR: usize = 4;

/// A first edge through which a cycle is searched for.
pub(super) struct Goal {
    pub(super) first: EdgeIndex,
    /// The length of the shortest cycle through it, whether or not it can close.
    pub(super) shortest: usize,
}

/// A cycle that can close.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Feasible {
    /// Starts with the first edge.
    pub(super) edges: Vec<EdgeIndex>,
    /// The index of the chosen observation of each edge.
    pub(super) observations: Vec<usize>,
}

/// An edge out of a lock, its head, and its choices that are compatible with the first edge's.
type Step = (EdgeIndex, NodeIndex, Rc<[Choice]>);

/// Several goals that share a head, wanted in one mode.
pub(super) struct Query<'a> {
    pub(super) goals: &'a [Goal],
    /// The choice for the first edge. `None`: any of its observations.
    pub(super) first: Option<&'a Choice>,
    pub(super) follow: Follow<'a>,
    /// Returns `true` for a cycle that should be reported, given the index of its goal.
    pub(super) is_meant: &'a Accept<'a>,
}

pub(super) type Accept<'a> =
    dyn Fn(usize, &[EdgeIndex], &mut Budget) -> Result<bool, Exhausted> + 'a;

struct Search<'a> {
    graph: &'a LockGraph,
    query: &'a Query<'a>,
    budget: &'a mut Budget,
    /// The goals that end at each lock.
    goals_at: FxHashMap<NodeIndex, SmallVec<[usize; 1]>>,
    found: Vec<Option<Feasible>>,
    /// The number of goals without a cycle so far.
    missing: usize,
    head: NodeIndex,
    /// The range of labels in which all cycles lie.
    range: RangeInclusive<u64>,
    steps: FxHashMap<NodeIndex, Rc<[Step]>>,
    /// The number of edges from each lock to the nearest goal, if measuring was affordable.
    distance: Option<FxHashMap<NodeIndex, usize>>,
    failed: FxHashSet<(NodeIndex, Mode, usize, u64)>,
    /// The length of the cycles that are currently searched for.
    length: usize,
    path: Vec<EdgeIndex>,
    passed: Vec<NodeIndex>,
    /// The first edge's choice, if it is given, and one for each edge of the path.
    chosen: Vec<Choice>,
}

impl LockGraph {
    /// Returns, for each goal of a query, the shortest cycle that can close and that `is_meant`
    /// accepts, up to [`MAX_DETOUR`] edges longer than its shortest cycle. If the budget is
    /// exhausted, cycles not found yet are missing.
    pub(super) fn feasible_cycles(
        &self,
        query: &Query<'_>,
        budget: &mut Budget,
    ) -> Vec<Option<Feasible>> {
        let (Some(goal), Some(range)) = (query.goals.first(), self.order.cyclic_range()) else {
            return Vec::new();
        };
        let (_, head) = self.ends(goal.first);
        let mut goals_at: FxHashMap<_, SmallVec<_>> = FxHashMap::default();
        for (at, goal) in query.goals.iter().enumerate() {
            goals_at.entry(self.ends(goal.first).0).or_default().push(at);
        }
        let mut search = Search {
            graph: self,
            query,
            budget,
            goals_at,
            found: vec![None; query.goals.len()],
            missing: query.goals.len(),
            head,
            range,
            steps: FxHashMap::default(),
            distance: None,
            failed: FxHashSet::default(),
            length: 0,
            path: Vec::new(),
            passed: vec![head],
            chosen: query.first.into_iter().cloned().collect(),
        };
        // If the budget is exhausted, the remaining goals stay without a cycle.
        let _: Result<(), Exhausted> = search.deepen();
        search.found
    }

    fn ends(&self, edge: EdgeIndex) -> (NodeIndex, NodeIndex) {
        self.order.graph().edge_endpoints(edge).expect("the edge is in the graph")
    }
}

impl Search<'_> {
    /// Searches for cycles of increasing length.
    fn deepen(&mut self) -> Result<(), Exhausted> {
        let goals = self.query.goals;
        let lengths = || goals.iter().map(|goal| goal.shortest);
        let (Some(from), Some(to)) = (lengths().min(), lengths().max()) else { return Ok(()) };
        let wanted = self.graph.order.graph()[goals[0].first].wanted;
        let hash = self.query.first.map_or(0, Choice::hash);
        self.measure(to + MAX_DETOUR)?;
        for length in from.max(2)..=to + MAX_DETOUR {
            self.length = length;
            self.failed.clear();
            if self.is_near(self.head, length - 1) {
                self.extend(self.head, wanted, hash)?;
            }
        }
        Ok(())
    }

    /// Returns `true` if a goal may be within this many edges of a lock.
    fn is_near(&self, node: NodeIndex, edges: usize) -> bool {
        // Unmeasured distances count as near.
        let Some(distance) = &self.distance else { return true };
        distance.get(&node).is_some_and(|&least| least <= edges)
    }

    /// Measures the distances to the goals, unless that takes more than half of the budget.
    fn measure(&mut self, longest: usize) -> Result<(), Exhausted> {
        let reserve = self.budget.left() / 2;
        let mut into: FxHashMap<NodeIndex, Vec<NodeIndex>> = FxHashMap::default();
        let mut seen = FxHashSet::from_iter([self.head]);
        let mut layer = vec![self.head];
        for _ in 1..longest {
            for node in mem::take(&mut layer) {
                if self.budget.left() < reserve {
                    return Ok(());
                }
                for &(_, to, _) in &*self.steps(node)? {
                    into.entry(to).or_default().push(node);
                    if seen.insert(to) {
                        layer.push(to);
                    }
                }
            }
        }
        let mut queue: VecDeque<NodeIndex> = self.goals_at.keys().copied().collect();
        let mut distance: FxHashMap<NodeIndex, usize> =
            queue.iter().map(|&tail| (tail, 0)).collect();
        while let Some(node) = queue.pop_front() {
            let next = distance[&node] + 1;
            for &before in into.get(&node).into_iter().flatten() {
                distance.entry(before).or_insert_with(|| {
                    queue.push_back(before);
                    next
                });
            }
        }
        self.distance = Some(distance);
        Ok(())
    }

    /// Returns the edges out of a lock that may be on a cycle.
    fn steps(&mut self, node: NodeIndex) -> Result<Rc<[Step]>, Exhausted> {
        if let Some(known) = self.steps.get(&node) {
            return Ok(Rc::clone(known));
        }
        let LockGraph { order, .. } = self.graph;
        let mut steps = Vec::new();
        for edge in order.graph().edges(node) {
            self.budget.spend(2 * PAIR)?;
            // `extend` asks again, as this does not know which edge is the second.
            if !self.range.contains(&order.label(edge.target()))
                || !self.query.follow.may_follow(false, edge.weight())
            {
                continue;
            }
            let mut choices = self.graph.choices_of(edge.id());
            self.budget.spend(PAIR * choices.len())?;
            if let Some(first) = self.query.first {
                // Maximal length, because in a long cycle an observation may stand for other
                // threads.
                choices.retain(|choice| choice.goes_with(first, usize::MAX));
            }
            if !choices.is_empty() {
                steps.push((edge.id(), edge.target(), Rc::from(choices)));
            }
        }
        let steps: Rc<[Step]> = Rc::from(steps);
        self.steps.insert(node, Rc::clone(&steps));
        Ok(steps)
    }

    /// Extends the path from its last lock, wanted in a mode. Returns `false` if the state fails:
    /// if every set of edges and choices that leads on is contradictory.
    fn extend(&mut self, node: NodeIndex, wanted: Mode, hash: u64) -> Result<bool, Exhausted> {
        // The first edge closes the cycle.
        let left = self.length - 1 - self.path.len();
        let state = (node, wanted, left, hash);
        if self.missing == 0 || self.failed.contains(&state) {
            return Ok(false);
        }
        let graph = self.graph.order.graph();
        let has_writer = graph[node].has_writer;
        let mut anything = false;
        for (edge, to, choices) in &*self.steps(node)? {
            let arc = &graph[*edge];
            if !wanted.waits_for(arc.held, has_writer)
                || !self.query.follow.may_follow(node == self.head, arc)
                || !self.is_near(*to, left - 1)
                || self.passed.contains(to)
            {
                continue;
            }
            self.path.push(*edge);
            self.passed.push(*to);
            for choice in &**choices {
                if !self.admits(choice)? {
                    continue;
                }
                self.chosen.push(choice.clone());
                anything |= if left == 1 {
                    self.arrive(*to, arc.wanted)?
                } else {
                    let passed = observations::hash(Element::Passed(to.index() as u64));
                    let hash = hash.wrapping_add(choice.hash()).wrapping_add(passed);
                    self.extend(*to, arc.wanted, hash)?
                };
                self.chosen.pop();
            }
            self.path.pop();
            self.passed.pop();
        }
        if !anything {
            self.failed.insert(state);
        }
        Ok(anything)
    }

    /// Returns `true` if a choice is compatible with all others.
    fn admits(&mut self, choice: &Choice) -> Result<bool, Exhausted> {
        self.budget.spend(PAIR * (1 + self.chosen.len()))?;
        Ok(self.chosen.iter().all(|before| before.goes_with(choice, self.length)))
    }

    /// Closes the path with the first edges out of its last lock. Returns `true` if any cycle can
    /// close, even if it is not meant.
    fn arrive(&mut self, node: NodeIndex, wanted: Mode) -> Result<bool, Exhausted> {
        let graph = self.graph.order.graph();
        let mut anything = false;
        for at in self.goals_at.get(&node).cloned().into_iter().flatten() {
            let Goal { first, shortest } = self.query.goals[at];
            if self.found[at].is_some()
                || !(shortest..=shortest + MAX_DETOUR).contains(&self.length)
                || !wanted.waits_for(graph[first].held, graph[node].has_writer)
            {
                continue;
            }
            let Some(observations) = self.sightings_with(first)? else { continue };
            anything = true;
            let edges: Vec<_> = [first].into_iter().chain(self.path.iter().copied()).collect();
            if (self.query.is_meant)(at, &edges, self.budget)? {
                self.found[at] = Some(Feasible { edges, observations });
                self.missing -= 1;
            }
        }
        Ok(anything)
    }

    /// Returns the chosen observations of the path and of the edge that closes it, with that edge's
    /// first.
    fn sightings_with(&mut self, first: EdgeIndex) -> Result<Option<Vec<usize>>, Exhausted> {
        let mut observations: Vec<_> = self.chosen.iter().map(|choice| choice.at).collect();
        if self.query.first.is_some() {
            return Ok(Some(observations));
        }
        for choice in self.graph.choices_of(first) {
            if self.admits(&choice)? {
                observations.insert(0, choice.at);
                return Ok(Some(observations));
            }
        }
        Ok(None)
    }
}
