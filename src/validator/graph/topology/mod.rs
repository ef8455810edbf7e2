//! The lock-order graph and its topological order. Pure: no I/O, no lock, no
//! clock; it does not know what a thread or a place in the source is.
//!
//! The graph is petgraph's. The order is kept incrementally, so that an edge that
//! agrees with it costs one comparison. Where one does not agree, two searches
//! run towards each other, forward from the edge's head and backward from its
//! tail, one step each in turn, until they meet (a cycle) or one of them has seen
//! all that it can reach; then the nodes that *it* saw move. This is the two-way
//! search of Haeupler, Kavitha, Mathew, Sen and Tarjan, *Incremental Cycle
//! Detection, Topological Ordering, and Strong Component Maintenance* (TALG 2012),
//! over an [order-maintenance list](order_list). The affected region of Pearce and Kelly
//! (JEA 2006), simpler, always searches both ways to the end: it is linear per
//! edge for a chain of locks that is discovered tail first.
//!
//! An edge that would close a cycle stays out of the order, marked as refused. It
//! still counts in searches, so that one report does not hide the next.
//!
//! A lock that is taken out stays in petgraph's graph for a while, behind all others in the list,
//! where no search goes: to take an edge out, petgraph looks for it among all those of its two
//! locks, which would make the end of many locks nested in one quadratic. Once half of the graph is
//! of no use, it is made anew without that.

mod cycles;
mod order_list;
mod search;

use std::{hash::BuildHasher, mem};

use hashbrown::HashTable;
use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{DiGraph, EdgeIndex, NodeIndex},
    visit::EdgeRef,
};
use rustc_hash::{FxBuildHasher, FxHashMap};

use self::{
    order_list::OrderList,
    search::{Search, Step},
};
use crate::{finding::Mode, validator::lock_id::LockId};

/// The fewest removed nodes and edges for which the graph is compacted.
const MIN_GARBAGE: usize = if cfg!(test) { 4 } else { 64 };

/// How many edges of each of two locks are looked at for the one between them before it is asked
/// whether that was found before.
const EDGE_INDEX_THRESHOLD: usize = if cfg!(test) { 2 } else { 16 };

/// A lock in the graph, with what the caller keeps of it.
#[derive(Debug)]
pub(crate) struct Vertex<N> {
    pub(crate) lock: LockId,
    /// Whether a blocking write was seen.
    pub(crate) has_writer: bool,
    pub(crate) facts: N,
}

/// An acquisition of the head while the tail was held.
#[derive(Debug)]
pub(crate) struct EdgeData<E> {
    pub(crate) held: Mode,
    pub(crate) wanted: Mode,
    flags: u8,
    pub(crate) facts: E,
}

/// The edge is no part of the topological order.
const REFUSED: u8 = 1;
/// The edge closed a cycle when it was new.
const CLOSES: u8 = 2;

impl<E> EdgeData<E> {
    fn is_refused(&self) -> bool {
        self.flags & REFUSED != 0
    }

    /// Returns `true` if the edge closed a cycle when it was new. Taking such an edge reports the
    /// cycle each time; taking its other edges does so only if that changes the verdict.
    pub(crate) fn closes(&self) -> bool {
        self.flags & CLOSES != 0
    }
}

pub(crate) struct AcyclicGraph<N, E> {
    graph: DiGraph<Vertex<N>, EdgeData<E>>,
    /// By the locks' numbers, which stand in the nodes.
    nodes: HashTable<u32>,
    list: OrderList,
    /// The edges that are no part of the topological order.
    refused: Vec<EdgeIndex>,
    /// Edges that were [`EDGE_INDEX_THRESHOLD`] behind the others of both locks when they were found.
    far: FxHashMap<(NodeIndex, NodeIndex, (Mode, Mode)), EdgeIndex>,
    /// How many nodes and edges are of no use.
    gone: usize,
    searches: [Search; 2],
}

impl<N, E> Default for AcyclicGraph<N, E> {
    fn default() -> Self {
        Self {
            graph: DiGraph::default(),
            nodes: HashTable::new(),
            list: OrderList::default(),
            refused: Vec::new(),
            far: FxHashMap::default(),
            gone: 0,
            searches: [Search::new(Outgoing), Search::new(Incoming)],
        }
    }
}

impl<N, E> AcyclicGraph<N, E> {
    /// To look at nodes and edges that are known.
    pub(crate) fn graph(&self) -> &DiGraph<Vertex<N>, EdgeData<E>> {
        &self.graph
    }

    /// The locks that are in the graph.
    pub(crate) fn locks(&self) -> impl Iterator<Item = LockId> {
        self.nodes.iter().map(|&node| self.graph[NodeIndex::new(node as usize)].lock)
    }

    /// A graph of the same locks and edges, without what is gone.
    pub(crate) fn map<N2, E2>(
        &self,
        lock: impl Fn(&Vertex<N>) -> N2,
        edge: impl Fn(EdgeIndex) -> E2,
    ) -> DiGraph<N2, E2> {
        let lock = |node, vertex: &Vertex<N>| self.is_here(node).then(|| lock(vertex));
        self.graph.filter_map(lock, |it, _| Some(edge(it)))
    }

    fn is_here(&self, node: NodeIndex) -> bool {
        self.list.contains(label_of(node))
    }

    pub(crate) fn node(&self, lock: LockId) -> Option<NodeIndex> {
        let is_it = |&node: &u32| self.graph[NodeIndex::new(node as usize)].lock == lock;
        self.nodes.find(hash(lock), is_it).map(|&node| NodeIndex::new(node as usize))
    }

    /// The node of a lock, made if it is new.
    pub(crate) fn node_or_insert(&mut self, lock: LockId, facts: impl FnOnce() -> N) -> NodeIndex {
        if let Some(known) = self.node(lock) {
            return known;
        }
        if self.graph.node_count() == self.graph.capacity().0 {
            self.graph.reserve_exact_nodes(room_for_more(self.graph.node_count()));
        }
        let node = self.graph.add_node(Vertex { lock, has_writer: false, facts: facts() });
        self.list.push_back(label_of(node));
        let lock_of = |&node: &u32| hash(self.graph[NodeIndex::new(node as usize)].lock);
        self.nodes.insert_unique(hash(lock), label_of(node), lock_of);
        node
    }

    /// What the caller keeps of an edge.
    pub(crate) fn facts_mut(&mut self, edge: EdgeIndex) -> &mut E {
        &mut self.graph[edge].facts
    }

    /// The edge between two locks in these modes, if it is known. Looks at as
    /// many edges as the node with fewer of them has; but once for each edge, where these are many,
    /// as of an outer and an inner lock with a million others in between.
    pub(crate) fn find(
        &mut self,
        tail: NodeIndex,
        head: NodeIndex,
        modes: (Mode, Mode),
    ) -> Option<EdgeIndex> {
        let mut outgoing = self.graph.edges_directed(tail, Outgoing);
        let mut incoming = self.graph.edges_directed(head, Incoming);
        for looked_at in 0.. {
            if looked_at == EDGE_INDEX_THRESHOLD
                && let Some(&edge) = self.far.get(&(tail, head, modes))
            {
                return Some(edge);
            }
            let (out, into) = (outgoing.next()?, incoming.next()?);
            for edge in [out, into] {
                let arc = edge.weight();
                if (edge.source(), edge.target()) == (tail, head) && (arc.held, arc.wanted) == modes
                {
                    if looked_at >= EDGE_INDEX_THRESHOLD {
                        self.far.insert((tail, head, modes), edge.id());
                    }
                    return Some(edge.id());
                }
            }
        }
        None
    }

    /// Adds an edge that is not known yet.
    pub(crate) fn insert(
        &mut self,
        tail: NodeIndex,
        head: NodeIndex,
        (held, wanted): (Mode, Mode),
        facts: E,
    ) -> EdgeIndex {
        let refused = !self.make_precede(tail, head);
        if self.graph.edge_count() == self.graph.capacity().1 {
            self.graph.reserve_exact_edges(room_for_more(self.graph.edge_count()));
        }
        let edge = self.graph.add_edge(
            tail,
            head,
            EdgeData { held, wanted, flags: u8::from(refused) * REFUSED, facts },
        );
        if refused {
            self.refused.push(edge);
        }
        edge
    }

    /// Notes that an edge closed a cycle when it was new.
    pub(crate) fn note_closing(&mut self, edge: EdgeIndex) {
        if let Some(arc) = self.graph.edge_weight_mut(edge) {
            arc.flags |= CLOSES;
        }
    }

    /// Notes that a lock is written by somebody. Whether that was news.
    pub(crate) fn note_writer(&mut self, lock: LockId) -> bool {
        let vertex = self.node(lock).and_then(|node| self.graph.node_weight_mut(node));
        vertex.is_some_and(|vertex| !mem::replace(&mut vertex.has_writer, true))
    }

    /// Removes a lock with all its edges, and calls `forget` with what was kept of each. Returns
    /// `true` if the lock was there.
    ///
    /// Costs as much as the lock has edges; amortized, as they are copied once. And as much as there
    /// are refused edges, if one of them is the lock's.
    pub(crate) fn remove(&mut self, lock: LockId, mut forget: impl FnMut(E)) -> bool
    where
        E: Default,
    {
        let is_it = |&node: &u32| self.graph[NodeIndex::new(node as usize)].lock == lock;
        let Ok(known) = self.nodes.find_entry(hash(lock), is_it) else { return false };
        let node = NodeIndex::new(known.remove().0 as usize);
        self.list.remove(label_of(node));
        self.gone += 1;
        let mut was_refused = false;
        for direction in [Outgoing, Incoming] {
            let mut edges = self.graph.neighbors_directed(node, direction).detach();
            while let Some((edge, other)) = edges.next(&self.graph) {
                // Otherwise the edge went with that lock.
                if self.list.contains(label_of(other)) {
                    self.gone += 1;
                    let arc = &mut self.graph[edge];
                    was_refused |= arc.is_refused();
                    forget(mem::take(&mut arc.facts));
                }
            }
        }
        if was_refused {
            let Self { graph, list, refused, .. } = self;
            let is_here = |node| list.contains(label_of(node));
            let ends = |edge| graph.edge_endpoints(edge);
            refused.retain(|&edge| {
                ends(edge).is_some_and(|(tail, head)| is_here(tail) && is_here(head))
            });
        }
        let all = self.graph.node_count() + self.graph.edge_count();
        if self.gone >= MIN_GARBAGE.max(all / 2) {
            self.compact();
        }
        true
    }

    /// Leaves what is gone behind: nodes and edges get other indices.
    fn compact(&mut self) {
        let old = mem::take(&mut self.list);
        // As petgraph numbers them: those that stay, in their old sequence.
        let mut next = 0;
        let number = |node| {
            let number = next;
            next += u32::from(old.contains(label_of(node)));
            number
        };
        let numbers: Vec<u32> = self.graph.node_indices().map(number).collect();
        for entry in old.iter() {
            self.list.push_back(numbers[entry as usize]);
        }
        let stays = |node, vertex| old.contains(label_of(node)).then_some(vertex);
        self.graph = mem::take(&mut self.graph).filter_map_owned(stays, |_, arc| Some(arc));
        let graph = &self.graph;
        self.nodes = HashTable::with_capacity(graph.node_count());
        for node in graph.node_indices() {
            let lock_of = |&node: &u32| hash(graph[NodeIndex::new(node as usize)].lock);
            self.nodes.insert_unique(hash(graph[node].lock), label_of(node), lock_of);
        }
        self.refused = graph.edge_indices().filter(|&edge| graph[edge].is_refused()).collect();
        self.far = FxHashMap::default();
        self.gone = 0;
    }

    /// The edges that some cycle of the graph, whatever its modes, goes through:
    /// one of them is in every cycle.
    pub(crate) fn refused(&self) -> &[EdgeIndex] {
        &self.refused
    }

    pub(crate) fn label(&self, node: NodeIndex) -> u64 {
        self.list.label(label_of(node))
    }

    /// Returns `true` if one node comes before another in the current order.
    pub(crate) fn agrees(&self, tail: NodeIndex, head: NodeIndex) -> bool {
        self.label(tail) < self.label(head)
    }

    /// Makes one node come before another in the topological order, unless a
    /// path leads from the second to the first. Whether it does.
    fn make_precede(&mut self, tail: NodeIndex, head: NodeIndex) -> bool {
        let (floor, ceiling) = (self.label(head), self.label(tail));
        debug_assert_ne!(tail, head, "an edge is between two locks");
        if ceiling < floor {
            return true;
        }
        let Self { graph, list, searches: [forward, backward], .. } = self;
        forward.start(graph, head);
        backward.start(graph, tail);
        let is_between = |node| (floor..=ceiling).contains(&list.label(label_of(node)));
        let exhausted = loop {
            match forward.step(graph, is_between, &backward.reached) {
                Step::Met => return false,
                Step::Exhausted => break Outgoing,
                Step::Going => {}
            }
            match backward.step(graph, is_between, &forward.reached) {
                Step::Met => return false,
                Step::Exhausted => break Incoming,
                Step::Going => {}
            }
        };
        // What the head leads to goes behind the tail, or what leads to the tail
        // before the head; in its own order either way.
        match exhausted {
            Outgoing => {
                let mut anchor = label_of(tail);
                for entry in forward.in_order(list) {
                    list.move_after(anchor, entry);
                    anchor = entry;
                }
            }
            Incoming => {
                let mut anchor = label_of(head);
                for entry in backward.in_order(list).into_iter().rev() {
                    list.move_before(anchor, entry);
                    anchor = entry;
                }
            }
        }
        true
    }

    /// Panics if an edge of the order runs against it.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let here: Vec<_> = self.nodes.iter().map(|&node| NodeIndex::new(node as usize)).collect();
        self.list.check(here.iter().copied().map(label_of).collect());
        let mut gone = self.graph.node_count() - here.len();
        for edge in self.graph.edge_indices() {
            let (tail, head) = self.graph.edge_endpoints(edge).unwrap();
            if !here.contains(&tail) || !here.contains(&head) {
                gone += 1;
                assert!(!self.refused.contains(&edge));
                continue;
            }
            let refused = self.graph[edge].is_refused();
            assert!(refused || self.label(tail) < self.label(head));
            assert_eq!(refused, self.refused.contains(&edge));
        }
        assert_eq!(gone, self.gone);
    }
}

fn hash(lock: LockId) -> u64 {
    FxBuildHasher.hash_one(lock)
}

/// For how many more there is to be room: a quarter, where a vector would double. What is large is
/// moved by the operating system, without a copy.
fn room_for_more(count: usize) -> usize {
    (count / 4).max(16)
}

/// A node's place in the list, which shares petgraph's numbering.
fn label_of(node: NodeIndex) -> u32 {
    u32::try_from(node.index()).expect("petgraph counts nodes in 32 bits")
}

#[cfg(test)]
mod tests;
