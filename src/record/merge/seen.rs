//! The records, threads and places of an edge between classes.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
};

use super::{
    ClassEdge, ClassId, MAX_NAMED, RecordId, Smallest,
    classes::Classes,
    graph::{MergedOrder, Place},
    merged::{MergedEdge, is_task, is_unnamed},
};
use crate::{finding::UNNAMED, record::schema::Edge};

/// The maximum number of processes that are counted.
pub(super) const MAX_PROCESSES: usize = 100;

/// The name of a process's first thread.
const MAIN: &str = "main";

/// Returns the name of a thread. For a task or a thread without a name, returns its spawn site,
/// if that is known, because its number means nothing in other processes.
fn name<'a>(thread: &'a str, spawned_at: Option<&str>) -> Cow<'a, str> {
    let what = if is_task(thread, spawned_at) { "task" } else { "thread" };
    match spawned_at {
        Some(site) => format!("{what} spawned at {site}").into(),
        None if is_unnamed(thread) => UNNAMED.into(),
        None => thread.into(),
    }
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
    /// The same of each program, for the first [`MAX_NAMED`] programs by name.
    by_program: BTreeMap<Box<str>, InProgram>,
    /// The first reason, in alphabetical order, for which a program allows all orders of the two.
    allowed: Option<Box<str>>,
}

/// An edge in the processes of one program.
#[derive(Clone, Debug, PartialEq, Eq)]
struct InProgram {
    /// `false` if a thread other than `main` has taken it.
    is_of_main: bool,
    /// From the record with the smallest id, of those with such a thread if there are any.
    witness: (RecordId, MergedEdge),
    /// Classes that were held exclusively at every observation.
    gates: Vec<ClassId>,
    /// At every observation there may have been others: see [`Edge::may_have_more_gates`].
    may_have_more_gates: bool,
}

/// The process that has seen an edge.
#[derive(Clone, Copy)]
pub(super) struct By<'a> {
    pub(super) record: RecordId,
    /// See [`Header::executable`](crate::record::Header::executable).
    pub(super) executable: Option<&'a str>,
    pub(super) test: &'a str,
}

impl InProgram {
    fn merge(&mut self, other: Self) {
        self.gates.retain(|gate| other.gates.contains(gate));
        self.may_have_more_gates &= other.may_have_more_gates;
        if (other.is_of_main, &other.witness) < (self.is_of_main, &self.witness) {
            (self.is_of_main, self.witness) = (other.is_of_main, other.witness);
        }
    }
}

impl Seen {
    pub(super) fn new(
        By { record, executable, .. }: By<'_>,
        of: &Edge<'_>,
        edge: MergedEdge,
        gates: Vec<ClassId>,
    ) -> Self {
        let in_program = || InProgram {
            is_of_main: edge.thread == MAIN,
            witness: (record, edge.clone()),
            gates: gates.clone(),
            may_have_more_gates: of.may_have_more_gates,
        };
        let program = executable.map(|program| (program.into(), in_program()));
        Self {
            by_program: program.into_iter().collect(),
            allowed: of.allowed.as_deref().map(Into::into),
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
        By { record, executable, test }: By<'_>,
        edge: &Edge<'_>,
        gates: &[ClassId],
    ) -> bool {
        let is_first_of_program = || {
            let Some(program) = executable else { return false };
            let is_full = self.by_program.len() == MAX_NAMED;
            let last = self.by_program.last_key_value().filter(|_| is_full);
            match self.by_program.get(program) {
                Some(known) => (edge.thread == MAIN, record) <= (known.is_of_main, known.witness.0),
                None => last.is_none_or(|(last, _)| program < &**last),
            }
        };
        let is_new_reason = edge
            .allowed
            .as_deref()
            .is_some_and(|reason| self.allowed.as_deref().is_none_or(|known| reason < known));
        if record <= self.witness.0 || is_new_reason || is_first_of_program() {
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
        if let Some(known) = executable.and_then(|program| self.by_program.get_mut(program)) {
            known.gates.retain(|gate| gates.contains(gate));
            known.may_have_more_gates &= edge.may_have_more_gates;
        }
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
        for (program, theirs) in other.by_program {
            match self.by_program.get_mut(&program) {
                Some(ours) => ours.merge(theirs),
                None => _ = self.by_program.insert(program, theirs),
            }
        }
        while self.by_program.len() > MAX_NAMED {
            self.by_program.pop_last();
        }
        self.allowed = [self.allowed.take(), other.allowed].into_iter().flatten().min();
    }

    pub(super) fn witness(&self) -> &MergedEdge {
        &self.witness.1
    }

    /// Returns the edges of the first program of which one process has this edge, and another one the
    /// opposite edge, if one process of it can have both.
    pub(super) fn in_one_program(&self, opposite: &Self) -> Option<[MergedEdge; 2]> {
        self.by_program.iter().find_map(|(program, one)| {
            let other = opposite.by_program.get(program)?;
            // The first threads of two processes never meet, and may do what no single process does.
            // But the process of a test is a thread of the one that `cargo test` runs.
            let is_test = !program.contains(['/', '\\']);
            let can_meet = is_test || !(one.is_of_main && other.is_of_main);
            let has_gate = one.gates.iter().any(|gate| other.gates.contains(gate))
                || one.may_have_more_gates
                || other.may_have_more_gates;
            (can_meet && !has_gate).then(|| [one, other].map(|it| it.witness.1.clone()))
        })
    }

    /// Returns why a program allows this edge or the opposite one.
    pub(super) fn allowed<'a>(&'a self, opposite: &'a Self) -> Option<&'a str> {
        self.allowed.iter().chain(&opposite.allowed).min().map(|reason| &**reason)
    }

    /// Renumbers its classes for another merge.
    pub(super) fn renumber_gates(&mut self, number: impl Fn(ClassId) -> ClassId) {
        let of_programs = self.by_program.values_mut().flat_map(|it| &mut it.gates);
        self.gates.iter_mut().chain(of_programs).for_each(|gate| *gate = number(*gate));
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
        let named = |gates: &[ClassId]| -> BTreeSet<_> {
            gates.iter().map(|&gate| classes.text(gate).to_owned()).collect()
        };
        let gates = named(&self.gates);
        let gates_of_programs: Vec<_> = self
            .by_program
            .values()
            .map(|it| (it.is_of_main, it.may_have_more_gates, named(&it.gates)))
            .collect();
        let by_program: Vec<_> =
            self.by_program.iter().map(|(name, it)| (name.clone(), it.witness.clone())).collect();
        let Self { records, threads, tests, places, witness, allowed, .. } = self.clone();
        let programs = (by_program, gates_of_programs);
        (records, threads, tests, places, gates, witness, programs, allowed)
    }
}
