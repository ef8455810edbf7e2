//! The graph's part of classes, keys and declared orders.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use super::{
    LockGraph,
    declared::{Declared, Key, Ordered, Rank},
};
use crate::{
    finding::{Declaration, Site},
    validator::{
        context::held::Entry,
        lock_id::{LockId, known_locks},
    },
};

/// The keys of a held and of a wanted lock.
pub(in crate::validator) type Keys = Option<(Arc<dyn Key>, Arc<dyn Key>)>;

/// `true` once anything was declared.
static IS_ANY: AtomicBool = AtomicBool::new(false);

/// Returns `true` if the program has declared any order. Does not take the graph's lock.
pub(in crate::validator) fn is_any_declared() -> bool {
    IS_ANY.load(Relaxed)
}

impl LockGraph {
    /// Returns `true` if the lock is in the graph: it was checked together with another lock.
    pub(in crate::validator) fn has_nested(&self, lock: LockId) -> bool {
        self.order.node(lock).is_some()
    }

    pub(in crate::validator) fn class(&mut self, lock: LockId, class: &'static str) {
        if self.classes.give(lock, class) {
            known_locks::entered(lock);
        }
    }

    /// Sets the key by which a lock is ordered. Returns the previous one, for the caller to drop
    /// without the graph's lock.
    pub(in crate::validator) fn order_by_key(
        &mut self,
        lock: LockId,
        key: Arc<dyn Key>,
    ) -> Option<Arc<dyn Key>> {
        self.declare(lock, |declared| declared.set_key(lock, key))
    }

    pub(in crate::validator) fn set_rank(&mut self, lock: LockId, rank: Rank) {
        self.declare(lock, |declared| declared.set_rank(lock, rank));
    }

    /// See [`Declared::order`].
    pub(in crate::validator) fn declare_order(
        &mut self,
        sequence: &[Ordered],
        site: &Site,
    ) -> Result<(), Site> {
        let locks: Vec<_> = sequence
            .iter()
            .filter_map(|&ordered| match ordered {
                Ordered::Lock(lock) => Some((lock, self.declared.knows(lock))),
                Ordered::Class(_) => None,
            })
            .collect();
        self.declared.order(sequence, site)?;
        IS_ANY.store(true, Relaxed);
        for (lock, was_known) in locks {
            if !was_known && self.declared.knows(lock) {
                known_locks::entered(lock);
            }
        }
        Ok(())
    }

    fn declare<R>(&mut self, lock: LockId, how: impl FnOnce(&mut Declared) -> R) -> R {
        if !self.declared.knows(lock) {
            known_locks::entered(lock);
        }
        IS_ANY.store(true, Relaxed);
        how(&mut self.declared)
    }

    /// Returns the declaration that an acquisition violates, and the keys of both locks if both
    /// have one, for the caller to compare without the graph's lock.
    pub(in crate::validator) fn declared(
        &self,
        held: &Entry,
        wanted: &Entry,
    ) -> (Option<Declaration>, Keys) {
        let with_class = |lock: LockId| (lock, self.classes.given(lock));
        let (held, wanted) = (held.tag.lock(), wanted.tag.lock());
        let breach = self.declared.breach(with_class(held), with_class(wanted));
        (breach, self.declared.key(held).zip(self.declared.key(wanted)))
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;

    /// No real lock of a test has these ids, or shares a counter with them.
    const LOCKS: [LockId; 2] = [16_001, 16_002];

    #[test]
    fn the_last_name_applies() {
        let mut graph = LockGraph::default();
        let [lock, other] = [16_003, 16_004];
        graph.name(lock, "first");
        graph.name(lock, "last");
        assert_eq!(graph.name_of(lock).as_deref(), Some("last"));
        assert_eq!(graph.name_of(other), None);
        graph.forget(lock);
        assert_eq!(graph.name_of(lock), None);
    }

    /// A lock that was annotated, however often, counts as known until it is destroyed.
    #[test]
    fn annotations_make_a_lock_known_until_it_is_destroyed() {
        let [lock, other] = LOCKS;
        let order = |lock: LockId, other: LockId| {
            move |graph: &mut LockGraph| {
                let sequence = [Ordered::Lock(lock), Ordered::Lock(other)];
                assert!(graph.declare_order(&sequence, &Site::from(Location::caller())).is_ok());
            }
        };
        let says: [&dyn Fn(&mut LockGraph); 5] = [
            &|it| it.name(lock, "named"),
            &|it| it.class(lock, "its class"),
            &|it| it.set_rank(lock, Rank::Leaf),
            &|it| _ = it.order_by_key(lock, Arc::new(1)),
            &order(lock, other),
        ];
        for first in says {
            for second in says {
                let mut graph = LockGraph::default();
                first(&mut graph);
                assert!(known_locks::may_be_known(lock));
                second(&mut graph);
                second(&mut graph);
                for lock in LOCKS {
                    graph.forget(lock);
                    assert!(!known_locks::may_be_known(lock));
                }
            }
        }
    }
}
