//! The edges that are already in the record on disk.
//!
//! A line names two locks by their ids, but readers only care how the locks were created, named and
//! acquired, and by which thread. A program that creates a pair of locks per request would
//! otherwise write the same line, with other ids, a million times. [`Fold`] decides which lines are
//! needed; here are the edges as it sees them, by addresses, so that a redundant line costs no text.

use std::{mem, panic::Location, ptr};

use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use super::LockGraph;
use crate::{
    finding::{Edge, Mode, OtherHolds},
    record::fold::{Fold, Folded, Verdict},
    validator::{
        context::{Context, held::Entry},
        lock_id::creation_sites::{self, SiteIndex},
    },
};

/// The number of edges in a record: some 40 MB. Only a program with thousands of lines that create
/// locks gets there.
pub(crate) const MAX_LINES: usize = 1 << 16;

/// The lines that were written by this process.
pub(super) struct Recorded {
    fold: Fold<EdgePlace>,
    gates: Gates,
    /// An edge was left out, which was not said yet.
    is_cut: bool,
    /// It was said.
    was_cut: bool,
}

/// What all edges of one line have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct EdgePlace {
    locks: [Label; 2],
    modes: [Mode; 2],
    /// The addresses of the locations where the locks were acquired.
    sites: [usize; 2],
}

/// What a record says about a lock, without its id and given name. The name that is read from the
/// source depends on where the lock was first seen.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Label {
    site: SiteIndex,
    seen: usize,
    class: Option<&'static str>,
}

/// Numbers of classes, as a record names them.
#[derive(Default)]
struct Gates {
    by_site: FxHashMap<(SiteIndex, Option<&'static str>), u32>,
    by_text: FxHashMap<String, u32>,
}

impl Default for Recorded {
    fn default() -> Self {
        Self { fold: Fold::new(MAX_LINES), gates: Gates::default(), is_cut: false, was_cut: false }
    }
}

impl LockGraph {
    /// Returns `true` if the record needs no line for an edge to the wanted lock, by a thread that
    /// holds only its tail.
    pub(super) fn is_recorded(&self, context: &Context, held: &Entry, wanted: &Entry) -> bool {
        self.recorded.fold.is_redundant(&self.folded(context, [held, wanted], SmallVec::new()))
    }

    /// Returns the edges from held locks to the wanted one that are new to a reader of the record,
    /// each with the other locks held exclusively: one of each class.
    pub(in crate::validator) fn edges_for_record(
        &mut self,
        context: &Context,
        some: &[Entry],
        held: &[Entry],
        wanted: &Entry,
    ) -> Vec<(Edge, OtherHolds)> {
        if some.is_empty() {
            return Vec::new();
        }
        let exclusive: Vec<_> =
            held.iter().filter(|gate| gate.tag.mode() == Mode::Exclusive).collect();
        let gates = exclusive.into_iter().map(|gate| (self.class_number(gate), gate));
        let mut gates: Vec<_> = gates.collect();
        gates.sort_by_key(|(class, _)| *class);
        let edge = |entry: &Entry| {
            let mut gates: Vec<_> =
                gates.iter().filter(|(_, gate)| gate.tag.lock() != entry.tag.lock()).collect();
            gates.dedup_by_key(|(class, _)| *class);
            let may_be_more = held.iter().any(|gate| {
                gate.tag.lock() != entry.tag.lock() && gate.tag.mode() != Mode::Exclusive
            });
            let edge = self.edge_between(entry, wanted)?;
            let classes = gates.iter().map(|(class, _)| *class).collect();
            let folded = self.folded(context, [entry, wanted], classes);
            match self.recorded.fold.add(folded) {
                Verdict::Needed => {
                    let gates = gates.iter().map(|(_, gate)| self.lock_of(gate, gate.site));
                    let exclusive = gates.collect();
                    Some((self.edge(edge, 0), OtherHolds { exclusive, may_be_more }))
                }
                Verdict::Redundant => None,
                Verdict::NoRoom => {
                    self.recorded.is_cut = !mem::replace(&mut self.recorded.was_cut, true);
                    None
                }
            }
        };
        some.iter().filter_map(edge).collect()
    }

    /// Returns `true` once, after the record was first too full for an edge.
    pub(in crate::validator) fn take_record_cut(&mut self) -> bool {
        mem::take(&mut self.recorded.is_cut)
    }

    fn folded(
        &self,
        context: &Context,
        edge: [&Entry; 2],
        gates: SmallVec<[u32; 4]>,
    ) -> Folded<EdgePlace> {
        Folded {
            place: EdgePlace {
                locks: edge.map(|entry| self.label(entry)),
                modes: edge.map(|entry| entry.tag.mode()),
                sites: edge.map(|entry| address(entry.site)),
            },
            thread: context.info().into(),
            names: edge.map(|entry| self.name_of(entry.tag.lock())),
            gates,
        }
    }

    fn label(&self, entry: &Entry) -> Label {
        let lock = entry.tag.lock();
        // A lock that is not in the graph yet is first seen here.
        let node = self.order.node(lock);
        let seen =
            node.map_or(entry.site, |node| self.origins.get(self.order.graph()[node].facts).seen);
        Label {
            site: creation_sites::site_of(lock),
            seen: address(seen),
            class: self.classes.given(lock),
        }
    }

    /// Returns the number of a lock's class, of its key if it is a resource, or of its name if nothing else
    /// tells it from others. Equal ones in the record have the same number, unless locks of one name were first
    /// seen at different places.
    fn class_number(&mut self, entry: &Entry) -> u32 {
        let lock = entry.tag.lock();
        let site = creation_sites::site_of(lock);
        let key = (site, self.classes.given(lock));
        let is_resource = self.resources.contains_key(&lock);
        let has_place = entry.created().is_some() && !is_resource;
        if has_place && let Some(&number) = self.recorded.gates.by_site.get(&key) {
            return number;
        }
        let info = self.lock_of(entry, entry.site);
        let text = match (info.class, info.created_at(), info.name()) {
            _ if let Some(key) = info.key() => key.to_owned(),
            (Some(class), ..) => class.to_owned(),
            (None, Some(site), _) => format!("{} made at {site}", info.type_name()),
            (None, None, Some(name)) => format!("{} called {name}", info.type_name()),
            (None, None, None) => format!("{} seen at {}", info.type_name(), info.seen_at),
        };
        let Gates { by_site, by_text } = &mut self.recorded.gates;
        let next = u32::try_from(by_text.len()).unwrap_or(u32::MAX);
        let number = match by_text.get(&text) {
            Some(&number) => number,
            // The rest counts as one, so that orders are missed but none is made up.
            None if by_text.len() >= MAX_LINES => u32::MAX,
            None => *by_text.entry(text).or_insert(next),
        };
        if has_place {
            by_site.insert(key, number);
        }
        number
    }
}

/// Forgets all lines, because a fork starts a new record.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn forget_recorded() {
    if let Some(graph) = &mut *super::GRAPH.lock() {
        graph.recorded = Recorded::default();
    }
}

fn address(place: &'static Location<'static>) -> usize {
    ptr::from_ref(place).addr()
}
