//! Declared orders: by key, between locks or classes, and leaves and outermost locks.
//!
//! Owns the declarations. Keys are values of the program, so comparing and printing them runs its
//! code, which must happen outside the locks of lockdep. This module only stores them.

use std::{any::Any, cmp::Ordering, fmt, sync::Arc};

use petgraph::{Direction::Incoming, algo::has_path_connecting, graphmap::DiGraphMap};
use rustc_hash::FxHashMap;

use crate::{
    finding::{Declaration, Site},
    validator::lock_id::LockId,
};

/// A key by which locks are ordered. All keys of one type form one order.
pub(crate) trait Key: fmt::Debug + Send + Sync + 'static {
    /// Returns `None` for a key of another type.
    fn compare(&self, other: &dyn Key) -> Option<Ordering>;
    fn as_any(&self) -> &dyn Any;
}

impl<K: Ord + fmt::Debug + Send + Sync + 'static> Key for K {
    fn compare(&self, other: &dyn Key) -> Option<Ordering> {
        Some(self.cmp(other.as_any().downcast_ref()?))
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

/// A lock, or all locks of a class, by name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) enum Ordered {
    Lock(LockId),
    Class(&'static str),
}

/// A declared position of a lock relative to all others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rank {
    /// Nothing is acquired while it is held.
    Leaf,
    /// It is acquired while nothing is held.
    Outermost,
}

#[derive(Default)]
pub(in crate::validator) struct Declared {
    keys: FxHashMap<LockId, Arc<dyn Key>>,
    ranks: FxHashMap<LockId, Rank>,
    /// Edges from each element to the next, with the location of the declaration.
    order: DiGraphMap<Ordered, Site>,
}

impl Declared {
    /// Returns `true` if a declaration mentions a lock.
    pub(in crate::validator) fn knows(&self, lock: LockId) -> bool {
        self.keys.contains_key(&lock)
            || self.ranks.contains_key(&lock)
            || self.order.contains_node(Ordered::Lock(lock))
    }

    /// Sets the key of a lock. Returns the previous one, for the caller to drop outside the locks
    /// of lockdep.
    pub(in crate::validator) fn set_key(
        &mut self,
        lock: LockId,
        key: Arc<dyn Key>,
    ) -> Option<Arc<dyn Key>> {
        self.keys.insert(lock, key)
    }

    pub(in crate::validator) fn key(&self, lock: LockId) -> Option<Arc<dyn Key>> {
        self.keys.get(&lock).cloned()
    }

    pub(in crate::validator) fn set_rank(&mut self, lock: LockId, rank: Rank) {
        self.ranks.insert(lock, rank);
    }

    /// Declares that each element comes before the next. If that contradicts an earlier
    /// declaration, changes nothing and returns the location of that declaration.
    pub(in crate::validator) fn order(
        &mut self,
        sequence: &[Ordered],
        site: &Site,
    ) -> Result<(), Site> {
        let mut new = Vec::new();
        for pair in sequence.windows(2) {
            let contradicted = if pair[0] == pair[1] {
                Some(site.clone())
            } else {
                between(&self.order, pair[1], pair[0])
            };
            if let Some(before) = contradicted {
                for (first, then) in new {
                    self.order.remove_edge(first, then);
                }
                for &ordered in sequence {
                    if self.order.neighbors_directed(ordered, Incoming).next().is_none()
                        && self.order.neighbors(ordered).next().is_none()
                    {
                        self.order.remove_node(ordered);
                    }
                }
                return Err(before);
            }
            if !self.order.contains_edge(pair[0], pair[1]) {
                self.order.add_edge(pair[0], pair[1], site.clone());
                new.push((pair[0], pair[1]));
            }
        }
        Ok(())
    }

    /// Returns the declaration that an acquisition violates, if any. Each lock is given by id and
    /// class.
    pub(in crate::validator) fn breach(
        &self,
        held: (LockId, Option<&'static str>),
        wanted: (LockId, Option<&'static str>),
    ) -> Option<Declaration> {
        if self.ranks.get(&held.0) == Some(&Rank::Leaf) {
            return Some(Declaration::Leaf);
        }
        if self.ranks.get(&wanted.0) == Some(&Rank::Outermost) {
            return Some(Declaration::Outermost);
        }
        let both = |(lock, class): (LockId, Option<&'static str>)| {
            [Some(Ordered::Lock(lock)), class.map(Ordered::Class)].into_iter().flatten()
        };
        both(wanted)
            .flat_map(|first| both(held).map(move |then| (first, then)))
            .filter(|(first, then)| first != then)
            .find_map(|(first, then)| between(&self.order, first, then))
            .map(Declaration::Order)
    }

    /// Forgets a lock. Returns whether it was mentioned, and its key, for the caller to drop
    /// outside the locks of lockdep.
    pub(in crate::validator) fn forget(&mut self, lock: LockId) -> (bool, Option<Arc<dyn Key>>) {
        let was_known = self.knows(lock);
        if !was_known {
            return (false, None);
        }
        let ordered = Ordered::Lock(lock);
        // Its predecessors stay ordered before its successors.
        let before: Vec<_> = self.order.neighbors_directed(ordered, Incoming).collect();
        let after: Vec<_> =
            self.order.edges(ordered).map(|(_, then, site)| (then, site.clone())).collect();
        for (then, site) in after {
            for &first in &before {
                if !self.order.contains_edge(first, then) {
                    self.order.add_edge(first, then, site.clone());
                }
            }
        }
        self.order.remove_node(ordered);
        self.ranks.remove(&lock);
        (was_known, self.keys.remove(&lock))
    }
}

/// Compares the keys of a held and a wanted lock. Returns `None` if they do not belong to one
/// order, and an error if they violate it. Runs the program's code.
pub(in crate::validator) fn compare(
    held: &dyn Key,
    wanted: &dyn Key,
) -> Option<Result<(), Declaration>> {
    let order = held.compare(wanted)?;
    if order == Ordering::Less {
        return Some(Ok(()));
    }
    let text = |key: &dyn Key| Arc::from(format!("{key:?}"));
    let are_equal = order == Ordering::Equal;
    Some(Err(Declaration::Keys { held: text(held), wanted: text(wanted), are_equal }))
}

/// Returns a location where it was declared that one element comes before another, possibly through
/// others. An element comes before itself.
fn between(order: &DiGraphMap<Ordered, Site>, first: Ordered, then: Ordered) -> Option<Site> {
    let last = order.neighbors_directed(then, Incoming);
    let mut last = last.filter(|&last| has_path_connecting(order, first, last, None));
    order.edge_weight(last.next()?, then).cloned()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;

    #[test]
    fn an_order_is_transitive_and_is_not_contradicted() {
        let mut declared = Declared::default();
        let [a, b, c] = [1, 2, 3].map(Ordered::Lock);
        let here = &Site::from(Location::caller());
        assert!(declared.order(&[a, b, c], here).is_ok());
        assert!(declared.order(&[a, c], here).is_ok());
        assert!(declared.order(&[c, a], here).is_err());
        // No part of a contradictory sequence is kept.
        assert!(declared.order(&[Ordered::Lock(4), a, Ordered::Lock(4)], here).is_err());
        assert!(declared.breach((1, None), (4, None)).is_none());
        assert!(matches!(declared.breach((3, None), (1, None)), Some(Declaration::Order(_))));
        assert!(declared.breach((1, None), (3, None)).is_none());
        // A class orders its locks.
        assert!(declared.order(&[Ordered::Class("outer"), a], here).is_ok());
        assert!(declared.breach((2, None), (9, Some("outer"))).is_some());
        assert!(declared.breach((9, Some("outer")), (2, None)).is_none());
        declared.forget(2);
        assert!(declared.breach((3, None), (1, None)).is_some(), "through one that is gone");
        declared.forget(1);
        assert!(declared.breach((3, None), (1, None)).is_none());
        assert!(declared.order(&[c, c], here).is_err());
    }

    #[test]
    fn declarations_are_forgotten_with_their_lock() {
        let mut declared = Declared::default();
        let here = &Site::from(Location::caller());
        assert!(declared.set_key(1, Arc::new(7)).is_none());
        declared.set_rank(2, Rank::Leaf);
        declared.order(&[Ordered::Lock(3), Ordered::Lock(4)], here).unwrap();
        assert_eq!(
            [1, 2, 3, 4, 5].map(|lock| declared.knows(lock)),
            [true, true, true, true, false]
        );
        assert_eq!([5, 4, 3, 2].map(|lock| declared.forget(lock).0), [false, true, true, true]);
        // Its predecessors stay ordered before its successors.
        declared.order(&[6, 7, 8].map(Ordered::Lock), here).unwrap();
        declared.forget(7);
        assert!(declared.breach((8, None), (6, None)).is_some());
        let (was_known, key) = declared.forget(1);
        assert!(was_known && key.is_some() && !declared.knows(1));
    }

    #[test]
    fn keys_of_one_type_are_one_order() {
        let (three, five, text): (u32, u32, &str) = (3, 5, "3");
        assert_eq!(three.compare(&five), Some(Ordering::Less));
        assert_eq!(three.compare(&text), None);
    }
}
