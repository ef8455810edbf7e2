//! All that is known of the order of locks: the graph with what a report needs of
//! each lock and edge, the names that were given, and the memory of judged chains.
//!
//! One lock around it, which is taken for a chain that was never judged before,
//! when a lock with edges is destroyed, and for snapshots. No code of the program
//! runs under it but its global allocator, whose locks are then not looked at.

mod class_orders;
mod cycles;
mod declaring;
mod feasible;
pub(super) mod leaves;
mod origins;
pub(super) mod recorded;
mod shown;

use std::{cell::Cell, mem, panic::Location, sync::Arc};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use petgraph::graph::{EdgeIndex, NodeIndex};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use self::{
    feasible::Budget,
    origins::{Origin, OriginId, Origins},
    recorded::Recorded,
    shown::{AllShown, Shown},
};

use super::{
    classes::Classes,
    context::Context,
    declared::{Declared, Key},
    held::{Entry, Tag},
    identity::{Identity, LockId},
    order::{Order, Vertex},
    presence,
    seen::{Filling, Seen},
    sightings::{Choice, Sighting, Sightings},
};
use crate::finding::{Edge, LockInfo, Mode, OrderGraph, RawStack};

pub(super) use self::{cycles::Cycle, declaring::is_any_declared};

/// Chains judged harmless, by any thread. Read without the lock.
#[cfg(not(loom))]
pub(super) static SEEN: Seen = Seen::new();
#[cfg(loom)]
pub(super) static SEEN: std::sync::LazyLock<Seen> = std::sync::LazyLock::new(Seen::new);

static KNOWLEDGE: Mutex<Option<Knowledge>> = Mutex::new(None);

/// The only way in, but for [`leaves`]. The caller is [`Inside`](super::ThreadState::Inside).
pub(super) fn lock() -> MappedMutexGuard<'static, Knowledge> {
    MutexGuard::map(KNOWLEDGE.lock(), |knowledge| {
        let knowledge = knowledge.get_or_insert_default();
        knowledge.enter_leaves();
        knowledge
    })
}

/// The lock itself.
#[cfg(all(unix, not(loom)))]
pub(super) fn itself() -> &'static dyn crate::renewable::Renewable {
    &KNOWLEDGE
}

#[derive(Default)]
pub(super) struct Knowledge {
    order: Order<OriginId, EdgeFacts>,
    origins: Origins,
    names: FxHashMap<LockId, Arc<str>>,
    classes: Classes,
    declared: Declared,
    shown: AllShown,
    filling: Filling,
    leaves: leaves::Leaves,
    recorded: Recorded,
    /// How many edges there have ever been.
    edges: u64,
    /// How many searches for a cycle that can close were given up.
    cut_short: Cell<u64>,
}

/// What the order graph keeps of an edge.
///
/// By whom it was seen, and what is told of each. Nearly all were seen once, by a thread that held
/// nothing but the tail: then what is told of it tells all.
#[derive(Debug, Default)]
enum EdgeFacts {
    #[default]
    Unseen,
    Once(Arc<Shown>),
    More(Box<Sightings<Arc<Shown>>>),
}

impl EdgeFacts {
    /// Whether one more sighting would change nothing.
    fn knows(&self, new: &Sighting) -> bool {
        match self {
            Self::Unseen => false,
            // It holds the tail as well, in the same mode.
            Self::Once(shown) => shown.thread() == new.thread(),
            Self::More(sightings) => sightings.knows(new),
        }
    }

    fn is_settled_for(&self, new: &Sighting) -> bool {
        matches!(self, Self::More(sightings) if sightings.is_settled_for(new))
    }

    /// Keeps a sighting that is news.
    fn learn(&mut self, held: Tag, new: Sighting, shown: Arc<Shown>) {
        *self = match mem::take(self) {
            Self::Unseen if new.is_of_one() => Self::Once(shown),
            before => {
                let mut sightings = before.sightings(held);
                sightings.learn(new, shown);
                Self::More(sightings)
            }
        };
    }

    fn sightings(self, held: Tag) -> Box<Sightings<Arc<Shown>>> {
        match self {
            Self::More(sightings) => sightings,
            Self::Unseen => Box::default(),
            Self::Once(shown) => {
                let mut sightings = Box::<Sightings<_>>::default();
                sightings.learn(Sighting::new(shown.thread(), [held]), shown);
                sightings
            }
        }
    }

    fn choices(&self, held: Tag) -> Vec<Choice> {
        match self {
            Self::Unseen => Vec::new(),
            Self::Once(shown) => vec![Choice::now(&Sighting::new(shown.thread(), [held]), 0)],
            Self::More(sightings) => sightings.choices(),
        }
    }

    fn get(&self, at: usize) -> Option<&Arc<Shown>> {
        match self {
            Self::Unseen => None,
            Self::Once(shown) => Some(shown),
            Self::More(sightings) => sightings.get(at),
        }
    }
}

/// A blocking acquisition that is about to happen.
pub(crate) struct Acquisition<'a> {
    pub(crate) identity: &'a Identity,
    /// With the mode in which it is wanted.
    pub(crate) wanted: Entry,
    /// Where the source names the lock, if not at `wanted.site`.
    pub(crate) named_at: &'static Location<'static>,
}

/// What was found when edges were added.
pub(super) struct Learned {
    pub(super) cycles: Vec<Cycle>,
    /// The chain is known of so many threads that further ones are no news.
    pub(super) is_settled: bool,
}

/// The edges of one acquisition, and which are new.
type Edges = SmallVec<[(EdgeIndex, bool); 8]>;

impl Knowledge {
    /// Whether every held lock has its edge to the wanted one, and this way of taking them
    /// is known.
    pub(super) fn knows(&mut self, held: &[Entry], wanted: &Entry, sighting: &Sighting) -> bool {
        held.iter().all(|held| {
            let edge = self.edge_between(held, wanted);
            edge.is_some_and(|edge| self.order.graph()[edge].facts.knows(sighting))
        })
    }

    fn edge_between(&mut self, held: &Entry, wanted: &Entry) -> Option<EdgeIndex> {
        let node = |entry: &Entry| self.order.node(entry.tag.lock());
        let (tail, head) = (node(held)?, node(wanted)?);
        self.order.find(tail, head, (held.tag.mode(), wanted.tag.mode()))
    }

    /// Adds an edge from every held lock to the wanted one, as it is seen now.
    pub(super) fn learn(
        &mut self,
        context: &Context,
        held: &[Entry],
        acquisition: &Acquisition<'_>,
        sighting: &Sighting,
        backtrace: &RawStack,
    ) -> Learned {
        let Acquisition { identity, wanted, named_at } = acquisition;
        let backtrace = self.shown.stack(backtrace.frames());
        let head = self.node(wanted, named_at);
        if identity.has_writer() {
            self.order.note_writer(wanted.tag.lock());
        }
        let edges = self.edges_to(head, held, wanted);
        // Judged before this sighting is one of those that are known. No edge is on a cycle while
        // none was ever refused.
        let mut cycles = match self.order.refused() {
            [] => Vec::new(),
            _ => self.cycles_through(&edges, sighting),
        };
        let mut is_settled = true;
        for (&(edge, is_new), entry) in edges.iter().zip(held) {
            let closes = is_new && cycles.iter().any(|it| it.edges[0].held.id == entry.tag.lock());
            if closes {
                self.order.note_closing(edge);
            }
            let Some(facts) = self.order.facts_mut(edge) else { continue };
            if !facts.knows(sighting) {
                let shown = self.shown.now(context, entry, wanted, &backtrace);
                facts.learn(entry.tag, sighting.clone(), shown);
            }
            is_settled &= facts.is_settled_for(sighting);
        }
        let mut of_classes = self.class_inversions(&edges, held, wanted, &cycles);
        if cycles.is_empty() {
            cycles.append(&mut of_classes);
        }
        // What is happening now is told as it is, even if it is known of others.
        for cycle in &mut cycles {
            let first = &mut cycle.edges[0];
            if let Some(entry) = held.iter().find(|entry| entry.tag.lock() == first.held.id) {
                first.held_at = entry.site.into();
                first.held_backtrace = context.trace_of(entry.tag);
                first.acquired_at = wanted.site.into();
                first.backtrace = backtrace.clone();
                first.thread = context.info();
            }
        }
        Learned { cycles, is_settled }
    }

    /// The edges from held locks to the wanted one, and whether each is new.
    fn edges_to(&mut self, head: NodeIndex, held: &[Entry], wanted: &Entry) -> Edges {
        // All are looked for before any is added: new ones would be in the way.
        let mut known: SmallVec<[_; 8]> = SmallVec::new();
        for held in held {
            let tail = self.node(held, held.site);
            let modes = (held.tag.mode(), wanted.tag.mode());
            known.push((tail, modes, self.order.find(tail, head, modes)));
        }
        let mut edges = Edges::new();
        for (tail, modes, known) in known {
            let edge = known.unwrap_or_else(|| {
                self.edges += 1;
                self.order.insert(tail, head, modes, EdgeFacts::default())
            });
            edges.push((edge, known.is_none()));
        }
        edges
    }

    /// The cycles that these edges are on: the shortest through each that can close; or, if none
    /// can, the shortest of all.
    fn cycles_through(&self, edges: &[(EdgeIndex, bool)], sighting: &Sighting) -> Vec<Cycle> {
        let is_told = |edge: EdgeIndex, is_new| is_new || self.order.graph()[edge].closes;
        let firsts: SmallVec<[EdgeIndex; 8]> = edges.iter().map(|&(edge, _)| edge).collect();
        let shortest = self.order.shortest_cycles(&firsts);
        let is_meant = |at: usize, cycle: &[EdgeIndex]| {
            let (edge, is_new) = edges[at];
            is_told(edge, is_new) || self.kind_changes(cycle, sighting)
        };
        let mut budget = Budget::new();
        let mut cycles = self.feasible_cycles_now(&shortest, sighting, &mut budget, is_meant);
        self.cut_short.set(self.cut_short.get() + u64::from(budget.is_spent()));
        if cycles.is_empty() {
            let cycles_by_edge = shortest.into_iter().enumerate();
            let told = cycles_by_edge.filter_map(|(at, cycle)| cycle.filter(|it| is_meant(at, it)));
            let shortest = told.min_by_key(Vec::len);
            cycles.extend(shortest.map(|cycle| self.cycle(&cycle, Some(sighting))));
        }
        cycles
    }

    /// The held locks that have no edge to the wanted one yet.
    pub(super) fn without_edge(&mut self, held: &[Entry], wanted: &Entry) -> Vec<Entry> {
        held.iter().filter(|held| self.edge_between(held, wanted).is_none()).copied().collect()
    }

    /// Returns the edges from some held locks to the wanted one that say something new to a reader of
    /// the record, each with the other locks that are held exclusively.
    pub(super) fn edges_for_record(
        &mut self,
        context: &Context,
        some: &[Entry],
        held: &[Entry],
        wanted: &Entry,
    ) -> Vec<(Edge, Vec<LockInfo>)> {
        let edge = |entry: &Entry| {
            let is_gate = |gate: &&Entry| {
                gate.tag.mode() == Mode::Exclusive && gate.tag.lock() != entry.tag.lock()
            };
            let gates = || held.iter().filter(is_gate);
            let edge = self.edge_between(entry, wanted)?;
            if !self.note_recorded(context, entry, wanted, gates()) {
                return None;
            }
            let edge = self.edge(edge, 0);
            let gates = gates().map(|gate| self.lock_of(gate, gate.site));
            Some((edge, gates.collect()))
        };
        some.iter().filter_map(edge).collect()
    }

    /// Remembers that a chain is harmless.
    pub(super) fn settle(&mut self, key: u64) {
        SEEN.insert(key, &mut self.filling);
    }

    /// The node of a lock, made if it is new.
    fn node(&mut self, entry: &Entry, seen: &'static Location<'static>) -> NodeIndex {
        self.order.node_or_insert(entry.tag.lock(), || {
            presence::entered(entry.tag.lock());
            self.origins.of(entry, seen)
        })
    }

    /// Forgets a lock that was destroyed; its key is for the caller to drop, without our lock.
    pub(super) fn forget(&mut self, lock: LockId) -> Option<Arc<dyn Key>> {
        if self.order.remove(lock) {
            presence::left(lock);
            self.filling.lock_destroyed();
        }
        if self.names.remove(&lock).is_some() {
            presence::left(lock);
        }
        if self.classes.forget(lock) {
            presence::left(lock);
        }
        let (was_declared, key) = self.declared.forget(lock);
        if was_declared {
            presence::left(lock);
        }
        key
    }

    pub(super) fn name(&mut self, lock: LockId, name: &str) {
        if self.names.insert(lock, Arc::from(name)).is_none() {
            presence::entered(lock);
        }
    }

    pub(super) fn name_of(&self, lock: LockId) -> Option<Arc<str>> {
        self.names.get(&lock).cloned()
    }

    /// Forgets the order; names stay.
    pub(super) fn reset(&mut self) {
        self.order.locks().for_each(presence::left);
        self.order = Order::default();
        self.classes.reset();
        self.shown = AllShown::default();
    }

    /// How many searches for a cycle that can close were given up: such a cycle may have been missed.
    #[allow(dead_code, reason = "for tests, and for whoever decides where to show it")]
    pub(super) fn cut_short(&self) -> u64 {
        self.cut_short.get()
    }

    /// How many edges there have ever been.
    pub(super) fn edges(&self) -> u64 {
        self.edges
    }

    pub(super) fn snapshot(&self) -> OrderGraph {
        let graph = self.order.map(|lock| self.lock(lock), |edge| self.edge(edge, 0));
        OrderGraph { graph: graph.into() }
    }

    /// What is known of a lock that a thread holds or wants. `seen`: where its name
    /// is read if the graph knows no better.
    pub(super) fn lock_of(&self, entry: &Entry, seen: &'static Location<'static>) -> LockInfo {
        match self.order.node(entry.tag.lock()) {
            Some(node) => self.lock(&self.order.graph()[node]),
            None => LockInfo {
                id: entry.tag.lock(),
                kind: entry.kind(),
                created_at: entry.created().map(Into::into),
                seen_at: seen.into(),
                name: self.names.get(&entry.tag.lock()).cloned(),
                class: self.classes.given(entry.tag.lock()),
            },
        }
    }

    fn lock(&self, vertex: &Vertex<OriginId>) -> LockInfo {
        let &Origin { kind, created, seen } = self.origins.get(vertex.facts);
        LockInfo {
            id: vertex.lock,
            kind,
            created_at: created.map(Into::into),
            seen_at: seen.into(),
            name: self.names.get(&vertex.lock).cloned(),
            class: self.classes.given(vertex.lock),
        }
    }

    /// An edge, as one of its sightings has it. One that is seen right now, for the first time,
    /// has none yet: the caller fills it in.
    fn edge(&self, edge: EdgeIndex, at: usize) -> Edge {
        let graph = self.order.graph();
        let (tail, head) = graph.edge_endpoints(edge).expect("the edge is in the graph");
        let (tail, head, arc) = (&graph[tail], &graph[head], &graph[edge]);
        let shown = arc.facts.get(at);
        let seen = |lock: &Vertex<OriginId>| self.origins.get(lock.facts).seen;
        let site = |of: fn(&Shown) -> &'static Location<'static>, or| {
            shown.map_or(or, |shown| of(shown)).into()
        };
        Edge {
            held: self.lock(tail),
            held_mode: arc.held,
            held_at: site(|shown| shown.held_at, seen(tail)),
            held_backtrace: shown.map(|shown| shown.held_backtrace.clone()).unwrap_or_default(),
            wanted: self.lock(head),
            wanted_mode: arc.wanted,
            acquired_at: site(|shown| shown.acquired_at, seen(head)),
            backtrace: shown.map(|shown| shown.backtrace.clone()).unwrap_or_default(),
            thread: shown.map(|shown| shown.thread.clone()).unwrap_or_default(),
            is_queued: false,
            waited: None,
        }
    }
}
