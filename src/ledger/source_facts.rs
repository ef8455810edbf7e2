//! What was read from the program's source, which does not change.
//!
//! Reads files without any lock.

use std::{hash::Hash, time::Duration};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use crate::{
    finding::{Edge, Site},
    render,
    source::{self, Creates, Sources},
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
