//! The lock order of many processes, as data.

use rustc_hash::FxHashMap;
use serde::Serialize;

use super::{
    ClassEdge, Seen,
    classes::{Class, ClassId, Classes, Locks},
};
use crate::finding::Mode;

/// The lock order of many processes.
///
/// Locks created alike are one node here, because processes do not know each other's locks. Lists
/// contain the 16 smallest entries at most.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergedGraph {
    /// The nodes.
    pub locks: Vec<MergedLock>,
    /// The edges, one per pair of modes.
    pub edges: Vec<MergedOrder>,
}

/// Locks that were created alike.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergedLock {
    /// Their names in reports: those in the source, or those that the program gave.
    pub names: Vec<String>,
    /// Their type, without paths.
    #[serde(rename = "type")]
    pub type_name: String,
    /// Where they are created, if known: `file:line:column`.
    pub created_at: Option<String>,
    /// See [`Lock::class`](crate::record::Lock::class). Without one, these are the locks with the
    /// same type and name.
    pub class: Option<String>,
}

/// Acquisitions of one lock by threads or tasks that held another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergedOrder {
    /// The index of the held lock in [`MergedGraph::locks`].
    pub held: usize,
    /// Its mode: see [`Edge::held_mode`](crate::record::Edge::held_mode).
    pub held_mode: Mode,
    /// The index of the acquired lock; the same as `held` for two locks created alike.
    pub wanted: usize,
    /// Its mode.
    pub wanted_mode: Mode,
    /// The number of processes with such an acquisition: 100 at most.
    pub processes: usize,
    /// `true` if there may be more processes.
    pub are_more: bool,
    /// The tests in which it happened, if known, or else the programs.
    pub tests: Vec<String>,
    /// The threads; for tasks, where they were spawned.
    pub threads: Vec<String>,
    /// The places in the source.
    pub places: Vec<Place>,
}

/// Where a thread acquired a lock while it held another.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// Where the held lock was acquired: `file:line:column`.
    pub held_at: String,
    /// Where the other lock was acquired.
    pub acquired_at: String,
}

impl MergedGraph {
    pub(super) fn new(classes: &Classes, edges: &FxHashMap<ClassEdge, Seen>) -> Self {
        let known = |(number, class): (usize, _)| -> Option<(ClassId, &Class, &Locks)> {
            let class: &Class = class;
            Some((u32::try_from(number).ok()?, class, class.locks.as_ref()?))
        };
        let mut known: Vec<_> = classes.all().iter().enumerate().filter_map(known).collect();
        known.sort_unstable_by_key(|(_, class, _)| &class.text);
        let places: FxHashMap<_, _> =
            known.iter().enumerate().map(|(place, &(number, ..))| (number, place)).collect();
        let locks = known.into_iter().map(|(_, class, locks)| MergedLock {
            names: locks.names.texts(),
            type_name: locks.type_name.to_string(),
            created_at: locks.created_at.as_deref().map(Into::into),
            class: locks.is_class.then(|| class.text.to_string()),
        });
        let order = |(edge, seen): (&ClassEdge, &Seen)| {
            seen.order(*edge, places[&edge.held], places[&edge.wanted])
        };
        let mut edges: Vec<_> = edges.iter().map(order).collect();
        edges.sort_unstable_by(|a, b| {
            let key = |it: &MergedOrder| (it.held, it.wanted);
            (key(a), a.held_mode, a.wanted_mode).cmp(&(key(b), b.held_mode, b.wanted_mode))
        });
        Self { locks: locks.collect(), edges }
    }
}
