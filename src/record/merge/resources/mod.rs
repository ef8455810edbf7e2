//! Orders of resources. A resource is the same lock in every process, so a cycle can run through several of
//! them: one process waits for a key that another one holds.
//!
//! A [leg](Leg) is the part of a cycle that is in one process: a thread holds a resource and waits for another
//! one, or for a lock of the process whose holder does. [`paths`] finds the legs of a process, this module
//! keeps those of all, and [`circles`] searches them for cycles.

mod circles;
mod legs;
mod paths;

use std::collections::{BTreeMap, BTreeSet};

use self::legs::LegKey;
pub(super) use self::{legs::Leg, paths::Paths};
use super::MergedEdge;

/// The number of legs that are kept for two classes, the smallest ones. A service may lock a million orders: the
/// first of them show what can happen to each.
const MAX_LEGS: usize = 1024;

/// The legs of all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Resources {
    of_keys: Legs,
    of_classes: Legs,
    /// Classes, and places where guards are acquired that others release.
    released_elsewhere: BTreeSet<[Box<str>; 2]>,
}

/// By the two classes, the smaller one first. Both directions share the room, and are sorted by their two nodes, so
/// what is left out is left out on both sides.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Legs(BTreeMap<[Box<str>; 2], BTreeMap<LegKey, Leg>>);

/// A cycle of legs.
pub(super) struct Circle<'a> {
    pub(super) legs: Vec<&'a Leg>,
    pub(super) evidence: Evidence,
}

/// What is known of a cycle, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Evidence {
    /// Each node is one resource, and each leg one thread.
    Certain,
    /// Legs run through locks of a process, whose threads may never be there at once.
    ThroughOwn,
    /// The nodes are classes.
    Classes,
}

impl Resources {
    /// Adds a leg of one process, between two keys.
    fn add(&mut self, key: LegKey, leg: Leg) {
        if leg.from.class != leg.to.class {
            self.of_classes.add(key.of_classes(&leg.from, &leg.to), leg.of_classes());
        }
        self.of_keys.add(key, leg);
    }

    pub(super) fn merge(&mut self, other: &Self) {
        self.of_keys.merge(&other.of_keys);
        self.of_classes.merge(&other.of_classes);
        self.released_elsewhere.extend(other.released_elsewhere.iter().cloned());
    }

    /// Adds that guards of a class that are acquired at a place are released by others.
    pub(super) fn released_elsewhere(&mut self, class: &str, acquired_at: &str) {
        self.released_elsewhere.insert([class.into(), acquired_at.into()]);
    }

    /// Returns the cycles that no process has seen as a whole, the worst ones first. The others are none of which
    /// these are examples.
    pub(super) fn circles(&self) -> Vec<Circle<'_>> {
        let mut known = circles::Known::default();
        let is_held = |(_, leg): &(&LegKey, &Leg)| self.is_held(leg);
        let of_keys = || self.of_keys.all().filter(|(key, _)| key.has_all_gates()).filter(is_held);
        let direct = of_keys().filter(|(key, _)| !key.is_through_own());
        let mut found = circles::circles(direct, Evidence::Certain, &mut known);
        found.extend(circles::circles(of_keys(), Evidence::ThroughOwn, &mut known));
        let of_classes = self.of_classes.all().filter(is_held);
        found.extend(circles::circles(of_classes, Evidence::Classes, &mut known));
        found
    }

    /// Returns `true` if it is known who holds the locks of a leg.
    fn is_held(&self, leg: &Leg) -> bool {
        let may_be_elsewhere = |edge: &MergedEdge| {
            let mut known =
                self.released_elsewhere.iter().map(|pair| pair.each_ref().map(|it| &**it));
            known.any(|pair| pair == [&*edge.held_class, &*edge.held_at])
        };
        self.released_elsewhere.is_empty() || !leg.edges().iter().any(may_be_elsewhere)
    }
}

impl Legs {
    fn add(&mut self, key: LegKey, leg: Leg) {
        let [from, to] = [&leg.from, &leg.to].map(|node| node.class.clone());
        let classes = if from < to { [from, to] } else { [to, from] };
        let legs = self.0.entry(classes).or_default();
        match legs.get_mut(&key) {
            Some(known) => known.merge(leg),
            None => _ = legs.insert(key, leg),
        }
        if legs.len() > MAX_LEGS {
            legs.pop_last();
        }
    }

    fn merge(&mut self, other: &Self) {
        other.all().for_each(|(key, leg)| self.add(key.clone(), leg.clone()));
    }

    fn all(&self) -> impl Iterator<Item = (&LegKey, &Leg)> {
        self.0.values().flatten()
    }
}
