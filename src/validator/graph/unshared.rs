//! Edges out of locks that no other thread knew yet.
//!
//! A thread makes an object, locks it, acquires the lock of a list, and puts the object into the list.
//! Elsewhere, the objects in the list are locked while the list is. This cycle cannot close: while the
//! first thread waits for the list, no other thread can wait for the object.
//!
//! The first few edges out of a new lock have a [`Tail::New`]. Such an edge counts like all others. Once it is
//! on a cycle that would be reported, the [source](crate::source) is asked whether others could know the lock when
//! the edge was taken. If not, the edge becomes one with a [`Tail::Unshared`], and does not count until it is
//! taken again. No cache has the acquisition that made an edge with either tail, so the next one is seen.
//!
//! The cycle is reported as one that cannot close, once for each place where the edge is taken. From then on, such
//! edges are [`Tail::Unshared`] from the beginning.
//!
//! The source is read without the graph's lock. So [`learn`](LockGraph::learn) returns [questions](Question), and is
//! called again with the answers.

use std::{panic::Location, ptr};

use petgraph::{
    Direction::{Incoming, Outgoing},
    graph::{EdgeIndex, NodeIndex},
};
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Edges, LockGraph, cycles::Cycle, topology::Tail};
use crate::{
    finding::{Detail, Edge, FindingKind, Role},
    stack::Stack,
    validator::context::held::Entry,
};

/// The number of answers remembered before all are forgotten, and of places in reported cycles.
const CAPACITY: usize = 4096;

/// The addresses of the locations where a lock was created and acquired and where another one was acquired
/// while it was held, and of the stack of that acquisition.
pub(super) type Places = [usize; 4];

/// A lock that was new when an edge out of it was taken.
#[derive(Clone, Debug)]
pub(in crate::validator) struct NewLock {
    places: Places,
    /// Keeps the address of its frames from being used for another one.
    stack: Stack,
}

impl NewLock {
    fn at(
        created: Option<&'static Location<'static>>,
        [held_at, acquired_at]: [&'static Location<'static>; 2],
        stack: &Stack,
    ) -> Self {
        let address = |place: &'static Location<'static>| ptr::from_ref(place).addr();
        let frames = stack.frames().as_ptr().addr();
        let created = created.map_or(0, address);
        Self {
            places: [created, address(held_at), address(acquired_at), frames],
            stack: stack.clone(),
        }
    }

    fn locations(&self) -> [usize; 3] {
        let [created, held_at, acquired_at, _] = self.places;
        [created, held_at, acquired_at]
    }

    /// Returns `true` if both edges were taken at the same places.
    pub(super) fn is_like(&self, other: &Self) -> bool {
        self.places == other.places
    }
}

/// Could another thread know the held lock of this edge?
pub(in crate::validator) struct Question {
    pub(in crate::validator) edge: Edge,
    lock: NewLock,
}

impl Question {
    pub(super) fn new(edge: Edge, lock: NewLock) -> Self {
        Self { edge, lock }
    }
}

/// What is known of new locks.
#[derive(Default)]
pub(super) struct NewLocks {
    /// For each place that the source was asked about, whether no other thread could know the lock.
    answers: FxHashMap<Places, (bool, Stack)>,
    /// The locations of unshared locks in cycles that were reported. A program may do this for each of its sessions.
    reported: FxHashSet<[usize; 3]>,
}

impl NewLocks {
    /// Returns whether a lock was unshared, if the source was asked.
    pub(super) fn answer(&self, lock: &NewLock) -> Option<bool> {
        self.answers.get(&lock.places).map(|(is_unshared, _)| *is_unshared)
    }

    /// Forgets the cycles.
    pub(super) fn reset(&mut self) {
        self.reported.clear();
    }
}

/// Returns `true` if none of the locks that a thread acquired after the first one, and still holds, was acquired at
/// the same place. A function that calls itself holds several; the source describes the lock of its last run.
pub(super) fn is_last_of_place(held: &[Entry]) -> bool {
    held.split_first().is_none_or(|(first, later)| later.iter().all(|it| it.site != first.site))
}

impl LockGraph {
    /// Records the source's answer.
    pub(in crate::validator) fn answer(&mut self, question: Question, is_unshared: bool) {
        let NewLock { places, stack } = question.lock;
        let answers = &mut self.new_locks.answers;
        if answers.len() >= CAPACITY {
            answers.clear();
        }
        answers.insert(places, (is_unshared, stack));
    }

    /// Returns the node of a held lock. If the graph does not know the lock yet, it is new.
    pub(super) fn tail_node(&mut self, held: &Entry) -> NodeIndex {
        let nodes = self.order.graph().node_count();
        let node = self.node(held, held.site);
        if self.order.graph().node_count() > nodes && self.may_be_new(node) {
            self.order.note_new(node);
        }
        node
    }

    /// Returns `true` for a lock that a function can have made.
    fn may_be_new(&self, node: NodeIndex) -> bool {
        let origin = self.origins.get(self.order.graph()[node].facts);
        origin.kind.role == Role::Lock && origin.created.is_some()
    }

    /// Returns `true` if a wanted lock is new after an edge from a new lock to it: the thread has made both.
    pub(super) fn is_new_head(&self, head: NodeIndex) -> bool {
        let graph = self.order.graph();
        let has_edges = |direction| graph.edges_directed(head, direction).next().is_some();
        self.may_be_new(head)
            && (self.order.is_new(head) || !has_edges(Incoming) && !has_edges(Outgoing))
    }

    /// Returns `true` if an edge from this lock that a thread adds now has a [`Tail::New`].
    pub(super) fn is_new_tail(&mut self, tail: NodeIndex, head: NodeIndex, thread: u64) -> bool {
        let wanted = self.origins.get(self.order.graph()[head].facts);
        if !self.order.is_new(tail) || wanted.kind.role != Role::Lock {
            return false;
        }
        // The last edge that was added comes first, and those before it were of the same thread.
        let last = self.order.graph().edges_directed(tail, Outgoing).next();
        let shown = last.and_then(|last| self.facts.get(&last.weight().facts, 0));
        let is_own = shown.is_none_or(|shown| shown.segment().thread == thread);
        if !is_own {
            self.order.note_known(tail);
        }
        is_own
    }

    /// Looks at new edges with a [`Tail::New`], whose stack this is. If one must not be recorded in case no other
    /// thread knows its tail, returns the question.
    pub(super) fn settle_own_tails(
        &mut self,
        edges: &Edges,
        held: &[Entry],
        wanted: &Entry,
        stack: &Stack,
        is_recorded: bool,
    ) -> Result<(), Vec<Question>> {
        let mut questions = Vec::new();
        if self.new_locks.answers.is_empty() && !is_recorded {
            return Ok(());
        }
        for (&(edge, is_new), held) in edges.iter().zip(held) {
            if !is_new || self.order.graph()[edge].tail() != Tail::New {
                continue;
            }
            let lock = NewLock::at(held.created(), [held.site, wanted.site], stack);
            match self.new_locks.answer(&lock) {
                // The first cycle with such an edge is reported, so it must be found.
                Some(true) if !self.new_locks.reported.contains(&lock.locations()) => {}
                Some(is_unshared) => self.note_answer(edge, is_unshared),
                None if is_recorded => {
                    let edge = Edge {
                        held_at: held.site.into(),
                        acquired_at: wanted.site.into(),
                        backtrace: stack.clone(),
                        ..self.edge(edge, 0)
                    };
                    questions.push(Question::new(edge, lock));
                }
                None => {}
            }
        }
        if questions.is_empty() { Ok(()) } else { Err(questions) }
    }

    /// Returns `true` if an edge counts, as far as is known.
    pub(super) fn counts(&self, edge: EdgeIndex) -> bool {
        match self.order.graph()[edge].tail() {
            Tail::Shared => true,
            Tail::New if self.new_locks.answers.is_empty() => true,
            Tail::New => {
                self.new_lock(edge).is_none_or(|lock| self.new_locks.answer(&lock) != Some(true))
            }
            Tail::Unshared => false,
        }
    }

    /// Called when the source's answer about an edge is known.
    fn note_answer(&mut self, edge: EdgeIndex, is_unshared: bool) {
        let mut tail = Tail::Shared;
        if is_unshared {
            let facts = self.order.facts_mut(edge);
            if self.facts.are_several(facts) {
                self.facts.forget_first(facts);
            } else {
                tail = Tail::Unshared;
            }
        }
        self.order.note_tail(edge, tail);
    }

    /// Looks at the edges with a [`Tail::New`] in cycles that would be reported. If some of them do not count, the
    /// search must be repeated, and this returns the first of their cycles at each place. `first` is the index of the
    /// first edge of each cycle that is not being observed now.
    pub(super) fn settle_new_tails(
        &mut self,
        cycles: &[Cycle],
        first: usize,
    ) -> Result<Option<Vec<Cycle>>, Vec<Question>> {
        let mut new = Vec::new();
        let mut questions: Vec<Question> = Vec::new();
        for cycle in cycles {
            for (at, &edge) in cycle.path.iter().enumerate().skip(first) {
                if self.order.graph()[edge].tail() != Tail::New {
                    continue;
                }
                let Some(lock) = self.new_lock(edge) else { continue };
                match self.new_locks.answer(&lock) {
                    Some(is_unshared) => new.push((cycle, at, lock, is_unshared)),
                    None if questions.iter().any(|it| it.lock.is_like(&lock)) => {}
                    None => questions.push(Question::new(self.edge(edge, 0), lock)),
                }
            }
        }
        if !questions.is_empty() {
            return Err(questions);
        }
        let mut unshared = Vec::new();
        for (cycle, at, lock, is_unshared) in new {
            // Two cycles may have the same edge.
            if self.order.graph()[cycle.path[at]].tail() == Tail::New {
                self.note_answer(cycle.path[at], is_unshared);
            }
            unshared.extend(is_unshared.then_some((cycle, at, lock)));
        }
        if unshared.is_empty() {
            return Ok(None);
        }
        let reported = &mut self.new_locks.reported;
        unshared
            .retain(|(_, _, lock)| reported.len() < CAPACITY && reported.insert(lock.locations()));
        Ok(Some(unshared.into_iter().map(|(cycle, at, _)| cycle.of_unshared(at)).collect()))
    }

    /// Describes the tail of an edge, as it was when the edge was first taken.
    pub(super) fn new_lock(&self, edge: EdgeIndex) -> Option<NewLock> {
        let graph = self.order.graph();
        let (tail, _) = graph.edge_endpoints(edge)?;
        let shown = self.facts.get(&graph[edge].facts, 0)?;
        let created = self.origins.get(graph[tail].facts).created;
        Some(NewLock::at(created, [shown.held_at, shown.acquired_at], &shown.backtrace))
    }
}

impl Cycle {
    /// Returns a cycle that cannot close because no other thread knew the held lock of one of its edges. A gate is the
    /// better reason.
    fn of_unshared(&self, at: usize) -> Self {
        let Self { kind, edges, path, detail } = self.clone();
        match kind {
            FindingKind::GuardedInversion => Self { kind, edges, path, detail },
            _ => Self {
                kind: FindingKind::OrderedInversion,
                edges,
                path,
                detail: Detail::Unshared(at),
            },
        }
    }
}
