//! Values that many edges share: call stacks and [`Shown`](super::shown::Shown).

use std::{borrow::Borrow, hash::Hash, sync::Arc};

use rustc_hash::FxHashSet;

/// A set of values, each of which is shared by all edges that have it.
pub(in crate::validator) struct Interned<T: ?Sized> {
    values: FxHashSet<Arc<T>>,
    sweep_at: usize,
}

impl<T: ?Sized> Default for Interned<T> {
    fn default() -> Self {
        Self { values: FxHashSet::default(), sweep_at: 0 }
    }
}

impl<T: ?Sized + Eq + Hash> Interned<T> {
    /// Returns the value for this key, if there is one.
    pub(in crate::validator) fn get<K>(&self, key: &K) -> Option<Arc<T>>
    where
        K: ?Sized + Eq + Hash,
        Arc<T>: Borrow<K>,
    {
        self.values.get(key).cloned()
    }

    /// Adds a value that is not in the set.
    pub(in crate::validator) fn insert(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        // Drops values without edges when they may be half of all.
        if self.values.len() >= self.sweep_at {
            self.values.retain(|value| Arc::strong_count(value) > 1);
            self.sweep_at = (self.values.len() * 2).max(64);
        }
        let value = value.into();
        self.values.insert(Arc::clone(&value));
        value
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn intern(interned: &mut Interned<[usize]>, frames: &[usize]) -> Arc<[usize]> {
        interned.get(frames).unwrap_or_else(|| interned.insert(frames))
    }

    #[test]
    fn equal_values_are_shared() {
        let mut interned = Interned::default();
        let first = intern(&mut interned, &[1, 2]);
        drop(intern(&mut interned, &[2]));
        assert!(Arc::ptr_eq(&intern(&mut interned, &[1, 2]), &first));
        assert_eq!(interned.values.len(), 2);
    }

    /// A sweep costs as much as there are values, so it runs when their number has doubled.
    #[test]
    fn unused_values_are_dropped() {
        let mut interned = Interned::default();
        let kept: Vec<_> = (0..1_000).map(|number| intern(&mut interned, &[number])).collect();
        assert_eq!(interned.sweep_at, 1_024);
        (1_000..100_000).for_each(|number| drop(intern(&mut interned, &[number])));
        assert!(interned.values.len() <= 2_048);
        assert!(kept.iter().all(|value| Arc::strong_count(value) > 1));
    }
}
