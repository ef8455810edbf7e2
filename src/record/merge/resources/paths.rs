//! The legs of one process: orders of two resources, either by one thread, or by several that wait for each
//! other's locks in between.

use std::{
    collections::{BTreeMap, VecDeque},
    ops::Range,
};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{
    Resources,
    legs::{Gate, Leg, LegKey, Node},
};
use crate::{
    finding::Mode,
    record::{
        merge::{MergedEdge, RecordId},
        schema::{Edge, Lock},
        smallest::Smallest,
    },
};

/// The number of threads in a leg.
const MAX_EDGES: usize = 6;

/// The number of steps in the search of one record.
const MAX_STEPS: usize = 1 << 18;

/// The edges of the record that is being added, by lock instead of by class. Most records have no resource, so
/// they are only put aside here.
#[derive(Default)]
pub(in crate::record::merge) struct Paths {
    resources: FxHashMap<u64, Node>,
    /// The classes of other locks, as gates.
    own: FxHashMap<u64, Box<str>>,
    edges: Vec<OwnEdge>,
    gates: Vec<u64>,
    texts: String,
}

struct OwnEdge {
    held: u64,
    wanted: u64,
    /// Where its texts begin in [`Paths::texts`], and where each of them ends.
    texts: [u32; Text::Allowed as usize + 2],
    /// A part of [`Paths::gates`].
    gates: Range<u32>,
    modes: [Mode; 2],
    is_granted: bool,
    may_have_left: bool,
    may_have_more_gates: bool,
}

/// A text of an edge.
#[derive(Clone, Copy)]
enum Text {
    HeldAt,
    AcquiredAt,
    Thread,
    /// Empty if it is not known.
    SpawnedAt,
    /// Empty if the program does not allow it.
    Allowed,
}

/// The edges by the lock that is held.
type From = FxHashMap<u64, Vec<usize>>;

/// An edge that a search has reached, and the one before it.
struct Reached {
    edge: usize,
    before: Option<usize>,
    edges: usize,
}

impl Paths {
    pub(in crate::record::merge) fn lock(&mut self, lock: &Lock<'_>) {
        if let Some(key) = &lock.key {
            let class = lock.class.as_deref().unwrap_or(key);
            let (name, class) = (key.as_ref().into(), class.into());
            self.resources.insert(lock.id, Node { name, class, lease: lock.lease });
        } else {
            let class = lock.class.as_deref().unwrap_or(&lock.type_name);
            self.own.insert(lock.id, class.into());
        }
    }

    pub(in crate::record::merge) fn edge(&mut self, edge: &Edge<'_>, modes: [Mode; 2]) {
        let all = [
            &*edge.held_at,
            &edge.acquired_at,
            &edge.thread,
            edge.spawned_at.as_deref().unwrap_or_default(),
            edge.allowed.as_deref().unwrap_or_default(),
        ];
        let mut texts = [position(self.texts.len()); _];
        for (text, end) in all.into_iter().zip(&mut texts[1..]) {
            self.texts.push_str(text);
            *end = position(self.texts.len());
        }
        let gates = position(self.gates.len());
        self.gates.extend_from_slice(&edge.gates);
        self.edges.push(OwnEdge {
            held: edge.held,
            wanted: edge.wanted,
            texts,
            gates: gates..position(self.gates.len()),
            modes,
            is_granted: edge.is_granted,
            may_have_left: edge.may_have_left,
            may_have_more_gates: edge.may_have_more_gates,
        });
    }

    fn text(&self, edge: &OwnEdge, text: Text) -> &str {
        let [start, end] = [0, 1].map(|more| edge.texts[text as usize + more] as usize);
        self.texts.get(start..end).unwrap_or_default()
    }

    /// Returns a text that may not be known.
    fn optional(&self, edge: &OwnEdge, text: Text) -> Option<&str> {
        Some(self.text(edge, text)).filter(|text| !text.is_empty())
    }

    /// Adds the legs of the whole record. `describe` describes an edge.
    pub(in crate::record::merge) fn add_legs(
        &self,
        record: RecordId,
        program: Option<&str>,
        to: &mut Resources,
        describe: impl Fn(&Edge<'_>, [Mode; 2]) -> MergedEdge,
    ) {
        if self.resources.len() < 2 {
            return;
        }
        let mut from = From::default();
        for (at, edge) in self.edges.iter().enumerate() {
            from.entry(edge.held).or_default().push(at);
        }
        let starts = (0..self.edges.len()).filter(|&at| self.is_resource(self.edges[at].held));
        let mut steps = 0;
        for start in starts {
            for path in self.paths(&from, start, &mut steps) {
                self.add_leg(&path, record, program, to, &describe);
            }
        }
    }

    fn is_resource(&self, lock: u64) -> bool {
        self.resources.contains_key(&lock)
    }

    /// Returns a shortest path to each resource that is reached from an edge, for each mode.
    fn paths(&self, from: &From, start: usize, steps: &mut usize) -> Vec<Vec<usize>> {
        let mut reached = vec![Reached { edge: start, before: None, edges: 1 }];
        let mut seen = FxHashSet::from_iter([start]);
        let mut found = BTreeMap::new();
        let mut queue = VecDeque::from([0]);
        while let Some(at) = queue.pop_front() {
            let edge = &self.edges[reached[at].edge];
            if self.is_resource(edge.wanted) {
                found.entry((edge.wanted, edge.modes[1])).or_insert(at);
                continue;
            }
            if reached[at].edges == MAX_EDGES {
                continue;
            }
            for &next in from.get(&edge.wanted).into_iter().flatten() {
                let gates = edge.gates.len() * self.edges[next].gates.len();
                *steps += 1 + gates / 16;
                let fits = || self.follows(&reached, at, next);
                if *steps <= MAX_STEPS && !seen.contains(&next) && fits() {
                    seen.insert(next);
                    queue.push_back(reached.len());
                    let edges = reached[at].edges + 1;
                    reached.push(Reached { edge: next, before: Some(at), edges });
                }
            }
        }
        let path = |&at: &usize| {
            let mut path: Vec<_> = before(&reached, at).map(|it| it.edge).collect();
            path.reverse();
            path
        };
        found.values().map(path).collect()
    }

    /// Returns `true` if the thread of an edge can have a lock for which the last thread of a path waits, while all
    /// threads of the path are where they are.
    fn follows(&self, reached: &[Reached], last: usize, next: usize) -> bool {
        let (edge, next) = (&self.edges[reached[last].edge], &self.edges[next]);
        // A thread of this name may be the same one, which is in one place only.
        let thread = |edge| self.text(edge, Text::Thread);
        let is_other = |it: &Reached| thread(&self.edges[it.edge]) != thread(next);
        let fits = |it: &Reached| is_other(it) && !self.exclude(&self.edges[it.edge], next);
        edge.modes[1].waits_for(next.modes[0], false) && before(reached, last).all(fits)
    }

    /// Returns `true` if two threads cannot be at these edges at once.
    fn exclude(&self, one: &OwnEdge, other: &OwnEdge) -> bool {
        let is_common = |gate: u64| {
            let class = self.own.get(&gate);
            let is_like_it = |it| class.is_some() && class == self.own.get(&it);
            self.exclusive(other).any(|it| it == gate || is_like_it(it))
        };
        one.may_have_more_gates || other.may_have_more_gates || self.exclusive(one).any(is_common)
    }

    /// Returns the locks that a thread holds exclusively, as far as the record says.
    fn exclusive(&self, edge: &OwnEdge) -> impl Iterator<Item = u64> {
        let held = (edge.modes[0] == Mode::Exclusive).then_some(edge.held);
        held.into_iter()
            .chain(self.gates[edge.gates.start as usize..edge.gates.end as usize].iter().copied())
    }

    /// Returns an edge as in the record, without its gates.
    fn line(&self, edge: &OwnEdge) -> Edge<'_> {
        let text = |text| self.text(edge, text).into();
        let [held_mode, wanted_mode] = edge.modes.map(|mode| mode.name().into());
        Edge {
            held: edge.held,
            held_mode,
            held_at: text(Text::HeldAt),
            wanted: edge.wanted,
            wanted_mode,
            acquired_at: text(Text::AcquiredAt),
            thread: text(Text::Thread),
            spawned_at: self.optional(edge, Text::SpawnedAt).map(Into::into),
            is_granted: edge.is_granted,
            may_have_left: edge.may_have_left,
            gates: Vec::new(),
            may_have_more_gates: edge.may_have_more_gates,
            allowed: self.optional(edge, Text::Allowed).map(Into::into),
        }
    }

    fn add_leg(
        &self,
        path: &[usize],
        record: RecordId,
        program: Option<&str>,
        to: &mut Resources,
        describe: impl Fn(&Edge<'_>, [Mode; 2]) -> MergedEdge,
    ) {
        let edges = || path.iter().map(|&at| &self.edges[at]);
        let (Some(first), Some(last)) = (edges().next(), edges().next_back()) else { return };
        let [from_node, to_node] = [first.held, last.wanted].map(|it| self.resources[&it].clone());
        let gate = |lock: u64| match (self.resources.get(&lock), self.own.get(&lock)) {
            (Some(Node { name, class, .. }), _) => {
                Some(Gate::Resource { name: name.clone(), class: class.clone() })
            }
            (None, Some(class)) => Some(Gate::Own(class.clone())),
            (None, None) => None,
        };
        let gates = edges().flat_map(|edge| self.exclusive(edge)).filter_map(gate).collect();
        let may_have_more_gates = edges().any(|edge| edge.may_have_more_gates);
        let modes = [first.modes[0], last.modes[1]];
        let is_through_own = path.len() > 1;
        let key =
            LegKey::new(&from_node, &to_node, modes, is_through_own, gates, may_have_more_gates);
        let leg = Leg {
            from: from_node,
            to: to_node,
            records: Smallest::of(record),
            programs: Smallest::of(program.unwrap_or_default().into()),
            allowed: edges()
                .filter_map(|edge| self.optional(edge, Text::Allowed))
                .min()
                .map(Into::into),
            witness: (record, edges().map(|edge| describe(&self.line(edge), edge.modes)).collect()),
        };
        to.add(key, leg);
    }
}

/// Returns a place in what is put aside. A record of four gigabytes, which no process writes, is cut.
fn position(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Returns an edge of a path, and those before it, the last one first.
fn before(reached: &[Reached], last: usize) -> impl Iterator<Item = &Reached> {
    std::iter::successors(Some(&reached[last]), |it| it.before.map(|at| &reached[at]))
}
