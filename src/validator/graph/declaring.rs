//! What the program says of locks: their classes, and orders between them.

use std::{
    panic::Location,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use super::{
    LockGraph,
    declared::{Declared, Key, Ordered, Rank},
    known_locks,
};
use crate::{
    finding::Declaration,
    validator::{context::held::Entry, lock_id::LockId},
};

/// The keys of a held and of a wanted lock.
pub(in crate::validator) type Keys = Option<(Arc<dyn Key>, Arc<dyn Key>)>;

/// Whether anything was ever declared.
static IS_ANY: AtomicBool = AtomicBool::new(false);

/// Whether the program has declared any order: a glance, without the lock.
pub(in crate::validator) fn is_any_declared() -> bool {
    IS_ANY.load(Relaxed)
}

impl LockGraph {
    /// Whether it was judged with another lock.
    pub(in crate::validator) fn has_nested(&self, lock: LockId) -> bool {
        self.order.node(lock).is_some()
    }

    pub(in crate::validator) fn class(&mut self, lock: LockId, class: &'static str) {
        if self.classes.give(lock, class) {
            known_locks::entered(lock);
        }
    }

    /// Gives a lock a key by which it is ordered; the one that it had is for the caller to
    /// drop, without our lock.
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
        site: &'static Location<'static>,
    ) -> Result<(), &'static Location<'static>> {
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

    /// What was declared of a held and a wanted lock, and does not agree; and their keys, if
    /// both have one, to be compared without our lock.
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
    use super::*;

    /// No real lock of a test has these numbers, nor any with which it is confused.
    const LOCKS: [LockId; 2] = [16_001, 16_002];

    #[test]
    fn the_last_name_holds() {
        let mut graph = LockGraph::default();
        let [lock, other] = [16_003, 16_004];
        graph.name(lock, "first");
        graph.name(lock, "last");
        assert_eq!(graph.name_of(lock).as_deref(), Some("last"));
        assert_eq!(graph.name_of(other), None);
        graph.forget(lock);
        assert_eq!(graph.name_of(lock), None);
    }

    /// Whatever is said of a lock, and however often: it is worth looking for until the lock is gone.
    #[test]
    fn what_was_said_of_a_lock_can_be_known_until_it_is_gone() {
        let [lock, other] = LOCKS;
        let order = |lock: LockId, other: LockId| {
            move |graph: &mut LockGraph| {
                let sequence = [Ordered::Lock(lock), Ordered::Lock(other)];
                assert!(graph.declare_order(&sequence, Location::caller()).is_ok());
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
