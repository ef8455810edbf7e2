//! One of the two searches that alternate until they meet.

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex, WalkNeighbors},
};
use rustc_hash::FxHashSet;

use super::{EdgeData, Vertex, label_of, order_list::OrderList};

/// An iterative depth-first search that advances one edge at a time. Its memory is reused.
pub(super) struct Search {
    direction: Direction,
    pub(super) reached: FxHashSet<NodeIndex>,
    stack: Vec<WalkNeighbors<u32>>,
}

pub(super) enum Step {
    Going,
    /// It has reached a node that the other search has reached.
    Met,
    Exhausted,
}

impl Search {
    pub(super) fn new(direction: Direction) -> Self {
        Self { direction, reached: FxHashSet::default(), stack: Vec::new() }
    }

    pub(super) fn start<N, E>(&mut self, graph: &DiGraph<Vertex<N>, EdgeData<E>>, from: NodeIndex) {
        self.reached.clear();
        self.stack.clear();
        self.visit(graph, from);
    }

    fn visit<N, E>(&mut self, graph: &DiGraph<Vertex<N>, EdgeData<E>>, node: NodeIndex) {
        self.reached.insert(node);
        self.stack.push(graph.neighbors_directed(node, self.direction).detach());
    }

    /// Follows one edge.
    pub(super) fn step<N, E>(
        &mut self,
        graph: &DiGraph<Vertex<N>, EdgeData<E>>,
        may_enter: impl Fn(NodeIndex) -> bool,
        others: &FxHashSet<NodeIndex>,
    ) -> Step {
        let Some(walker) = self.stack.last_mut() else { return Step::Exhausted };
        match walker.next(graph) {
            None => {
                self.stack.pop();
                if self.stack.is_empty() { Step::Exhausted } else { Step::Going }
            }
            Some((edge, _)) if !graph[edge].is_ordered() => Step::Going,
            Some((_, node)) if others.contains(&node) => Step::Met,
            Some((_, node)) => {
                if may_enter(node) && !self.reached.contains(&node) {
                    self.visit(graph, node);
                }
                Step::Going
            }
        }
    }

    /// Returns everything that was reached, in the order of the list.
    pub(super) fn in_order(&self, list: &OrderList) -> Vec<u32> {
        let mut entries: Vec<_> = self.reached.iter().map(|&node| label_of(node)).collect();
        entries.sort_unstable_by_key(|&entry| list.label(entry));
        entries
    }
}
