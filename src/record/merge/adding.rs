//! The record that is being added to a merge, line by line.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;

use super::{
    ClassEdge, ClassId, KeyEdge, MODES, Merge, MergedEdge, MergedFinding, Observations, RecordId,
    Seen, Smallest, all_modes, mode, pair,
};
use crate::record::schema::{Edge, Finding, Header, Lock};

/// The record that is being added: what it calls its locks.
pub(super) struct Record {
    id: RecordId,
    test: String,
    locks: FxHashMap<u64, Known>,
    /// Its edges between classes: a bit for each pair of modes.
    edges: FxHashMap<(ClassId, ClassId), u32>,
}

/// A lock of the record that is being added.
struct Known {
    name: Box<str>,
    /// Of a lock that nobody knows the maker of, only its type and its name.
    class: ClassId,
}

impl Record {
    pub(super) fn new(merge: &mut Merge, id: RecordId, header: &Header<'_>) -> Self {
        merge.records.insert(id);
        let test = header.test.as_ref().unwrap_or(&header.program);
        Self {
            id,
            test: test.to_string(),
            locks: FxHashMap::default(),
            edges: FxHashMap::default(),
        }
    }

    pub(super) fn lock(&mut self, merge: &mut Merge, lock: &Lock<'_>) {
        let class = merge.classes.see(lock);
        self.locks.insert(lock.id, Known { name: lock.name.as_ref().into(), class });
    }

    pub(super) fn edge(&mut self, merge: &mut Merge, edge: &Edge<'_>) -> Option<()> {
        let (held, wanted) = (self.locks.get(&edge.held)?, self.locks.get(&edge.wanted)?);
        let (held_mode, wanted_mode) = (mode(&edge.held_mode)?, mode(&edge.wanted_mode)?);
        let of_classes =
            ClassEdge { held: held.class, wanted: wanted.class, held_mode, wanted_mode };
        let gates = edge.gates.iter().filter_map(|gate| Some(self.locks.get(gate)?.class));
        let mut gates: Vec<_> = gates.filter(|&gate| merge.classes.is_class(gate)).collect();
        gates.sort_unstable();
        gates.dedup();
        // Most edges are known, from many records, and need no strings.
        let known = merge.edges.get_mut(&of_classes);
        let is_known =
            known.is_some_and(|known| known.see_again(self.id, &self.test, edge, &gates));
        if !is_known {
            let merged = MergedEdge {
                test: self.test.clone(),
                thread: edge.thread.to_string(),
                spawned_at: edge.spawned_at.as_deref().map(str::to_owned),
                held: held.name.to_string(),
                held_class: merge.classes.text(held.class).to_owned(),
                held_mode: edge.held_mode.to_string(),
                held_at: edge.held_at.to_string(),
                is_granted: edge.is_granted,
                may_have_left: edge.may_have_left,
                wanted: wanted.name.to_string(),
                wanted_class: merge.classes.text(wanted.class).to_owned(),
                wanted_mode: edge.wanted_mode.to_string(),
                acquired_at: edge.acquired_at.to_string(),
            };
            merge.see(of_classes, Seen::new(self.id, merged, gates));
        }
        self.note(merge, of_classes);
        Some(())
    }

    /// Remembers an edge, and whether this record has an opposite one as well.
    fn note(&mut self, merge: &mut Merge, edge: ClassEdge) {
        let ClassEdge { held, wanted, held_mode, wanted_mode } = edge;
        let modes = self.edges.entry((held, wanted)).or_default();
        let known = *modes;
        *modes |= 1 << (MODES * held_mode + wanted_mode);
        if *modes == known {
            return;
        }
        let opposite = self.edges.get(&(wanted, held)).copied().unwrap_or_default();
        let is_judged = all_modes().any(|(held_mode, wanted_mode)| {
            let is_there = opposite & 1 << (MODES * held_mode + wanted_mode) != 0;
            is_there
                && edge.may_wait(ClassEdge { held: wanted, wanted: held, held_mode, wanted_mode })
        });
        if is_judged {
            merge.judged.insert(pair(held, wanted));
        }
    }

    pub(super) fn finding(&self, merge: &mut Merge, finding: &Finding<'_>) {
        let label = |id: u64| {
            let lock = finding.locks.iter().find(|lock| lock.id == id);
            lock.map_or_else(Default::default, |lock| (lock.name.to_string(), class(lock)))
        };
        let merged = |edge: &Edge<'_>| {
            let ((held, held_class), (wanted, wanted_class)) =
                (label(edge.held), label(edge.wanted));
            MergedEdge {
                test: self.test.clone(),
                thread: edge.thread.to_string(),
                spawned_at: edge.spawned_at.as_deref().map(str::to_owned),
                held,
                held_class,
                held_mode: edge.held_mode.to_string(),
                held_at: edge.held_at.to_string(),
                is_granted: edge.is_granted,
                may_have_left: edge.may_have_left,
                wanted,
                wanted_class,
                wanted_mode: edge.wanted_mode.to_string(),
                acquired_at: edge.acquired_at.to_string(),
            }
        };
        let cycle: Vec<_> = finding.cycle.iter().map(merged).collect();
        if let [first, second] = &*cycle
            && first.held_class != second.held_class
        {
            // A fork has judged edges that stand in its parent's record alone.
            let [a, b] = [first, second].map(|edge| merge.classes.number(&edge.held_class));
            merge.judged.insert(pair(a, b));
        }
        let kind = match &finding.wait {
            Some(wait) => format!("{}.{wait}", finding.kind),
            None => finding.kind.to_string(),
        };
        let key = (kind.into(), finding.in_scope, key(&cycle));
        let tests = Smallest::of(self.test.as_str().into());
        let merged = MergedFinding {
            kind: finding.kind.to_string(),
            wait: finding.wait.as_deref().map(str::to_owned),
            level: finding.level.to_string(),
            across_runs: false,
            in_scope: finding.in_scope,
            processes: 1,
            tests: Vec::new(),
            cycle,
            report: finding.report.to_string(),
        };
        let records = BTreeSet::from([self.id]);
        let observations = Observations { records, tests, witness: (self.id, merged) };
        match merge.findings.get_mut(&key) {
            Some(known) => known.merge(&observations),
            None => _ = merge.findings.insert(key, observations),
        }
    }
}

/// The type alone if it has no class.
fn class(lock: &Lock<'_>) -> String {
    lock.class.as_ref().unwrap_or(&lock.type_name).to_string()
}

/// The edges of a cycle from the smallest on: each process has begun with its own.
fn key(cycle: &[MergedEdge]) -> Box<[KeyEdge]> {
    let edge = |edge: &MergedEdge| {
        let MergedEdge { held_class, held_at, wanted_class, acquired_at, .. } = edge;
        [held_class, held_at, wanted_class, acquired_at].map(|text| text.as_str().into())
    };
    let edges: Vec<KeyEdge> = cycle.iter().map(edge).collect();
    let rotated = |by: usize| {
        let mut edges = edges.clone();
        edges.rotate_left(by);
        edges
    };
    (0..edges.len()).map(rotated).min().unwrap_or_default().into()
}
