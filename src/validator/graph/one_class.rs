//! Two locks of one class, held at once.
//!
//! A program makes a lock for each account that it loads, and drops it afterwards. It takes those of accounts 1 and 2,
//! and later new ones of accounts 2 and 1. No two locks are ever seen in both orders, and as classes they are one. So
//! the nesting itself is the finding, unless the program declares an order of the two. It is only a possibility, because
//! a parent that is locked before its child looks the same. The kernel's lockdep has the same rule.
//!
//! Two threads in such a nesting can wait for each other if each wants its second lock in a mode that waits for the
//! first, and if no gate is held around it.

use std::{
    hash::{Hash, Hasher},
    panic::Location,
    ptr,
};

use rustc_hash::{FxHashMap, FxHasher};
use smallvec::SmallVec;

use super::{LockGraph, classes::ClassId};
use crate::{
    finding::{FindingKind, Level, Mode},
    ledger,
    stack::Stack,
    validator::context::held::Entry,
};

/// The number of ways to the same two acquisitions that are reported. Helpers acquire the locks of many callers.
const MAX_WAYS: usize = 16;

/// The number of ways that are remembered. Beyond that, nothing is reported.
const CAPACITY: usize = 4096;

/// A class, and where two of its locks were acquired.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) class: ClassId,
    sites: [&'static Location<'static>; 2],
}

impl Place {
    pub(super) fn new(class: ClassId, held: &Entry, wanted: &Entry) -> Self {
        Self { class, sites: [held.site, wanted.site] }
    }

    fn key(self) -> (ClassId, [usize; 2]) {
        (self.class, self.sites.map(|site| ptr::from_ref(site).addr()))
    }
}

/// The nestings that were reported.
#[derive(Default)]
pub(super) struct OneClass {
    /// The stacks of the second acquisition, by place.
    reported: FxHashMap<(ClassId, [usize; 2]), SmallVec<[Stack; 1]>>,
    /// The number of stacks.
    size: usize,
}

impl OneClass {
    /// Returns `true` if a nesting is not to be reported any more.
    fn knows(&self, place: Place, stack: &Stack) -> bool {
        let is_known = |ways: &SmallVec<[Stack; 1]>| ways.len() >= MAX_WAYS || ways.contains(stack);
        self.reported.get(&place.key()).is_some_and(is_known) || self.size >= CAPACITY
    }

    /// Records that a nesting is reported.
    pub(super) fn note(&mut self, place: Place, stack: &Stack) {
        if !self.knows(place, stack) {
            self.reported.entry(place.key()).or_default().push(stack.clone());
            self.size += 1;
        }
    }
}

impl LockGraph {
    /// Returns `true` if a nesting of two locks of one class, in these modes, reveals nothing new, whatever else is
    /// held.
    pub(super) fn is_nesting_settled(
        &self,
        place: Place,
        (held, wanted): (Mode, Mode),
        stack: &Stack,
    ) -> bool {
        !wanted.waits_for(held, false)
            || self.classes.is_reported((place.class, place.class))
            || self.one_class.knows(place, stack) && !is_denied()
    }

    /// Returns `true` if the program has declared an order of two locks.
    pub(super) fn is_declared(&self, held: &Entry, wanted: &Entry) -> bool {
        let lock = |entry: &Entry| {
            let lock = entry.tag.lock();
            (lock, self.classes.given(lock))
        };
        let (held, wanted) = (lock(held), lock(wanted));
        let has_order =
            |first, then| super::is_any_declared() && self.declared.breach(then, first).is_some();
        has_order(held, wanted) || has_order(wanted, held)
    }
}

/// Returns `true` if each nesting is denied, the known ones as well.
pub(super) fn is_denied() -> bool {
    ledger::level(FindingKind::SameClassNesting) >= Level::Deny
}

/// Returns a hash of a nesting. `pair` stands for the creation sites and the modes, `stack` is the number of a stack.
pub(super) fn hash(pair: u64, held: &Entry, wanted: &Entry, stack: u64) -> u64 {
    let mut hasher = FxHasher::default();
    let sites = [held.site, wanted.site].map(|site| ptr::from_ref(site).addr());
    (pair, sites, stack).hash(&mut hasher);
    hasher.finish()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[track_caller]
    fn place(class: ClassId) -> Place {
        Place { class, sites: [Location::caller(); 2] }
    }

    fn stack(frame: usize) -> Stack {
        Stack::new([frame].into())
    }

    #[test]
    fn each_way_to_each_place_is_reported_once() {
        let mut known = OneClass::default();
        let places = [place(1), place(1), place(2)];
        for (at, &place) in places.iter().enumerate() {
            assert!(!known.knows(place, &stack(1)), "{at}");
            known.note(place, &stack(1));
            assert!(known.knows(place, &stack(1)) && !known.knows(place, &stack(2)), "{at}");
        }
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (mut known, helper) = (OneClass::default(), place(1));
        (0..100).for_each(|frame| known.note(helper, &stack(frame)));
        assert_eq!((known.size, known.knows(helper, &stack(1000))), (MAX_WAYS, true));
        let here = place(0);
        (2..10_000).for_each(|class| known.note(Place { class, ..here }, &stack(1)));
        assert_eq!((known.size, known.reported.len()), (CAPACITY, CAPACITY - MAX_WAYS + 1));
        assert!(known.knows(place(1), &stack(1)));
    }
}
