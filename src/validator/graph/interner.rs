//! What many edges share: call stacks, and how an edge was seen.

use std::{borrow::Borrow, hash::Hash, sync::Arc};

use rustc_hash::FxHashSet;

/// Values of which there is one each, however many edges have it.
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
    /// The value of this key, if it is known.
    pub(in crate::validator) fn get<K>(&self, key: &K) -> Option<Arc<T>>
    where
        K: ?Sized + Eq + Hash,
        Arc<T>: Borrow<K>,
    {
        self.values.get(key).cloned()
    }

    /// Adds a value that is not known.
    pub(in crate::validator) fn insert(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
        // Those of edges that are gone go too, once they may be half of all.
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
    fn one_value_for_all_that_are_the_same() {
        let mut interned = Interned::default();
        let first = intern(&mut interned, &[1, 2]);
        drop(intern(&mut interned, &[2]));
        assert!(Arc::ptr_eq(&intern(&mut interned, &[1, 2]), &first));
        assert_eq!(interned.values.len(), 2);
    }

    /// Looking for them costs as much as there are: so that is done when their number has doubled.
    #[test]
    fn values_that_nobody_has_any_more_go() {
        let mut interned = Interned::default();
        let kept: Vec<_> = (0..1_000).map(|number| intern(&mut interned, &[number])).collect();
        assert_eq!(interned.sweep_at, 1_024);
        (1_000..100_000).for_each(|number| drop(intern(&mut interned, &[number])));
        assert!(interned.values.len() <= 2_048);
        assert!(kept.iter().all(|value| Arc::strong_count(value) > 1));
    }
}
