//! The lock-order graph and its topological order. Pure: no I/O, no lock, no clock. Knows nothing
//! of threads or source locations.
//!
//! Haeupler, Kavitha, Mathew, Sen and Tarjan, *Incremental Cycle Detection, Topological Ordering,
//! and Strong Component Maintenance* (TALG 2012): two-way search. An edge that agrees with the
//! order costs one comparison. Otherwise two searches alternate, forward from the edge's head and
//! backward from its tail, until they meet (a cycle) or one is exhausted; then the nodes that this
//! one has reached move. The order is an [order-maintenance list](order_list). The simpler
//! algorithm of Pearce and Kelly (JEA 2006) always completes both searches, which is linear per
//! edge for a chain of locks that is discovered tail first.
//!
//! A back edge, one that would close a cycle, stays out of the order. It still counts in searches,
//! so that one report does not hide the next. An edge with a [`Tail::Unshared`] is out of both.
//!
//! A removed lock stays in petgraph's graph for some time, at the end of the list, where no search
//! goes. To remove an edge, petgraph searches all edges of its two locks, which would make
//! destroying many locks nested in one quadratic. Once half of the graph is garbage, it is rebuilt
//! without it.

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

pub(crate) use self::cycles::Follow;
use self::{
    order_list::OrderList,
    search::{Search, Step},
};
use crate::{finding::Mode, validator::lock_id::LockId};

/// The minimum amount of garbage before the graph is compacted.
const MIN_GARBAGE: usize = if cfg!(test) { 4 } else { 64 };

/// The number of edges of both locks that are scanned before an index is consulted.
const EDGE_INDEX_THRESHOLD: usize = if cfg!(test) { 2 } else { 16 };

/// A lock in the graph, with the caller's data.
#[derive(Debug)]
pub(crate) struct Vertex<N> {
    pub(crate) lock: LockId,
    /// `true` once a blocking write was seen.
    pub(crate) has_writer: bool,
    /// The number of edges that may still be added as of a [new tail](Tail::New).
    new_edges: u8,
    pub(crate) facts: N,
}

/// What is known of the tail of an edge when the edge was first taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tail {
    /// Other threads may have known it.
    Shared,
    /// It was new: it had been neither wanted under another lock nor held by another thread when one was
    /// acquired.
    New,
    /// No other thread knew it. The edge counts only once it is taken again.
    Unshared,
}

/// An acquisition of the head while the tail was held.
#[derive(Debug)]
pub(crate) struct EdgeData<E> {
    pub(crate) held: Mode,
    pub(crate) wanted: Mode,
    flags: u8,
    pub(crate) facts: E,
}

/// The edge is not part of the topological order.
const BACK_EDGE: u8 = 1;
/// The edge closed a cycle when it was new.
const CLOSES: u8 = 2;
/// The tail was [`Tail::New`].
const NEW_TAIL: u8 = 4;
/// The tail was [`Tail::Unshared`].
const UNSHARED_TAIL: u8 = 8;

/// With more back edges than this, none is tried again when an edge leaves the order.
const MAX_TRIED: usize = 64;

/// The number of locks that a new one is expected to be held over before others know it.
const MAX_NEW_EDGES: u8 = 4;

impl<E> EdgeData<E> {
    fn is_back_edge(&self) -> bool {
        self.flags & BACK_EDGE != 0
    }

    /// Returns `true` if the edge is part of the topological order.
    fn is_ordered(&self) -> bool {
        self.flags & (BACK_EDGE | UNSHARED_TAIL) == 0
    }

    /// Returns `true` if the edge closed a cycle when it was new. Taking such an edge reports the
    /// cycle each time; taking its other edges does so only if that changes the verdict.
    pub(crate) fn closes(&self) -> bool {
        self.flags & CLOSES != 0
    }

    fn set(&mut self, flag: u8, is_set: bool) {
        self.flags = self.flags & !flag | if is_set { flag } else { 0 };
    }

    /// Returns what is known of the tail.
    pub(crate) fn tail(&self) -> Tail {
        match self.flags & (NEW_TAIL | UNSHARED_TAIL) {
            0 => Tail::Shared,
            NEW_TAIL => Tail::New,
            _ => Tail::Unshared,
        }
    }
}

pub(crate) struct AcyclicGraph<N, E> {
    graph: DiGraph<Vertex<N>, EdgeData<E>>,
    /// Node indices, hashed by the ids of their locks.
    nodes: HashTable<u32>,
    list: OrderList,
    /// The edges that are not part of the topological order.
    back_edges: Vec<EdgeIndex>,
    /// An index of edges that were found only after [`EDGE_INDEX_THRESHOLD`] others of both locks.
    edge_index: FxHashMap<(NodeIndex, NodeIndex, (Mode, Mode)), EdgeIndex>,
    /// The number of removed nodes and edges that are still stored.
    garbage: usize,
    searches: [Search; 2],
}

impl<N, E> Default for AcyclicGraph<N, E> {
    fn default() -> Self {
        Self {
            graph: DiGraph::default(),
            nodes: HashTable::new(),
            list: OrderList::default(),
            back_edges: Vec::new(),
            edge_index: FxHashMap::default(),
            garbage: 0,
            searches: [Search::new(Outgoing), Search::new(Incoming)],
        }
    }
}

impl<N, E> AcyclicGraph<N, E> {
    /// Returns the graph, for access to known nodes and edges.
    pub(crate) fn graph(&self) -> &DiGraph<Vertex<N>, EdgeData<E>> {
        &self.graph
    }

    /// Returns the locks in the graph.
    pub(crate) fn locks(&self) -> impl Iterator<Item = LockId> {
        self.nodes.iter().map(|&node| self.graph[NodeIndex::new(node as usize)].lock)
    }

    /// Returns a graph of the same locks and edges, without removed ones.
    pub(crate) fn map<N2, E2>(
        &self,
        lock: impl Fn(&Vertex<N>) -> N2,
        edge: impl Fn(EdgeIndex) -> E2,
    ) -> DiGraph<N2, E2> {
        let lock = |node, vertex: &Vertex<N>| self.is_here(node).then(|| lock(vertex));
        self.graph.filter_map(lock, |it, _| Some(edge(it)))
    }

    /// Returns `true` if a lock was held while another one, which still exists, was acquired.
    pub(crate) fn leads_on(&self, lock: LockId) -> bool {
        let node = self.node(lock);
        node.is_some_and(|node| self.graph.neighbors(node).any(|head| self.is_here(head)))
    }

    fn is_here(&self, node: NodeIndex) -> bool {
        self.list.contains(label_of(node))
    }

    pub(crate) fn node(&self, lock: LockId) -> Option<NodeIndex> {
        let is_it = |&node: &u32| self.graph[NodeIndex::new(node as usize)].lock == lock;
        self.nodes.find(hash(lock), is_it).map(|&node| NodeIndex::new(node as usize))
    }

    /// Returns the node of a lock, and creates it if it is new.
    pub(crate) fn node_or_insert(&mut self, lock: LockId, facts: impl FnOnce() -> N) -> NodeIndex {
        if let Some(known) = self.node(lock) {
            return known;
        }
        if self.graph.node_count() == self.graph.capacity().0 {
            self.graph.reserve_exact_nodes(room_for_more(self.graph.node_count()));
        }
        let vertex = Vertex { lock, has_writer: false, new_edges: 0, facts: facts() };
        let node = self.graph.add_node(vertex);
        self.list.push_back(label_of(node));
        let lock_of = |&node: &u32| hash(self.graph[NodeIndex::new(node as usize)].lock);
        self.nodes.insert_unique(hash(lock), label_of(node), lock_of);
        node
    }

    /// Returns the caller's data of an edge.
    pub(crate) fn facts_mut(&mut self, edge: EdgeIndex) -> &mut E {
        &mut self.graph[edge].facts
    }

    /// Returns the edge between two locks in these modes, if it is known. Scans as many edges as
    /// the lock with fewer of them has. If these are many, as for an outer and an inner lock with a
    /// million others in between, this happens once per edge.
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
                && let Some(&edge) = self.edge_index.get(&(tail, head, modes))
            {
                return Some(edge);
            }
            let (out, into) = (outgoing.next()?, incoming.next()?);
            for edge in [out, into] {
                let edge_data = edge.weight();
                if (edge.source(), edge.target()) == (tail, head)
                    && (edge_data.held, edge_data.wanted) == modes
                {
                    if looked_at >= EDGE_INDEX_THRESHOLD {
                        self.edge_index.insert((tail, head, modes), edge.id());
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
        self.graph[head].new_edges = 0;
        let is_back_edge = !self.make_precede(tail, head);
        if self.graph.edge_count() == self.graph.capacity().1 {
            self.graph.reserve_exact_edges(room_for_more(self.graph.edge_count()));
        }
        let edge = self.graph.add_edge(
            tail,
            head,
            EdgeData { held, wanted, flags: u8::from(is_back_edge) * BACK_EDGE, facts },
        );
        if is_back_edge {
            self.back_edges.push(edge);
        }
        edge
    }

    /// Records that a lock is new. Its next few edges are of a new tail, until it is wanted itself.
    pub(crate) fn note_new(&mut self, node: NodeIndex) {
        self.graph[node].new_edges = MAX_NEW_EDGES;
    }

    /// Returns `true` if the next edge out of a lock is of a new tail.
    pub(crate) fn is_new(&self, node: NodeIndex) -> bool {
        self.graph[node].new_edges > 0
    }

    /// Records that a lock is not new any more.
    pub(crate) fn note_known(&mut self, node: NodeIndex) {
        self.graph[node].new_edges = 0;
    }

    /// Records what is known of the tail of an edge.
    pub(crate) fn note_tail(&mut self, edge: EdgeIndex, tail: Tail) {
        let Some((node, head)) = self.graph.edge_endpoints(edge) else { return };
        let before = self.graph[edge].tail();
        self.graph[edge].set(UNSHARED_TAIL, tail == Tail::Unshared);
        self.graph[edge].set(NEW_TAIL, tail == Tail::New);
        match (before, tail) {
            (_, Tail::New) => {
                self.graph[node].new_edges = self.graph[node].new_edges.saturating_sub(1);
            }
            (_, Tail::Unshared) => {
                self.graph[edge].set(BACK_EDGE, false);
                self.back_edges.retain(|&it| it != edge);
                self.order_back_edges();
            }
            (Tail::Unshared, Tail::Shared) if !self.make_precede(node, head) => {
                self.graph[edge].set(BACK_EDGE, true);
                self.back_edges.push(edge);
            }
            (_, Tail::Shared) => {}
        }
    }

    /// Puts back edges into the order that close no cycle any more, unless there are many.
    fn order_back_edges(&mut self) {
        if self.back_edges.len() > MAX_TRIED {
            return;
        }
        for edge in mem::take(&mut self.back_edges) {
            let Some((tail, head)) = self.graph.edge_endpoints(edge) else { continue };
            let is_back_edge = !self.make_precede(tail, head);
            self.graph[edge].set(BACK_EDGE, is_back_edge);
            if is_back_edge {
                self.back_edges.push(edge);
            }
        }
    }

    /// Records that an edge closed a cycle when it was new.
    pub(crate) fn note_closing(&mut self, edge: EdgeIndex) {
        if let Some(edge_data) = self.graph.edge_weight_mut(edge) {
            edge_data.flags |= CLOSES;
        }
    }

    /// Records that a lock has a writer. Returns `true` if that is new.
    pub(crate) fn note_writer(&mut self, lock: LockId) -> bool {
        let vertex = self.node(lock).and_then(|node| self.graph.node_weight_mut(node));
        vertex.is_some_and(|vertex| !mem::replace(&mut vertex.has_writer, true))
    }

    /// Removes a lock with all its edges, and calls `forget` with the data of each. Returns `true`
    /// if the lock was there.
    ///
    /// Costs as much as the lock has edges, amortized over the copy in [`compact`](Self::compact),
    /// and as much as there are back edges if the lock has one.
    pub(crate) fn remove(&mut self, lock: LockId, mut forget: impl FnMut(E)) -> bool
    where
        E: Default,
    {
        let is_it = |&node: &u32| self.graph[NodeIndex::new(node as usize)].lock == lock;
        let Ok(known) = self.nodes.find_entry(hash(lock), is_it) else { return false };
        let node = NodeIndex::new(known.remove().0 as usize);
        self.list.remove(label_of(node));
        self.garbage += 1;
        let mut had_back_edge = false;
        for direction in [Outgoing, Incoming] {
            let mut edges = self.graph.neighbors_directed(node, direction).detach();
            while let Some((edge, other)) = edges.next(&self.graph) {
                // Otherwise the edge was removed with that lock.
                if self.list.contains(label_of(other)) {
                    self.garbage += 1;
                    let edge_data = &mut self.graph[edge];
                    had_back_edge |= edge_data.is_back_edge();
                    forget(mem::take(&mut edge_data.facts));
                }
            }
        }
        if had_back_edge {
            let Self { graph, list, back_edges, .. } = self;
            let is_here = |node| list.contains(label_of(node));
            let ends = |edge| graph.edge_endpoints(edge);
            back_edges.retain(|&edge| {
                ends(edge).is_some_and(|(tail, head)| is_here(tail) && is_here(head))
            });
        }
        let all = self.graph.node_count() + self.graph.edge_count();
        if self.garbage >= MIN_GARBAGE.max(all / 2) {
            self.compact();
        }
        true
    }

    /// Drops removed nodes and edges. The others get new indices.
    fn compact(&mut self) {
        let old = mem::take(&mut self.list);
        // As petgraph will number them: those that stay, in their old order.
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
        self.graph =
            mem::take(&mut self.graph).filter_map_owned(stays, |_, edge_data| Some(edge_data));
        let graph = &self.graph;
        self.nodes = HashTable::with_capacity(graph.node_count());
        for node in graph.node_indices() {
            let lock_of = |&node: &u32| hash(graph[NodeIndex::new(node as usize)].lock);
            self.nodes.insert_unique(hash(graph[node].lock), label_of(node), lock_of);
        }
        self.back_edges = graph.edge_indices().filter(|&edge| graph[edge].is_back_edge()).collect();
        self.edge_index = FxHashMap::default();
        self.garbage = 0;
    }

    /// Returns the back edges. Every cycle of the graph, whatever its modes, contains one of them.
    pub(crate) fn back_edges(&self) -> &[EdgeIndex] {
        &self.back_edges
    }

    pub(crate) fn label(&self, node: NodeIndex) -> u64 {
        self.list.label(label_of(node))
    }

    /// Returns `true` if one node comes before another in the current order.
    pub(crate) fn agrees(&self, tail: NodeIndex, head: NodeIndex) -> bool {
        self.label(tail) < self.label(head)
    }

    /// Makes one node come before another in the topological order. Returns `false` if a path leads
    /// from the second to the first, so that this is impossible.
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
        // Moves what the head leads to behind the tail, or what leads to the tail before the head.
        // Each keeps its own order.
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

    /// Panics if an edge of the order runs backwards.
    #[cfg(test)]
    pub(crate) fn check(&self) {
        let here: Vec<_> = self.nodes.iter().map(|&node| NodeIndex::new(node as usize)).collect();
        self.list.check(here.iter().copied().map(label_of).collect());
        let mut gone = self.graph.node_count() - here.len();
        for edge in self.graph.edge_indices() {
            let (tail, head) = self.graph.edge_endpoints(edge).unwrap();
            if !here.contains(&tail) || !here.contains(&head) {
                gone += 1;
                assert!(!self.back_edges.contains(&edge));
                continue;
            }
            let is_back_edge = self.graph[edge].is_back_edge();
            assert!(!self.graph[edge].is_ordered() || self.label(tail) < self.label(head));
            assert_eq!(is_back_edge, self.back_edges.contains(&edge));
        }
        assert_eq!(gone, self.garbage);
    }
}

fn hash(lock: LockId) -> u64 {
    FxBuildHasher.hash_one(lock)
}

/// Returns how much to grow a vector by: a quarter, where it would double by itself. The operating
/// system moves large allocations without copying.
fn room_for_more(count: usize) -> usize {
    (count / 4).max(16)
}

/// Returns the list entry of a node, which equals its index.
fn label_of(node: NodeIndex) -> u32 {
    u32::try_from(node.index()).expect("petgraph counts nodes in 32 bits")
}

#[cfg(test)]
mod tests;
