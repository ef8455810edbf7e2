//! The edges that are already in the record on disk.
//!
//! A line names two locks by their ids, but readers only care how the locks were created, named and
//! acquired, and by which thread. A program that creates a pair of locks per request would
//! otherwise write the same line, with other ids, a million times.

use std::{panic::Location, ptr, sync::Arc};

use rustc_hash::FxHashSet;
use smallvec::SmallVec;

use super::LockGraph;
use crate::{
    finding::Mode,
    validator::{
        context::{Context, held::Entry},
        lock_id::{
            LockId,
            creation_sites::{self, SiteIndex, UNKNOWN_SITE},
        },
    },
};

/// The number of lines remembered. When it is reached, all are forgotten; a repeated line does no
/// harm.
const CAPACITY: usize = 1 << 16;

/// The lines that were written by this process.
#[derive(Default)]
pub(super) struct Recorded(FxHashSet<EdgeLine>);

/// The contents of an edge's line, without the ids of its locks.
#[derive(PartialEq, Eq, Hash)]
struct EdgeLine {
    locks: [Label; 2],
    modes: [Mode; 2],
    /// The addresses of the locations where the locks were acquired.
    sites: [usize; 2],
    /// Threads without a name are alike: their numbers mean nothing to other processes.
    thread: Option<Arc<str>>,
    gates: SmallVec<[Label; 2]>,
}

/// What a record says about a lock, without its id.
#[derive(PartialEq, Eq, Hash)]
enum Label {
    /// The lock was created by one constructor call and first seen at one location, which determine
    /// its type, class and name.
    Alike { site: SiteIndex, seen: usize },
    /// The lock has a given name or class, or its constructor call is unknown.
    Own(LockId),
}

impl LockGraph {
    /// Returns `true` if the record has an equivalent line for an edge to the wanted lock, by a
    /// thread that holds only its tail.
    pub(super) fn is_recorded(&self, context: &Context, held: &Entry, wanted: &Entry) -> bool {
        self.recorded.0.contains(&self.edge_line(context, held, wanted, [].iter()))
    }

    /// Remembers that an edge gets its line. Returns `false` if it needs none.
    pub(super) fn note_recorded<'a>(
        &mut self,
        context: &Context,
        held: &Entry,
        wanted: &Entry,
        gates: impl Iterator<Item = &'a Entry>,
    ) -> bool {
        let line = self.edge_line(context, held, wanted, gates);
        if self.recorded.0.len() >= CAPACITY {
            self.recorded.0.clear();
        }
        self.recorded.0.insert(line)
    }

    fn edge_line<'a>(
        &self,
        context: &Context,
        held: &Entry,
        wanted: &Entry,
        gates: impl Iterator<Item = &'a Entry>,
    ) -> EdgeLine {
        EdgeLine {
            locks: [held, wanted].map(|entry| self.label(entry)),
            modes: [held, wanted].map(|entry| entry.tag.mode()),
            sites: [held, wanted].map(|entry| address(entry.site)),
            thread: context.info().name,
            gates: gates.map(|entry| self.label(entry)).collect(),
        }
    }

    fn label(&self, entry: &Entry) -> Label {
        let lock = entry.tag.lock();
        let site = creation_sites::site_of(lock);
        if site == UNKNOWN_SITE
            || self.names.contains_key(&lock)
            || self.classes.given(lock).is_some()
        {
            return Label::Own(lock);
        }
        // A lock that is not in the graph yet is first seen here.
        let node = self.order.node(lock);
        let seen =
            node.map_or(entry.site, |node| self.origins.get(self.order.graph()[node].facts).seen);
        Label::Alike { site, seen: address(seen) }
    }
}

/// Forgets all lines, because a fork starts a new record.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn forget_recorded() {
    if let Some(graph) = &mut *super::GRAPH.lock() {
        graph.recorded.0.clear();
    }
}

fn address(place: &'static Location<'static>) -> usize {
    ptr::from_ref(place).addr()
}
