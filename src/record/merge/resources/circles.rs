//! Cycles of legs.

use std::{collections::BTreeSet, rc::Rc};

use petgraph::{algo::tarjan_scc, graphmap::DiGraphMap};
use rustc_hash::FxHashMap;

use super::{
    Circle, Evidence,
    legs::{Gate, Leg, LegKey},
};
use crate::record::merge::RecordId;

/// The number of legs in a cycle that is looked for.
const MAX_LEGS: usize = 8;

/// The number of steps of a search: some seconds. Only thousands of resources, each in order with many others,
/// need more.
const MAX_STEPS: usize = 1 << 20;

/// What cycles were found.
#[derive(Default)]
pub(super) struct Known<'a> {
    /// The classes of two neighbours, of all cycles.
    covered: BTreeSet<[&'a str; 2]>,
}

/// A search for cycles.
struct Search<'a> {
    legs: Vec<(&'a LegKey, &'a Leg)>,
    /// The legs that begin at a node.
    from: FxHashMap<&'a str, Rc<[usize]>>,
    /// The legs that are part of any cycle.
    cyclic: Vec<usize>,
    steps: usize,
}

/// Returns the cycles that no process has seen as a whole, shorter ones first. Each has two neighbours of classes
/// that no other cycle has.
pub(super) fn circles<'a>(
    legs: impl Iterator<Item = (&'a LegKey, &'a Leg)>,
    evidence: Evidence,
    known: &mut Known<'a>,
) -> Vec<Circle<'a>> {
    let mut search = Search::new(legs.collect());
    let mut found = Vec::new();
    for length in 2..=MAX_LEGS {
        for first in search.cyclic.clone() {
            search.extend(&mut vec![first], length, &mut |circle| {
                if known.is_new(circle) {
                    found.push(Circle { legs: circle.to_vec(), evidence });
                }
            });
        }
    }
    found
}

impl<'a> Known<'a> {
    /// Returns `true` if a cycle shows something that the others do not.
    fn is_new(&mut self, circle: &[&'a Leg]) -> bool {
        if seen_by_one(circle) {
            return false;
        }
        let known = self.covered.len();
        self.covered.extend(circle.iter().map(|leg| [&*leg.from.class, &*leg.to.class]));
        self.covered.len() > known
    }
}

impl<'a> Search<'a> {
    fn new(legs: Vec<(&'a LegKey, &'a Leg)>) -> Self {
        let mut numbers = FxHashMap::<&str, u32>::default();
        let mut graph = DiGraphMap::<u32, ()>::new();
        let mut number = |name: &'a str| {
            let next = u32::try_from(numbers.len()).unwrap_or(u32::MAX);
            *numbers.entry(name).or_insert(next)
        };
        let ends: Vec<_> =
            legs.iter().map(|(_, leg)| [&*leg.from.name, &*leg.to.name].map(&mut number)).collect();
        for &[from, to] in &ends {
            graph.add_edge(from, to, ());
        }
        let mut component = FxHashMap::default();
        for (at, nodes) in tarjan_scc(&graph).into_iter().enumerate() {
            component.extend(nodes.into_iter().map(|node| (node, at)));
        }
        let is_cyclic = |&at: &usize| {
            let [from, to] = ends[at];
            from != to && component[&from] == component[&to]
        };
        let cyclic: Vec<_> = (0..legs.len()).filter(is_cyclic).collect();
        let mut from = FxHashMap::<_, Vec<_>>::default();
        for &at in &cyclic {
            from.entry(&*legs[at].1.from.name).or_default().push(at);
        }
        let from = from.into_iter().map(|(node, legs)| (node, legs.into())).collect();
        Self { legs, from, cyclic, steps: 0 }
    }

    /// Calls `found` for the cycles of this length that begin with a path. Their first leg is the smallest one,
    /// so that each is found once.
    fn extend(&mut self, path: &mut Vec<usize>, length: usize, found: &mut impl FnMut(&[&'a Leg])) {
        let (first, last) = (path[0], path[path.len() - 1]);
        let (first_key, first_leg) = self.legs[first];
        let (last_key, last_leg) = self.legs[last];
        if path.len() == length {
            let closes = last_leg.to.name == first_leg.from.name && waits(last_key, first_key);
            if closes {
                let circle: Vec<_> = path.iter().map(|&at| self.legs[at].1).collect();
                found(&circle);
            }
            return;
        }
        let is_last = path.len() + 1 == length;
        let next = self.from.get(&*last_leg.to.name).cloned().unwrap_or_default();
        for &at in next.iter().filter(|&&at| at > first) {
            self.steps += 1;
            if self.steps > MAX_STEPS {
                return;
            }
            let (key, leg) = self.legs[at];
            let returns = path.iter().any(|&it| self.legs[it].1.from.name == leg.to.name);
            let closes = leg.to.name == first_leg.from.name;
            let fits = closes == is_last && returns == closes;
            let excludes = |&at: &usize| excludes(self.legs[at], (key, leg));
            if fits && waits(last_key, key) && !path.iter().any(excludes) {
                path.push(at);
                self.extend(path, length, found);
                path.pop();
            }
        }
    }
}

/// Returns `true` if a thread at the end of a leg waits for one at the begin of the next. Readers that wait for
/// readers, behind a writer, do not count, because records do not say who writes.
fn waits(one: &LegKey, next: &LegKey) -> bool {
    one.modes()[1].waits_for(next.modes()[0], false)
}

/// Returns `true` if two threads cannot be in these legs at once, as they need the same lock, or may need it.
fn excludes((one_key, one): (&LegKey, &Leg), (other_key, other): (&LegKey, &Leg)) -> bool {
    let is_in_common = |gate: &Gate| match gate {
        Gate::Resource { .. } => true,
        Gate::Own(_) => one.may_be_of_the_program_of(other),
    };
    one_key.common_gates(other_key).any(is_in_common)
        || one_key.may_read_a_gate_of(other_key)
        || other_key.may_read_a_gate_of(one_key)
}

/// Returns `true` if one process has all legs of a cycle. It has judged the cycle, and knows more of it.
fn seen_by_one(circle: &[&Leg]) -> bool {
    let [first, rest @ ..] = circle else { return false };
    let has = |leg: &&Leg, record: &RecordId| leg.records.as_slice().contains(record);
    first.records.as_slice().iter().any(|record| rest.iter().all(|leg| has(leg, record)))
}
