//! The lock order: the graph, with what a report needs about each lock and edge, given names, and
//! the process-wide chain cache.
//!
//! One lock guards all of it. It is taken for a chain that was never checked before, when a lock
//! with edges is destroyed, and for snapshots. No code of the program runs under it, except its
//! global allocator, whose locks are not tracked then.

pub(super) mod annotations;
mod budget;
mod class_orders;
pub(super) mod classes;
mod cycles;
pub(super) mod declared;
mod declaring;
mod facts;
mod feasible;
mod interner;
pub(super) mod leaves;
pub(super) mod observations;
mod one_class;
mod origins;
mod past_exits;
#[cfg_attr(not(feature = "write_records"), path = "no_recorded.rs")]
pub(super) mod recorded;
mod shown;
#[cfg(all(test, not(loom)))]
mod tests;
pub(super) mod topology;
pub(super) mod unshared;
mod uses;

use std::{iter, mem, panic::Location, sync::Arc};

use parking_lot::{MappedMutexGuard, Mutex, MutexGuard};
use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{EdgeIndex, NodeIndex},
};
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use self::{
    budget::Budget,
    classes::Classes,
    cycles::Through,
    declared::{Declared, Key},
    facts::{EdgeFacts, FactStore},
    observations::{Choice, Observation, Settled},
    one_class::OneClass,
    origins::{Origin, OriginId, Origins},
    past_exits::PastExits,
    recorded::Recorded,
    shown::{AllShown, Shown},
    topology::{AcyclicGraph, Tail, Vertex},
    unshared::{NewLocks, Question, is_last_of_place},
};
pub(super) use self::{cycles::Cycle, declaring::is_any_declared};
use super::{
    chain_cache::{Filling, Seen},
    context::{
        Context,
        acquisition_log::Logged,
        held::{Entry, Tag},
        obligations::Owed,
        spawn_order::Initialization,
    },
    identity::Identity,
    lock_id::{LockId, creation_sites, known_locks},
};
use crate::{
    finding::{Edge, LockInfo, Mode, OrderGraph, ResourceInfo, Role},
    stack::{RawStack, Stack},
};

/// Chains found harmless, by any thread. Read without the lock.
#[cfg(not(loom))]
pub(super) static SEEN: Seen = Seen::new();
#[cfg(loom)]
pub(super) static SEEN: std::sync::LazyLock<Seen> = std::sync::LazyLock::new(Seen::new);

static GRAPH: Mutex<Option<LockGraph>> = Mutex::new(None);

/// The graph, locked.
pub(super) type Graph = MappedMutexGuard<'static, LockGraph>;

/// The only way in, except for [`leaves`]. The caller is
/// [`InValidator`](super::ThreadState::InValidator).
pub(super) fn lock() -> Graph {
    MutexGuard::map(GRAPH.lock(), |graph| {
        let graph = graph.get_or_insert_default();
        graph.enter_leaves();
        graph
    })
}

/// Returns the lock itself, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn itself() -> &'static dyn crate::fork_lock::ForkLock {
    &GRAPH
}

/// Returns `true` if an acquisition may have to wait for readers, because they queue behind a
/// writer of the lock. If the lock has no writer yet, adds it to the graph, where its first writer
/// looks.
pub(super) fn await_writer(acquisition: &Acquisition<'_>) -> bool {
    let Acquisition { identity, wanted, named_at } = acquisition;
    if !wanted.tag.mode().queues_behind_writers(Mode::Shared) {
        return false;
    }
    if !identity.has_writer() {
        lock().await_writer(wanted, named_at);
    }
    identity.has_writer()
}

#[derive(Default)]
pub(super) struct LockGraph {
    order: AcyclicGraph<OriginId, EdgeFacts>,
    facts: FactStore,
    origins: Origins,
    names: FxHashMap<LockId, Arc<str>>,
    resources: FxHashMap<LockId, Arc<ResourceInfo>>,
    classes: Classes,
    one_class: OneClass,
    declared: Declared,
    shown: AllShown,
    filling: Filling,
    leaves: leaves::Leaves,
    past_exits: PastExits,
    #[cfg_attr(not(feature = "write_records"), allow(dead_code, reason = "there is no record"))]
    recorded: Recorded,
    /// Cells whose initializers took locks.
    initialized: FxHashMap<LockId, Initialization>,
    /// `true` if there may be edges that [use](uses) such a cell.
    has_uses: bool,
    new_locks: NewLocks,
    /// The number of edges ever added.
    edges: u64,
}

/// A blocking acquisition that is about to happen.
pub(crate) struct Acquisition<'a> {
    pub(crate) identity: &'a Identity,
    /// The wanted lock and mode.
    pub(crate) wanted: Entry,
    /// Where the source names the lock, if not at `wanted.site`.
    pub(crate) named_at: &'static Location<'static>,
}

/// The result of adding edges.
pub(super) struct Learned {
    pub(super) cycles: Vec<Cycle>,
    /// Questions about findings of classes that are not in `cycles`.
    pub(super) questions: Vec<Question>,
    /// The held locks whose edges are new and count.
    pub(super) new: SmallVec<[Entry; 2]>,
    /// The threads for which the chain no longer needs a check.
    pub(super) settled: Settled,
    /// An edge does not count as others do before it is taken again, so no cache may have the chain.
    pub(super) is_provisional: bool,
    /// No edge of the graph has this stack.
    pub(super) is_new_way: bool,
}

impl Default for Learned {
    fn default() -> Self {
        Self {
            cycles: Vec::new(),
            questions: Vec::new(),
            new: SmallVec::new(),
            settled: Settled::ForAll,
            is_provisional: false,
            is_new_way: false,
        }
    }
}

/// The edges of one acquisition, and which are new.
type Edges = SmallVec<[(EdgeIndex, bool); 8]>;

impl LockGraph {
    /// Returns `true` if every held lock has its edge to the wanted one, and the observation
    /// differs from known ones at most in time.
    pub(super) fn knows(
        &mut self,
        held: &[Entry],
        wanted: &Entry,
        observation: &Observation,
    ) -> bool {
        held.iter().all(|held| {
            let edge = self.edge_between(held, wanted);
            edge.filter(|&edge| self.counts(edge)).is_some_and(|edge| {
                let facts = &self.order.graph()[edge].facts;
                self.knows_observation(edge, observation)
                    || self.facts.shown_earlier(facts, observation, [held, wanted]).is_some()
            })
        })
    }

    /// Returns `true` if one more observation of an edge would change nothing. The first one of an edge with a
    /// [`Tail::New`] may not count.
    fn knows_observation(&self, edge: EdgeIndex, observation: &Observation) -> bool {
        let edge_data = &self.order.graph()[edge];
        match edge_data.tail() {
            Tail::New => self.facts.knows_after_first(&edge_data.facts, observation),
            Tail::Shared | Tail::Unshared => self.facts.knows(&edge_data.facts, observation),
        }
    }

    fn edge_between(&mut self, held: &Entry, wanted: &Entry) -> Option<EdgeIndex> {
        let node = |entry: &Entry| self.order.node(entry.tag.lock());
        let (tail, head) = (node(held)?, node(wanted)?);
        self.order.find(tail, head, (held.tag.mode(), wanted.tag.mode()))
    }

    /// Adds an edge from every held lock to the wanted one, with the current observation. If that depends on
    /// the source, returns questions, and must be called again with the answers; also about edges that would be
    /// recorded, if `is_recorded`.
    pub(super) fn learn(
        &mut self,
        context: &Context,
        held: &[Entry],
        acquisition: &Acquisition<'_>,
        observation: &Observation,
        backtrace: &RawStack,
        is_recorded: bool,
    ) -> Result<Learned, Vec<Question>> {
        let Acquisition { identity, wanted, named_at } = acquisition;
        let (backtrace, is_new_way) = self.shown.stack_and_news(backtrace.frames());
        let head = self.node(wanted, named_at);
        if identity.has_writer() {
            self.order.note_writer(wanted.tag.lock());
        }
        let edges = self.edges_to(head, held, wanted, observation.thread());
        self.settle_own_tails(&edges, held, wanted, &backtrace, is_recorded)?;
        // Check for cycles before recording this observation. Without back edges, there are none.
        let (mut through, mut unshared) = (Through::default(), Vec::new());
        if !self.order.back_edges().is_empty() {
            let mut budget = Budget::new(budget::STEPS);
            through = self.cycles_now(&edges, observation, &mut budget);
            while let Some(cycles) = self.settle_new_tails(&through.to_report, 1)? {
                unshared.extend(cycles);
                budget = Budget::new(budget::STEPS);
                through = self.cycles_now(&edges, observation, &mut budget);
            }
            cycles::note_cut_short(&budget);
        }
        let Through { to_report: mut cycles, are_any } = through;
        let mut learned = Learned { is_new_way, ..Learned::default() };
        for (&(edge, is_new), entry) in edges.iter().zip(held) {
            let mut closed = cycles.iter().chain(&unshared);
            let closes = is_new && closed.any(|it| it.edges[0].held.id == entry.tag.lock());
            if closes {
                self.order.note_closing(edge);
            }
            self.observe(context, edge, [entry, wanted], observation, &backtrace);
            let edge_data = &self.order.graph()[edge];
            let settled = self.facts.settled_for(&edge_data.facts, observation).on_cycle(are_any);
            learned.settled = learned.settled.min(settled);
            if is_new {
                learned.is_provisional |= edge_data.tail() != Tail::Shared;
                learned.new.extend(self.counts(edge).then_some(*entry));
            }
        }
        if wanted.tag.mode() != Mode::Initialized {
            let of_classes = self.findings_of_classes(&edges, held, wanted, &cycles, &backtrace);
            if cycles.is_empty() {
                match self.answered(of_classes, &backtrace) {
                    Ok(of_classes) => cycles = of_classes,
                    Err(questions) => learned.questions = questions,
                }
            }
        }
        cycles.append(&mut unshared);
        show_now(context, &mut cycles, (held, wanted), &backtrace);
        learned.cycles = cycles;
        Ok(learned)
    }

    /// Adds an observation to an edge, unless it is known.
    fn observe(
        &mut self,
        context: &Context,
        edge: EdgeIndex,
        entries: [&Entry; 2],
        observation: &Observation,
        backtrace: &Stack,
    ) {
        if self.knows_observation(edge, observation) {
            return;
        }
        let is_new_tail = self.order.graph()[edge].tail() == Tail::New;
        let facts = self.order.facts_mut(edge);
        let earlier = self.facts.shown_earlier(facts, observation, entries).cloned();
        let shown = earlier
            .unwrap_or_else(|| self.shown.now(context, observation.segment(), entries, backtrace));
        let (held, new) = (entries[0].tag, observation.clone());
        if is_new_tail && self.facts.repeats_first(facts, observation) {
            self.facts.replace_first(facts, held, new, shown);
            self.order.note_tail(edge, Tail::Shared);
        } else {
            self.facts.learn(facts, held, new, shown);
        }
    }

    /// Enters edges from a thread's exit to what was acquired before the thread can end. Returns
    /// the class inversions. No edge leads to the exit yet, so these edges close no cycle of locks.
    pub(super) fn enter_logged(&mut self, exit: &Entry, acquired: &[Logged]) -> Vec<Cycle> {
        let mut cycles = Vec::new();
        for Logged { wanted, held: others, has_writer, thread, segment, .. } in acquired {
            let head = self.node(wanted, wanted.site);
            if *has_writer {
                self.order.note_writer(wanted.tag.lock());
            }
            let edges = self.edges_to(head, &[*exit], wanted, segment.thread);
            let (edge, _) = edges[0];
            let tags = others.iter().copied().chain([exit.tag]);
            let observation = Observation::new(segment.clone(), tags);
            let facts = self.order.facts_mut(edge);
            if !self.facts.knows(facts, &observation) {
                let shown = self.shown.without_stack((thread, segment), [exit, wanted]);
                self.facts.learn(facts, exit.tag, observation, shown);
            }
            let others = others.iter().map(|&tag| Entry { tag, site: exit.site });
            let held: SmallVec<[Entry; 4]> = iter::once(*exit).chain(others).collect();
            let of_classes =
                self.findings_of_classes(&edges, &held, wanted, &[], &Stack::default());
            cycles.extend(of_classes.into_iter().map(|it| it.cycle));
        }
        cycles
    }

    /// Called when a thread that holds these locks is about to wait for an event. Enters edges from
    /// the event to what is acquired before it happens. The cycles are found with the thread's own
    /// edges, which follow.
    pub(super) fn enter_owed_to(&mut self, event: &Entry, owed: &[Owed], held: &[Entry]) {
        // The event gets its name from the source at the wait.
        self.node(event, event.site);
        let is_held = |owed: &&Owed| {
            held.iter().any(|held| held.tag.lock() == owed.acquired.wanted.tag.lock())
        };
        for Owed { since, acquired } in owed.iter().filter(is_held) {
            self.enter_one_owed(&Entry { site: since, ..*event }, acquired);
        }
        self.enter_owed(event.tag, owed);
    }

    /// Enters edges from an event to what is acquired before it happens. Returns the cycles that
    /// new edges close. Leaves out locks that are not in the graph: they are on no cycle, and may
    /// not exist any more.
    pub(super) fn enter_owed(&mut self, event: Tag, owed: &[Owed]) -> Vec<Cycle> {
        let mut cycles = Vec::new();
        if self.order.node(event.lock()).is_none() {
            // A thread that waits for the event will enter these.
            return cycles;
        }
        for Owed { since, acquired } in owed {
            if self.order.node(acquired.wanted.tag.lock()).is_some() {
                let event = Entry { tag: event, site: since };
                cycles.append(&mut self.enter_one_owed(&event, acquired));
            }
        }
        cycles
    }

    fn enter_one_owed(&mut self, event: &Entry, acquired: &Logged) -> Vec<Cycle> {
        let Logged { wanted, held: others, has_writer, thread, segment, .. } = acquired;
        let head = self.node(wanted, wanted.site);
        if *has_writer {
            self.order.note_writer(wanted.tag.lock());
        }
        let edges = self.edges_to(head, &[*event], wanted, segment.thread);
        let (edge, is_new) = edges[0];
        let observation =
            Observation::new(segment.clone(), others.iter().copied().chain([event.tag]));
        if self.facts.knows(&self.order.graph()[edge].facts, &observation) {
            return Vec::new();
        }
        let mut cycles = Vec::new();
        if !self.order.back_edges().is_empty() {
            let mut budget = Budget::new(budget::STEPS);
            cycles = self.cycles_now(&edges, &observation, &mut budget).to_report;
            cycles::note_cut_short(&budget);
        }
        if is_new && !cycles.is_empty() {
            self.order.note_closing(edge);
        }
        let shown = self.shown.without_stack((thread, segment), [event, wanted]);
        self.facts.learn(self.order.facts_mut(edge), event.tag, observation, shown);
        for Cycle { edges, .. } in &mut cycles {
            edges[0].held_at = event.site.into();
            edges[0].acquired_at = wanted.site.into();
            edges[0].thread = thread.clone();
        }
        cycles
    }

    /// Returns the edges from held locks to the wanted one that a thread takes, and whether each is new.
    fn edges_to(&mut self, head: NodeIndex, held: &[Entry], wanted: &Entry, thread: u64) -> Edges {
        // All are looked up before any is added, because new edges would slow down the search.
        let mut known: SmallVec<[_; 8]> = SmallVec::new();
        for held in held {
            let tail = self.tail_node(held);
            let modes = (held.tag.mode(), wanted.tag.mode());
            known.push((tail, modes, self.order.find(tail, head, modes)));
        }
        let mut edges = Edges::new();
        for (at, (tail, modes, known)) in known.into_iter().enumerate() {
            let edge = known.unwrap_or_else(|| {
                self.edges += 1;
                self.has_uses |= modes.1 == Mode::Initialized;
                let is_of_last_run = is_last_of_place(&held[at..]);
                let is_new_tail = is_of_last_run && self.is_new_tail(tail, head, thread);
                let is_new_head = is_new_tail && self.is_new_head(head);
                let edge = self.order.insert(tail, head, modes, EdgeFacts::default());
                if is_new_tail {
                    self.order.note_tail(edge, Tail::New);
                }
                if is_new_head {
                    self.order.note_new(head);
                }
                edge
            });
            // Unless it is added now, this thread may have asked the source about it.
            let is_unseen = !self.is_observed(edge);
            let is_revived = !is_unseen && !self.counts(edge);
            if is_revived {
                // It begins to count, like a new one.
                self.facts.forget(mem::take(self.order.facts_mut(edge)));
                self.order.note_tail(edge, Tail::Shared);
            }
            edges.push((edge, is_unseen || is_revived));
        }
        edges
    }

    /// Returns the observations that an edge offers.
    fn choices_of(&self, edge: EdgeIndex) -> Vec<Choice> {
        self.facts.choices(&self.order.graph()[edge].facts, self.held_of(edge))
    }

    /// Records that a chain is harmless.
    pub(super) fn settle(&mut self, key: u64) {
        SEEN.insert(key, &mut self.filling);
    }

    /// Returns the node of a lock, and creates it if it is new.
    fn node(&mut self, entry: &Entry, seen: &'static Location<'static>) -> NodeIndex {
        self.order.node_or_insert(entry.tag.lock(), || {
            known_locks::entered(entry.tag.lock());
            self.origins.of(entry, seen)
        })
    }

    /// Adds a lock without edges, so that its first writer finds it.
    pub(super) fn await_writer(&mut self, wanted: &Entry, seen: &'static Location<'static>) {
        self.node(wanted, seen);
    }

    /// Returns `true` for the exit of a thread with edges in both directions.
    fn is_passed_exit(&self, lock: LockId) -> bool {
        let graph = self.order.graph();
        self.order.node(lock).is_some_and(|node| {
            let is_exit = self.origins.get(graph[node].facts).kind.role == Role::Exit;
            let has_edges = |direction| graph.neighbors_directed(node, direction).next().is_some();
            is_exit && has_edges(Incoming) && has_edges(Outgoing)
        })
    }

    /// Forgets a destroyed lock. Returns its key, for the caller to drop without the graph's lock.
    /// Keeps the latest [exits of threads](super::context::thread_exit).
    pub(super) fn forget(&mut self, mut lock: LockId) -> Option<Arc<dyn Key>> {
        if self.is_passed_exit(lock) {
            lock = self.past_exits.keep(creation_sites::site_of(lock), lock)?;
        }
        if self.order.remove(lock, |facts| self.facts.forget(facts)) {
            known_locks::left(lock);
            self.filling.lock_destroyed();
            self.initialized.remove(&lock);
        }
        if self.names.remove(&lock).is_some() {
            known_locks::left(lock);
        }
        if self.resources.remove(&lock).is_some() {
            known_locks::left(lock);
        }
        if self.classes.forget(lock) {
            known_locks::left(lock);
        }
        let (was_declared, key) = self.declared.forget(lock);
        if was_declared {
            known_locks::left(lock);
        }
        key
    }

    pub(super) fn resource(&mut self, lock: LockId, resource: ResourceInfo) {
        if self.resources.insert(lock, resource.into()).is_none() {
            known_locks::entered(lock);
        }
    }

    pub(super) fn name(&mut self, lock: LockId, name: &str) {
        if self.names.insert(lock, Arc::from(name)).is_none() {
            known_locks::entered(lock);
        }
    }

    pub(super) fn name_of(&self, lock: LockId) -> Option<Arc<str>> {
        self.names.get(&lock).cloned()
    }

    /// Forgets the order. Names stay.
    pub(super) fn reset(&mut self) {
        self.order.locks().for_each(known_locks::left);
        self.order = AcyclicGraph::default();
        self.classes.reset();
        self.one_class = OneClass::default();
        self.facts = FactStore::default();
        self.shown = AllShown::default();
        self.leaves.forget_shown();
        self.past_exits = PastExits::default();
        self.initialized = FxHashMap::default();
        self.has_uses = false;
        self.new_locks.reset();
    }

    /// Returns the number of edges ever added.
    pub(super) fn edges(&self) -> u64 {
        self.edges
    }

    pub(super) fn snapshot(&self) -> OrderGraph {
        let graph = self.order.map(|lock| self.lock(lock), |edge| self.edge(edge, 0));
        OrderGraph { graph: graph.into() }
    }

    /// Describes a lock that a thread holds or wants. `seen` is where its name is read if the graph
    /// has no better location.
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
                resource: self.resources.get(&entry.tag.lock()).cloned(),
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
            resource: self.resources.get(&vertex.lock).cloned(),
        }
    }

    /// Describes an edge as in one of its observations. An edge that is being observed for the
    /// first time has none yet, so the caller fills it in.
    fn edge(&self, edge: EdgeIndex, at: usize) -> Edge {
        let graph = self.order.graph();
        let (tail, head) = graph.edge_endpoints(edge).expect("the edge is in the graph");
        let (tail, head, edge_data) = (&graph[tail], &graph[head], &graph[edge]);
        let shown = self.facts.get(&edge_data.facts, at);
        let seen = |lock: &Vertex<OriginId>| self.origins.get(lock.facts).seen;
        let site = |of: fn(&Shown) -> &'static Location<'static>, or| {
            shown.map_or(or, |shown| of(shown)).into()
        };
        Edge {
            held: self.lock(tail),
            held_mode: edge_data.held,
            held_at: site(|shown| shown.held_at, seen(tail)),
            held_backtrace: shown.map(|shown| shown.held_backtrace.clone()).unwrap_or_default(),
            wanted: self.lock(head),
            wanted_mode: edge_data.wanted,
            acquired_at: site(|shown| shown.acquired_at, seen(head)),
            backtrace: shown.map(|shown| shown.backtrace.clone()).unwrap_or_default(),
            thread: shown.map(|shown| shown.thread.clone()).unwrap_or_default(),
            is_queued: false,
            is_granted: false,
            may_have_left: false,
            waited: None,
        }
    }
}

/// Makes cycles show the current acquisition, even if an earlier observation is known.
fn show_now(
    context: &Context,
    cycles: &mut [Cycle],
    (held, wanted): (&[Entry], &Entry),
    backtrace: &Stack,
) {
    for cycle in cycles {
        let first = &mut cycle.edges[0];
        if let Some(entry) = held.iter().find(|entry| entry.tag.lock() == first.held.id) {
            first.held_at = entry.site.into();
            first.held_backtrace = context.trace_of(entry.tag);
            first.acquired_at = wanted.site.into();
            first.backtrace = backtrace.clone();
            first.thread = context.info();
        }
    }
}
