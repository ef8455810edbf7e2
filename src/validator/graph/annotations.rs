//! Names, classes and declared orders of locks: the entry points for the public functions.

use std::sync::Arc;

use super::declared::{Key, Ordered, Rank};
use crate::{
    finding::{ResourceInfo, Site},
    ledger::{self, ClassOrder},
    validator::{
        context::{current::inside, registry::forget_chains},
        graph,
        lock_id::{LockId, known_locks},
    },
};

/// See [`crate::name`].
pub(crate) fn name(lock: LockId, name: &str) {
    inside(|| graph::lock().name(lock, name));
}

/// Called for a lock that is not in this process.
pub(crate) fn resource(lock: LockId, resource: ResourceInfo) {
    inside(|| graph::lock().resource(lock, resource));
}

/// Returns the name that the program gave a lock.
pub(crate) fn name_of(lock: LockId) -> Option<Arc<str>> {
    inside(|| graph::lock().name_of(lock))
}

/// See [`crate::class`].
pub(crate) fn class(lock: LockId, class: &'static str) {
    let is_nested = inside(|| {
        let mut graph = graph::lock();
        graph.class(lock, class);
        graph.has_nested(lock)
    });
    if is_nested {
        forget_chains();
    }
}

/// See [`crate::order_by_key`].
pub(crate) fn order_by_key(lock: LockId, key: Arc<dyn Key>) {
    let (before, is_nested) = inside(|| {
        let mut graph = graph::lock();
        (graph.order_by_key(lock, key), graph.has_nested(lock))
    });
    // A million locks that get their keys when they are created have no chains yet.
    if before.is_some() || is_nested {
        forget_chains();
    }
}

/// See [`crate::declare_leaf`] and [`crate::declare_outermost`].
pub(crate) fn set_rank(lock: LockId, rank: Rank) {
    inside(|| graph::lock().set_rank(lock, rank));
    forget_chains();
}

/// See [`crate::declare_order`]. Fails with the location of the declaration that it contradicts.
pub(crate) fn declare_order(sequence: &[Ordered], site: &Site) -> Result<(), Site> {
    let result = inside(|| graph::lock().declare_order(sequence, site));
    forget_chains();
    result
}

/// Reads the configuration, unless it was read before, and declares its orders.
pub(in crate::validator) fn load_config() {
    ledger::load_config();
    for ClassOrder { classes, site } in ledger::take_class_orders() {
        let sequence: Vec<_> = classes.into_iter().map(Ordered::Class).collect();
        if let Err(before) = declare_order(&sequence, &site) {
            ledger::print(&format!(
                "lockdep: the order at {site} is ignored: it contradicts the one declared at {before}"
            ));
        }
    }
}

/// See [`crate::allow_pair`].
pub(crate) fn allow_pair(pair: [LockId; 2], reason: &str) {
    let is_new = inside(|| ledger::allow_pair(pair, reason));
    if is_new {
        // Entered first, so that from now on neither of them is deferred as a leaf.
        for lock in pair {
            known_locks::entered(lock);
        }
        inside(|| drop(graph::lock()));
    }
}
