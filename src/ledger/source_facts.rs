//! What was read from the program's source, which does not change.
//!
//! Reads files without any lock.

use std::{hash::Hash, sync::Arc, time::Duration};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{
    finding::{Detail, Edge, Finding, ShownAt, Site},
    render,
    source::{self, Creates, Sources},
    stack::Stack,
};

/// A cache of facts, by the place that they are about.
pub(super) type Memory<T, K = Site> = Mutex<Option<FxHashMap<K, T>>>;

/// What is created at each place.
static CREATED: Memory<Creates> = Mutex::new(None);

/// How long a thread waits for a cache before it reads the source instead: after a fork, a thread of
/// the parent may hold its lock.
const LOCK_TIMEOUT: Duration = Duration::from_millis(10);
/// The number of places remembered before all are discarded.
const CAPACITY: usize = 1 << 16;

/// Returns which locks are created at a site: see [`source::creates`].
pub(super) fn creates(site: &Site) -> Creates {
    remembered(&CREATED, site, source::creates)
}

/// Returns `true` if no other thread could know the held lock of an edge, according to the source.
pub(crate) fn is_unshared(edge: &Edge) -> bool {
    let way = |sources: &mut Sources| {
        render::way_to(&edge.acquired_at, &edge.backtrace, &edge.thread, sources)
    };
    edge.held
        .created_at()
        .is_some_and(|created| source::is_unshared(created, &edge.held_at, &edge.acquired_at, way))
}

/// Where reports show the edges of findings, by the raw sites and stacks of their ends.
static SHOWN: Memory<Option<Arc<[ShownAt]>>, Vec<End>> = Mutex::new(None);

/// An end of an edge: where the lock was acquired, and by which calls.
type End = (Site, Stack);

/// Returns where a report shows each edge of a finding: see [`render::shown_edges`]. A program may find the same bug
/// for each of its requests.
pub(super) fn shown_at(finding: &Finding) -> Option<Arc<[ShownAt]>> {
    if let Detail::OneClass { .. } = finding.detail {
        // The detail has these places.
        return None;
    }
    let ends = |edge: &Edge| {
        [
            (edge.held_at.clone(), edge.held_backtrace.clone()),
            (edge.acquired_at.clone(), edge.backtrace.clone()),
        ]
    };
    let ends: Vec<End> = finding.cycle.iter().flat_map(ends).collect();
    remembered(&SHOWN, &ends, |_| render::shown_edges(finding).map(Into::into))
}

/// Returns a fact from the cache, or from the source file.
pub(super) fn remembered<K: Clone + Eq + Hash, T: Clone>(
    memory: &Memory<T, K>,
    key: &K,
    read: impl FnOnce(&K) -> T,
) -> T {
    let known = memory.try_lock_for(LOCK_TIMEOUT);
    let known = known.and_then(|known| known.as_ref().and_then(|it| it.get(key).cloned()));
    known.unwrap_or_else(|| {
        let fact = read(key);
        if let Some(mut known) = memory.try_lock_for(LOCK_TIMEOUT) {
            let known = known.get_or_insert_default();
            if known.len() == CAPACITY {
                known.clear();
            }
            known.insert(key.clone(), fact.clone());
        }
        fact
    })
}
