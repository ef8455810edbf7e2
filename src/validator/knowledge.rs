//! All that is known of the order of locks: the graph with what a report needs of
//! each lock and edge, the names that were given, and the memory of judged chains.
//!
//! One lock around it, which is taken for a chain that was never judged before,
//! when a lock with edges is destroyed, and for snapshots. No code of the program
//! runs under it but its global allocator, whose locks are then not looked at.

use std::{panic::Location, sync::Arc};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use petgraph::stable_graph::{EdgeIndex, NodeIndex};
use rustc_hash::FxHashMap;

use super::{
    held::Entry,
    identity::{Identity, LockId},
    interned::Interned,
    order::{Order, Vertex},
    presence,
    seen::{Filling, Seen},
    threads::Context,
};
use crate::finding::{Edge, LockInfo, LockKind, Mode, OrderGraph, Stack, ThreadInfo};

/// Chains judged harmless, by any thread. Read without the lock.
#[cfg(not(loom))]
pub(super) static SEEN: Seen = Seen::new();
#[cfg(loom)]
pub(super) static SEEN: std::sync::LazyLock<Seen> = std::sync::LazyLock::new(Seen::new);

static KNOWLEDGE: Mutex<Option<Knowledge>> = Mutex::new(None);

/// The only way in. The caller is [`Inside`](super::ThreadState::Inside).
pub(super) fn lock() -> MappedMutexGuard<'static, Knowledge> {
    MutexGuard::map(KNOWLEDGE.lock(), Option::get_or_insert_default)
}

#[derive(Default)]
pub(super) struct Knowledge {
    order: Order<LockFacts, EdgeFacts>,
    names: FxHashMap<LockId, Arc<str>>,
    stacks: Interned,
    filling: Filling,
    /// How many edges there have ever been.
    edges: u64,
}

/// What the order graph keeps of a lock.
#[derive(Debug)]
struct LockFacts {
    kind: &'static LockKind,
    created: Option<&'static Location<'static>>,
    /// Its first acquisition that had to be judged: where its name is read.
    seen: &'static Location<'static>,
}

/// What the order graph keeps of an edge: how it was first seen.
#[derive(Debug)]
struct EdgeFacts {
    held_at: &'static Location<'static>,
    held_backtrace: Stack,
    acquired_at: &'static Location<'static>,
    backtrace: Stack,
    thread: ThreadInfo,
}

/// A blocking acquisition that is about to happen.
pub(crate) struct Acquisition<'a> {
    pub(crate) identity: &'a Identity,
    /// With the mode in which it is wanted.
    pub(crate) wanted: Entry,
    /// Where the source names the lock, if not at `wanted.site`.
    pub(crate) named_at: &'static Location<'static>,
}

impl Knowledge {
    /// Whether every held lock has its edge to the wanted one.
    pub(super) fn has_all_edges(&self, held: &[Entry], wanted: &Entry) -> bool {
        held.iter().all(|held| self.edge_between(held, wanted).is_some())
    }

    fn edge_between(&self, held: &Entry, wanted: &Entry) -> Option<EdgeIndex> {
        let modes = (held.tag.mode(), wanted.tag.mode());
        self.order.find(held.tag.lock(), wanted.tag.lock(), modes)
    }

    /// Adds an edge from every held lock to the wanted one. The cycles that these
    /// edges are on, the shortest through each.
    pub(super) fn learn(
        &mut self,
        context: &Context,
        held: &[Entry],
        acquisition: &Acquisition<'_>,
        backtrace: Stack,
    ) -> Vec<Vec<Edge>> {
        let Acquisition { identity, wanted, named_at } = acquisition;
        let backtrace = self.stacks.intern(backtrace);
        let head = self.node(wanted, named_at);
        if identity.has_writer() {
            self.order.note_writer(wanted.tag.lock());
        }
        let mut cycles = Vec::new();
        for entry in held {
            let edge = self.edge_between(entry, wanted).unwrap_or_else(|| {
                let tail = self.node(entry, entry.site);
                let facts = EdgeFacts {
                    held_at: entry.site,
                    held_backtrace: self.stacks.intern(context.trace_of(entry.tag)),
                    acquired_at: wanted.site,
                    backtrace: backtrace.clone(),
                    thread: context.info(),
                };
                self.edges += 1;
                self.order.insert(tail, head, (entry.tag.mode(), wanted.tag.mode()), facts)
            });
            let Some(cycle) = self.order.shortest_cycle(edge) else { continue };
            let cycle = self.cycle(&cycle);
            // A cycle through another held lock contains the one through that lock.
            let is_held = |edge: &Edge| held.iter().any(|held| held.tag.lock() == edge.held.id);
            if !cycle[1..].iter().any(is_held) {
                cycles.push(cycle);
            }
        }
        cycles
    }

    /// The held locks that have no edge to the wanted one yet.
    pub(super) fn without_edge(&self, held: &[Entry], wanted: &Entry) -> Vec<Entry> {
        held.iter().filter(|held| self.edge_between(held, wanted).is_none()).copied().collect()
    }

    /// The edges of some held locks to the wanted one, each with the other locks that are held
    /// exclusively.
    pub(super) fn edges_for_record(
        &self,
        some: &[Entry],
        held: &[Entry],
        wanted: &Entry,
    ) -> Vec<(Edge, Vec<LockInfo>)> {
        let edge = |entry: &Entry| {
            let edge = self.edge(self.edge_between(entry, wanted)?);
            let is_gate = |gate: &&Entry| {
                gate.tag.mode() == Mode::Exclusive && gate.tag.lock() != entry.tag.lock()
            };
            let gates = held.iter().filter(is_gate).map(|gate| self.lock_of(gate, gate.site));
            Some((edge, gates.collect()))
        };
        some.iter().filter_map(edge).collect()
    }

    /// Remembers that a chain is harmless.
    pub(super) fn settle(&mut self, key: u64) {
        SEEN.insert(key, &mut self.filling);
    }

    /// Notes that a lock is written, so that its readers may wait for each other.
    /// The cycles in which they now do.
    pub(super) fn first_writer(&mut self, lock: LockId) -> Vec<Vec<Edge>> {
        if !self.order.note_writer(lock) {
            return Vec::new();
        }
        // Only what this writer makes dangerous; the rest was told before.
        let readers_meet = |(into, out): (&Edge, &Edge)| {
            out.held.id == lock && into.wanted_mode.queues_behind_writers(out.held_mode)
        };
        let refused = self.order.refused().iter();
        refused
            .filter_map(|&edge| Some(self.cycle(&self.order.shortest_cycle(edge)?)))
            .filter(|cycle| cycle.iter().zip(cycle.iter().cycle().skip(1)).any(readers_meet))
            .collect()
    }

    /// The node of a lock, made if it is new.
    fn node(&mut self, entry: &Entry, seen: &'static Location<'static>) -> NodeIndex {
        self.order.node_or_insert(entry.tag.lock(), || {
            presence::entered(entry.tag.lock());
            LockFacts { kind: entry.kind, created: entry.created, seen }
        })
    }

    /// Forgets a lock that was destroyed.
    pub(super) fn forget(&mut self, lock: LockId) {
        if self.order.remove(lock) {
            presence::left(lock);
            self.filling.lock_destroyed();
        }
        if self.names.remove(&lock).is_some() {
            presence::left(lock);
        }
    }

    pub(super) fn name(&mut self, lock: LockId, name: &str) {
        if self.names.insert(lock, Arc::from(name)).is_none() {
            presence::entered(lock);
        }
    }

    /// Forgets the order; names stay.
    pub(super) fn reset(&mut self) {
        for vertex in self.order.graph().node_weights() {
            presence::left(vertex.lock);
        }
        self.order = Order::default();
        self.stacks = Interned::default();
    }

    /// How many edges there have ever been.
    pub(super) fn edges(&self) -> u64 {
        self.edges
    }

    pub(super) fn snapshot(&self) -> OrderGraph {
        let lock = |_, vertex: &Vertex<LockFacts>| self.lock(vertex);
        OrderGraph { graph: self.order.graph().map(lock, |edge, _| self.edge(edge)) }
    }

    /// What is known of a lock that a thread holds or wants. `seen`: where its name
    /// is read if the graph knows no better.
    pub(super) fn lock_of(&self, entry: &Entry, seen: &'static Location<'static>) -> LockInfo {
        match self.order.node(entry.tag.lock()) {
            Some(node) => self.lock(&self.order.graph()[node]),
            None => LockInfo {
                id: entry.tag.lock(),
                kind: entry.kind,
                created_at: entry.created.map(Into::into),
                seen_at: seen.into(),
                name: self.names.get(&entry.tag.lock()).cloned(),
            },
        }
    }

    fn lock(&self, vertex: &Vertex<LockFacts>) -> LockInfo {
        LockInfo {
            id: vertex.lock,
            kind: vertex.facts.kind,
            created_at: vertex.facts.created.map(Into::into),
            seen_at: vertex.facts.seen.into(),
            name: self.names.get(&vertex.lock).cloned(),
        }
    }

    fn cycle(&self, edges: &[EdgeIndex]) -> Vec<Edge> {
        edges.iter().map(|&edge| self.edge(edge)).collect()
    }

    fn edge(&self, edge: EdgeIndex) -> Edge {
        let graph = self.order.graph();
        let (tail, head) = graph.edge_endpoints(edge).expect("the edge is in the graph");
        let arc = &graph[edge];
        Edge {
            held: self.lock(&graph[tail]),
            held_mode: arc.held,
            held_at: arc.facts.held_at.into(),
            held_backtrace: arc.facts.held_backtrace.clone(),
            wanted: self.lock(&graph[head]),
            wanted_mode: arc.wanted,
            acquired_at: arc.facts.acquired_at.into(),
            backtrace: arc.facts.backtrace.clone(),
            thread: arc.facts.thread.clone(),
            is_queued: false,
            waited: None,
        }
    }
}
