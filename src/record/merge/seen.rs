//! The records, threads and places of an edge between classes.

use std::{borrow::Cow, collections::BTreeSet};

use super::{
    ClassEdge, ClassId, MAX_NAMED, RecordId, Smallest,
    classes::Classes,
    graph::{MergedOrder, Place},
    merged::{MergedEdge, is_task},
};
use crate::record::schema::Edge;

/// The maximum number of processes that are counted.
const MAX_PROCESSES: usize = 100;

/// Returns the name of a thread. For a task or a thread without a name, returns its spawn site,
/// because its number means nothing in other processes.
fn name<'a>(thread: &'a str, spawned_at: Option<&str>) -> Cow<'a, str> {
    let what = if is_task(thread, spawned_at) { "task" } else { "thread" };
    spawned_at.map_or(thread.into(), |site| format!("{what} spawned at {site}").into())
}

/// The records, threads and places of an edge between classes.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Two would be enough to decide whether another record has the opposite edge; more are kept
    /// for the count.
    records: Smallest<RecordId, MAX_PROCESSES>,
    threads: Smallest<Box<str>, MAX_NAMED>,
    tests: Smallest<Box<str>, MAX_NAMED>,
    /// Where the held lock was acquired, and where the other one was.
    places: Smallest<(Box<str>, Box<str>), MAX_NAMED>,
    /// Classes that were held exclusively at every observation.
    gates: Vec<ClassId>,
    /// From the record with the smallest id.
    witness: (RecordId, MergedEdge),
}

impl Seen {
    pub(super) fn new(record: RecordId, edge: MergedEdge, gates: Vec<ClassId>) -> Self {
        Self {
            records: Smallest::of(record),
            threads: Smallest::of(name(&edge.thread, edge.spawned_at.as_deref()).into()),
            tests: Smallest::of(edge.test.as_str().into()),
            places: Smallest::of((edge.held_at.as_str().into(), edge.acquired_at.as_str().into())),
            gates,
            witness: (record, edge),
        }
    }

    /// Adds a sighting without copying the edge's strings. Returns `false` if the edge must replace
    /// the witness.
    pub(super) fn see_again(
        &mut self,
        record: RecordId,
        test: &str,
        edge: &Edge<'_>,
        gates: &[ClassId],
    ) -> bool {
        if record <= self.witness.0 {
            return false;
        }
        self.records.add(|known| known.cmp(&record), || record);
        self.threads.add_text(&name(&edge.thread, edge.spawned_at.as_deref()));
        self.tests.add_text(test);
        let place = (&*edge.held_at, &*edge.acquired_at);
        self.places.add(
            |(held, acquired)| (&**held, &**acquired).cmp(&place),
            || (place.0.into(), place.1.into()),
        );
        self.gates.retain(|gate| gates.contains(gate));
        true
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.records.merge(&other.records);
        self.threads.merge(&other.threads);
        self.tests.merge(&other.tests);
        self.places.merge(&other.places);
        self.gates.retain(|gate| other.gates.contains(gate));
        if other.witness < self.witness {
            self.witness = other.witness;
        }
    }

    pub(super) fn witness(&self) -> &MergedEdge {
        &self.witness.1
    }

    /// Renumbers its classes for another merge.
    pub(super) fn renumber_gates(&mut self, number: impl Fn(ClassId) -> ClassId) {
        self.gates.iter_mut().for_each(|gate| *gate = number(*gate));
    }

    /// Returns `true` if one process has this edge and another one the opposite edge, without a
    /// lock that both hold exclusively.
    pub(super) fn closes_across_runs(&self, opposite: &Self) -> bool {
        let is_of_two = self.records.as_slice().len() > 1 || self.records != opposite.records;
        is_of_two && !self.gates.iter().any(|gate| opposite.gates.contains(gate))
    }

    /// Returns the edge of the graph between the locks with these indices.
    pub(super) fn order(&self, edge: ClassEdge, held: usize, wanted: usize) -> MergedOrder {
        let place = |(held_at, acquired_at): &(Box<str>, Box<str>)| Place {
            held_at: held_at.to_string(),
            acquired_at: acquired_at.to_string(),
        };
        let processes = self.records.as_slice().len();
        MergedOrder {
            held,
            held_mode: edge.held_mode,
            wanted,
            wanted_mode: edge.wanted_mode,
            processes,
            are_more: processes == MAX_PROCESSES,
            tests: self.tests.texts(),
            threads: self.threads.texts(),
            places: self.places.as_slice().iter().map(place).collect(),
        }
    }

    /// Returns a value that can be compared with that of another merge, where classes have other
    /// numbers.
    pub(super) fn by_name(&self, classes: &Classes) -> impl PartialEq + use<> {
        let gates: BTreeSet<_> =
            self.gates.iter().map(|&gate| classes.text(gate).to_owned()).collect();
        let Self { records, threads, tests, places, gates: _, witness } = self.clone();
        (records, threads, tests, places, gates, witness)
    }
}
