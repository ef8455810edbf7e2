//! What many edges share: call stacks, and how an edge was seen.

use std::{borrow::Borrow, hash::Hash, sync::Arc};

use rustc_hash::FxHashSet;

/// Values of which there is one each, however many edges have it.
pub(super) struct Interned<T: ?Sized> {
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
    pub(super) fn get<K>(&self, key: &K) -> Option<Arc<T>>
    where
        K: ?Sized + Eq + Hash,
        Arc<T>: Borrow<K>,
    {
        self.values.get(key).cloned()
    }

    /// Adds a value that is not known.
    pub(super) fn insert(&mut self, value: impl Into<Arc<T>>) -> Arc<T> {
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
