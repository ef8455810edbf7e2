//! A short stack of held read locks that a thread shares with its own signal handlers.
//!
//! Holds what the [held set](super::held) cannot: locks taken while the thread is
//! [suspended](crate::validator::Context::is_suspended). A handler may run between any two stores,
//! and leaves the stack as it found it, because it releases what it took. Therefore
//! [`push`](HandlerStack::push) reserves its slot before it writes it, so that a handler pushes
//! above. Allocates nothing and takes no lock.

use std::sync::atomic::{
    AtomicU64, AtomicUsize,
    Ordering::{Relaxed, SeqCst},
    compiler_fence,
};

use super::held::Tag;
use crate::validator::interrupted;

/// The number of tags stored. Further ones are only counted.
const CAPACITY: usize = 8;
/// The tag of a slot that is reserved but not yet written. No lock has the id 0.
const VACANT: u64 = 0;

pub(in crate::validator) struct HandlerStack {
    slots: [AtomicU64; CAPACITY],
    /// The number of slots in use.
    len: AtomicUsize,
    /// The number of held locks beyond those.
    overflow: AtomicUsize,
}

impl HandlerStack {
    pub(in crate::validator) const fn new() -> Self {
        Self {
            slots: [const { AtomicU64::new(VACANT) }; CAPACITY],
            len: AtomicUsize::new(0),
            overflow: AtomicUsize::new(0),
        }
    }

    pub(in crate::validator) fn push(&self, tag: Tag) {
        let len = self.len.load(Relaxed);
        let Some(slot) = self.slots.get(len) else {
            self.overflow.store(self.overflow.load(Relaxed) + 1, Relaxed);
            return;
        };
        slot.store(VACANT, Relaxed);
        interrupted::here();
        set(&self.len, len + 1);
        interrupted::here();
        slot.store(tag.to_bits(), Relaxed);
    }

    /// Removes the last entry with this tag, or else a lock that was only counted. Returns `true`
    /// if there was one.
    pub(in crate::validator) fn remove(&self, tag: Tag) -> bool {
        let len = self.len.load(Relaxed);
        let used = &self.slots[..len];
        let Some(found) = used.iter().rposition(|slot| slot.load(Relaxed) == tag.to_bits()) else {
            let overflow = self.overflow.load(Relaxed);
            self.overflow.store(overflow.saturating_sub(1), Relaxed);
            return overflow > 0;
        };
        for (to, from) in used[found..].iter().zip(&used[found + 1..]) {
            to.store(from.load(Relaxed), Relaxed);
            interrupted::here();
        }
        set(&self.len, len - 1);
        true
    }

    pub(in crate::validator) fn clear(&self) {
        self.overflow.store(0, Relaxed);
        set(&self.len, 0);
    }
}

/// Stores a length after all earlier stores and before all later ones, as seen by a signal handler
/// on the same thread.
fn set(len: &AtomicUsize, value: usize) {
    compiler_fence(SeqCst);
    len.store(value, Relaxed);
    compiler_fence(SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{finding::Mode, validator::lock_id::LockId};

    fn tag(lock: LockId) -> Tag {
        Tag::new(lock, Mode::Shared)
    }

    fn tags(stack: &HandlerStack) -> Vec<u64> {
        let used = &stack.slots[..stack.len.load(Relaxed)];
        used.iter().map(|slot| Tag::from_bits(slot.load(Relaxed)).lock()).collect()
    }

    proptest! {
        /// Compares with a vector, within the capacity.
        #[test]
        fn agrees_with_a_vector(
            steps in prop::collection::vec((any::<bool>(), 1..5_u64), 0..60),
        ) {
            let (stack, mut model) = (HandlerStack::new(), Vec::new());
            for (push, lock) in steps {
                if push && model.len() < CAPACITY {
                    stack.push(tag(lock));
                    model.push(lock);
                } else {
                    let last = model.iter().rposition(|&held| held == lock);
                    prop_assert_eq!(stack.remove(tag(lock)), last.is_some());
                    last.map(|at| model.remove(at));
                }
                prop_assert_eq!(&tags(&stack), &model);
            }
        }

        /// Beyond the capacity, as many releases are recognized as there were acquisitions.
        #[test]
        fn counts_locks_that_it_does_not_store(
            order in Just((1..20_u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let stack = HandlerStack::new();
            (1..20).for_each(|lock| stack.push(tag(lock)));
            prop_assert!(order.iter().all(|&lock| stack.remove(tag(lock))));
            prop_assert!(tags(&stack).is_empty() && !stack.remove(tag(1)));
        }
    }
}
