//! A bounded set that keeps its smallest elements.

use std::cmp::Ordering;

/// The smallest `N` of all elements that were added, sorted. The order of additions and merges does
/// not matter: the smallest elements of a union are among the smallest of both sides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Smallest<T, const N: usize>(Vec<T>);

impl<T: Ord + Clone, const N: usize> Smallest<T, N> {
    pub(super) fn of(one: T) -> Self {
        Self(vec![one])
    }

    /// Returns `true` if this element is new and small enough to be kept.
    pub(super) fn lacks(&self, element: &T) -> bool {
        self.0.binary_search(element).is_err_and(|place| place < N)
    }

    #[cfg(feature = "records")]
    pub(super) fn merge(&mut self, other: &Self) {
        for element in &other.0 {
            self.add(|known| known.cmp(element), || element.clone());
        }
    }

    /// Adds an element, which is created only if it is new and small enough. `compare` compares a
    /// known element with the new one.
    pub(super) fn add(&mut self, compare: impl FnMut(&T) -> Ordering, element: impl FnOnce() -> T) {
        if let Err(place) = self.0.binary_search_by(compare)
            && place < N
        {
            self.0.truncate(N - 1);
            self.0.insert(place, element());
        }
    }

    #[cfg(feature = "records")]
    pub(super) fn as_slice(&self) -> &[T] {
        &self.0
    }
}

#[cfg(feature = "records")]
impl<const N: usize> Smallest<Box<str>, N> {
    pub(super) fn add_text(&mut self, text: &str) {
        self.add(|known| (**known).cmp(text), || text.into());
    }

    pub(super) fn texts(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}
