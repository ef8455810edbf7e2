//! Is there a cycle that can close?
//!
//! One lock is wanted while some are held: each held lock is a way to close a cycle, by a path from the
//! wanted lock to it. All of these are searched for at once, as they begin alike: depth first, with a
//! growing limit, edge by edge together with the sighting that is chosen for it, so that what cannot go
//! together is left as soon as it is met. The question is a hard one (it has the choice of different
//! threads in it), so that there is a budget; but what can be told without is told exactly:
//!
//! - What cannot go together with the first edge is not looked at, whatever the path. Its thread
//!   holds all that it holds: this leaves few edges, and how far it is from each lock to a goal over
//!   these is a lower bound.
//! - What remains to be done depends on the lock, the mode in which it is wanted, how many edges are
//!   left, and on the sets of threads, of held locks and of passed locks; not on how these came to be. Where
//!   nothing was found once, nothing is searched again.

use std::{collections::VecDeque, mem, rc::Rc};

use petgraph::{
    graph::{EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::Knowledge;
use crate::{
    finding::Mode,
    validator::{
        judge::waits,
        sightings::{self, Choice},
    },
};

/// How much longer than the shortest a cycle may be that is searched for.
const LONGER: usize = 4;

/// How much is looked at for one acquisition: pairs of sightings that are compared, or edges. Some 50 ns each.
const BUDGET: u32 = 20_000;

/// What is left of it.
pub(super) struct Budget {
    left: u32,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { left: BUDGET }
    }

    /// Takes so much of it. Nothing if there is no more.
    fn take(&mut self, much: usize) -> Option<()> {
        let much = u32::try_from(much).unwrap_or(u32::MAX);
        let left = self.left.checked_sub(much);
        self.left = left.unwrap_or(0);
        left.map(drop)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.left == 0
    }
}

/// A first edge, for which a cycle is searched.
pub(super) struct Goal {
    pub(super) first: EdgeIndex,
    /// The length of its shortest cycle, whether that can close or not.
    pub(super) shortest: usize,
}

impl Goal {
    fn is_of_length(&self, length: usize) -> bool {
        (self.shortest..=self.shortest + LONGER).contains(&length)
    }
}

/// An edge that may be on a path, with the choices that go together with the first edge.
type Ways = Rc<[(EdgeIndex, NodeIndex, Rc<[Choice]>)]>;

/// The search for the cycles of some first edges, which have one head, wanted in one mode.
struct Search<'a, M> {
    knowledge: &'a Knowledge,
    /// Of the first edge.
    first: &'a Choice,
    goals: &'a [Goal],
    found: Vec<Option<Vec<EdgeIndex>>>,
    is_meant: M,
    budget: &'a mut Budget,
    ceiling: u64,
    ways: FxHashMap<NodeIndex, Ways>,
    /// How many edges there are to a goal, at least.
    distance: FxHashMap<NodeIndex, usize>,
    /// Where nothing was found.
    failed: FxHashSet<(NodeIndex, Mode, usize, u64)>,
    /// The length of the cycles that are searched for.
    length: usize,
    path: Vec<EdgeIndex>,
    passed: Vec<NodeIndex>,
    chosen: Vec<Choice>,
}

impl Knowledge {
    /// For each goal the shortest cycle that can close with this choice for its first edge and of
    /// which something else is true as well.
    pub(super) fn feasible_cycles(
        &self,
        first: &Choice,
        goals: &[Goal],
        budget: &mut Budget,
        is_meant: impl Fn(usize, &[EdgeIndex]) -> bool,
    ) -> Vec<Option<Vec<EdgeIndex>>> {
        let found = vec![None; goals.len()];
        let graph = self.order.graph();
        let ends = |edge| graph.edge_endpoints(edge);
        let Some((_, head)) = goals.first().and_then(|goal| ends(goal.first)) else { return found };
        let tails = goals.iter().filter_map(|goal| Some(ends(goal.first)?.0));
        let Some(ceiling) = self.order.ceiling_of(tails) else { return found };
        let lengths = || goals.iter().map(|goal| goal.shortest);
        let (Some(from), Some(to)) = (lengths().min(), lengths().max()) else { return found };
        let mut search = Search {
            knowledge: self,
            first,
            goals,
            found,
            is_meant,
            budget,
            ceiling,
            ways: FxHashMap::default(),
            distance: FxHashMap::default(),
            failed: FxHashSet::default(),
            length: 0,
            path: Vec::new(),
            passed: vec![head],
            chosen: vec![first.clone()],
        };
        let wanted = graph[goals[0].first].wanted;
        let is_measured = search.measure(head, to + LONGER).is_some();
        for length in from.max(2)..=to + LONGER {
            search.length = length;
            search.failed.clear();
            let is_near = search.distance.get(&head).is_some_and(|&least| least < length);
            if is_measured && !is_near {
                continue;
            }
            if search.extend(head, wanted, first.hash()).is_none() {
                break;
            }
        }
        search.found
    }
}

impl<M: Fn(usize, &[EdgeIndex]) -> bool> Search<'_, M> {
    /// How far it is to a goal from each lock that can be reached. Nothing if that is too much to ask.
    fn measure(&mut self, head: NodeIndex, longest: usize) -> Option<()> {
        let mut into: FxHashMap<NodeIndex, Vec<NodeIndex>> = FxHashMap::default();
        let mut seen = FxHashSet::from_iter([head]);
        let mut layer = vec![head];
        let reserve = self.budget.left / 2;
        for _ in 1..longest {
            for node in mem::take(&mut layer) {
                if self.budget.left < reserve {
                    return None;
                }
                for &(_, to, _) in &*self.ways(node)? {
                    into.entry(to).or_default().push(node);
                    if seen.insert(to) {
                        layer.push(to);
                    }
                }
            }
        }
        let graph = self.knowledge.order.graph();
        let tails = self.goals.iter().filter_map(|goal| Some(graph.edge_endpoints(goal.first)?.0));
        let mut queue: VecDeque<NodeIndex> = tails.collect();
        let mut distance: FxHashMap<NodeIndex, usize> =
            queue.iter().map(|&tail| (tail, 0)).collect();
        // A goal may be on the way to another: how far it is from there does not matter.
        while let Some(node) = queue.pop_front() {
            for &before in into.get(&node).into_iter().flatten() {
                let next = distance[&node] + 1;
                distance.entry(before).or_insert_with(|| {
                    queue.push_back(before);
                    next
                });
            }
        }
        self.distance = distance;
        Some(())
    }

    /// The edges that lead on from a lock.
    fn ways(&mut self, node: NodeIndex) -> Option<Ways> {
        if let Some(known) = self.ways.get(&node) {
            return Some(Rc::clone(known));
        }
        let order = &self.knowledge.order;
        let mut ways = Vec::new();
        for edge in order.graph().edges(node) {
            self.budget.take(2)?;
            if order.label(edge.target()) > self.ceiling {
                continue;
            }
            let mut choices = self.knowledge.choices_of(edge.id());
            self.budget.take(choices.len())?;
            // Whether threads that were not kept may do the same is asked later.
            choices.retain(|choice| choice.goes_with(self.first, usize::MAX));
            if !choices.is_empty() {
                ways.push((edge.id(), edge.target(), Rc::from(choices)));
            }
        }
        let ways: Ways = Rc::from(ways);
        self.ways.insert(node, Rc::clone(&ways));
        Some(ways)
    }

    /// Whether something was found or refused that is told of whole cycles alone. Nothing when the budget is spent.
    fn extend(&mut self, node: NodeIndex, wanted: Mode, hash: u64) -> Option<bool> {
        // With the first edge.
        let left = self.length - 1 - self.path.len();
        let state = (node, wanted, left, hash);
        if left == 0 || self.failed.contains(&state) {
            return Some(false);
        }
        let graph = self.knowledge.order.graph();
        let has_writer = graph[node].has_writer;
        let mut anything = false;
        for (edge, to, choices) in &*self.ways(node)? {
            let arc = &graph[*edge];
            // Where nothing was measured, everything is near.
            let is_far = !self.distance.is_empty()
                && self.distance.get(to).is_none_or(|&least| least > left - 1);
            if is_far || !waits(wanted, arc.held, has_writer) || self.passed.contains(to) {
                continue;
            }
            self.path.push(*edge);
            self.passed.push(*to);
            for choice in &**choices {
                self.budget.take(1 + self.chosen.len())?;
                if !self.chosen.iter().all(|before| before.goes_with(choice, self.length)) {
                    continue;
                }
                self.chosen.push(choice.clone());
                anything |= match left {
                    1 => self.arrive(*to, arc.wanted),
                    _ => {
                        let passed = sightings::hash(to.index());
                        let hash = hash.wrapping_add(choice.hash()).wrapping_add(passed);
                        self.extend(*to, arc.wanted, hash)?
                    }
                };
                self.chosen.pop();
            }
            self.path.pop();
            self.passed.pop();
        }
        if !anything {
            self.failed.insert(state);
        }
        Some(anything)
    }

    /// A path ends at a lock: whether that closes a cycle.
    fn arrive(&mut self, node: NodeIndex, wanted: Mode) -> bool {
        let graph = self.knowledge.order.graph();
        let mut anything = false;
        for (at, goal) in self.goals.iter().enumerate() {
            let is_it = graph.edge_endpoints(goal.first).is_some_and(|(tail, _)| tail == node);
            if is_it
                && self.found[at].is_none()
                && goal.is_of_length(self.length)
                && waits(wanted, graph[goal.first].held, graph[node].has_writer)
            {
                anything = true;
                let cycle: Vec<_> = [goal.first].into_iter().chain(self.path.iter().copied()).collect();
                if (self.is_meant)(at, &cycle) {
                    self.found[at] = Some(cycle);
                }
            }
        }
        anything
    }
}
