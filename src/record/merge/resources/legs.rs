//! The part of a cycle that is in one process.

use std::collections::BTreeSet;

use crate::{
    finding::Mode,
    record::{
        MAX_NAMED,
        merge::{MAX_PROCESSES, MergedEdge, RecordId},
        smallest::Smallest,
    },
};

/// Identifies a leg: its two nodes, their modes, and what keeps others out. Those of the same two nodes, in either
/// direction, are next to each other.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct LegKey {
    /// The nodes, the smaller one first.
    nodes: [Box<str>; 2],
    is_reversed: bool,
    modes: [Mode; 2],
    /// Threads of the process wait for each other's locks in between. A record does not say whether they can be
    /// there at once: one may have ended before the other was spawned.
    is_through_own: bool,
    /// What its threads hold exclusively, the first node included. Two sightings with different gates are two
    /// legs: what both have in common may be less than what either thread holds.
    gates: BTreeSet<Gate>,
    /// There may be others: see [`Edge::may_have_more_gates`](crate::record::Edge::may_have_more_gates).
    may_have_more_gates: bool,
}

/// A resource, or a class of resources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::record::merge) struct Node {
    /// System and key, or the class.
    pub(in crate::record::merge) name: Box<str>,
    pub(in crate::record::merge) class: Box<str>,
    /// The longest lease in milliseconds, if it has one.
    pub(in crate::record::merge) lease: Option<u64>,
}

/// What a thread holds that keeps others out.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Gate {
    /// For all processes.
    Resource { name: Box<str>, class: Box<str> },
    /// For the processes of one program, of which each has its own: it may be that only one runs at a time. By
    /// class.
    Own(Box<str>),
}

/// A thread holds a resource and waits for another one, or for a lock of the process whose holder does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::record::merge) struct Leg {
    pub(in crate::record::merge) from: Node,
    pub(in crate::record::merge) to: Node,
    pub(super) records: Smallest<RecordId, MAX_PROCESSES>,
    /// The programs; one that is not known is empty.
    pub(super) programs: Smallest<Box<str>, MAX_NAMED>,
    /// The first reason, in alphabetical order, for which a program allows an order that is part of it.
    pub(in crate::record::merge) allowed: Option<Box<str>>,
    /// From the record with the smallest id.
    pub(super) witness: (RecordId, Vec<MergedEdge>),
}

impl LegKey {
    pub(super) fn new(
        from: &Node,
        to: &Node,
        modes: [Mode; 2],
        is_through_own: bool,
        gates: BTreeSet<Gate>,
        may_have_more_gates: bool,
    ) -> Self {
        let is_reversed = to.name < from.name;
        let nodes = if is_reversed { [to, from] } else { [from, to] };
        let nodes = nodes.map(|node| node.name.clone());
        Self { nodes, is_reversed, modes, is_through_own, gates, may_have_more_gates }
    }

    /// Returns the key of the leg between the classes.
    pub(super) fn of_classes(&self, from: &Node, to: &Node) -> Self {
        let gates = self.gates.iter().map(Gate::of_class).collect();
        let Self { modes, is_through_own, may_have_more_gates, .. } = *self;
        Self::new(
            &from.of_class(),
            &to.of_class(),
            modes,
            is_through_own,
            gates,
            may_have_more_gates,
        )
    }

    /// Returns `true` if all gates are known.
    pub(super) fn has_all_gates(&self) -> bool {
        !self.may_have_more_gates
    }

    /// Returns `true` if what a thread holds here for reading, which is not recorded, may be what a thread in
    /// the other leg holds exclusively.
    pub(super) fn may_read_a_gate_of(&self, other: &Self) -> bool {
        let start = &other.nodes[usize::from(other.is_reversed)];
        let is_another = |gate: &Gate| matches!(gate, Gate::Resource { name, .. } if name != start);
        self.may_have_more_gates && other.gates.iter().any(is_another)
    }

    pub(super) fn is_through_own(&self) -> bool {
        self.is_through_own
    }

    /// Returns what two legs have in common that keeps others out.
    pub(super) fn common_gates<'a>(&'a self, other: &'a Self) -> impl Iterator<Item = &'a Gate> {
        self.gates.intersection(&other.gates)
    }

    /// Returns the mode in which the first node is held, and that in which the other one is acquired.
    pub(super) fn modes(&self) -> [Mode; 2] {
        self.modes
    }
}

impl Node {
    fn of_class(&self) -> Self {
        Self { name: self.class.clone(), ..self.clone() }
    }

    fn merge(&mut self, other: &Self) {
        self.lease = self.lease.max(other.lease);
        if other.class < self.class {
            self.class.clone_from(&other.class);
        }
    }
}

impl Gate {
    fn of_class(&self) -> Self {
        match self {
            Self::Resource { class, .. } => {
                Self::Resource { name: class.clone(), class: class.clone() }
            }
            Self::Own(_) => self.clone(),
        }
    }
}

impl Leg {
    /// Returns the same leg between the classes of its nodes.
    pub(super) fn of_classes(&self) -> Self {
        Self { from: self.from.of_class(), to: self.to.of_class(), ..self.clone() }
    }

    pub(super) fn merge(&mut self, other: Self) {
        self.from.merge(&other.from);
        self.to.merge(&other.to);
        self.records.merge(&other.records);
        self.programs.merge(&other.programs);
        self.allowed = [self.allowed.take(), other.allowed].into_iter().flatten().min();
        if other.witness < self.witness {
            self.witness = other.witness;
        }
    }

    /// Returns `true` if one program may have taken both.
    pub(super) fn may_be_of_the_program_of(&self, other: &Self) -> bool {
        let programs = |leg: &Self| leg.programs.texts();
        let [ours, theirs] = [self, other].map(programs);
        let is_known = |program: &String| !program.is_empty();
        let are_known = ours.iter().chain(&theirs).all(is_known);
        !are_known || ours.iter().any(|program| theirs.contains(program))
    }

    /// Returns its edges, as one process has seen them.
    pub(in crate::record::merge) fn edges(&self) -> &[MergedEdge] {
        &self.witness.1
    }
}
