//! A short stack of held locks that a thread shares with its own signal handlers.
//!
//! Holds what the [held set](super::held) cannot: locks taken while the thread is
//! [blind](super::Context::is_blind), and those of a thread without a context. A handler may run
//! between any two stores and leaves the stack as it found it, because it releases what it took.
//! [`push`](HandlerStack::push) therefore reserves its slot before it writes it, so that a handler
//! pushes above. Allocates nothing and takes no lock.

use std::{
    panic::Location,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
        compiler_fence,
    },
};

use super::{
    held::{Entry, Tag},
    identity::LockId,
    interrupted,
};

/// How many entries are stored. Those beyond are only counted.
const CAPACITY: usize = 8;
/// The tag of a slot that is reserved and not yet written. No lock has the number 0.
const VACANT: u64 = 0;

struct Slot {
    tag: AtomicU64,
    site: AtomicPtr<Location<'static>>,
}

impl Slot {
    const fn new() -> Self {
        Self { tag: AtomicU64::new(VACANT), site: AtomicPtr::new(ptr::null_mut()) }
    }

    fn set(&self, tag: u64, site: *mut Location<'static>) {
        self.tag.store(VACANT, Relaxed);
        self.site.store(site, Relaxed);
        self.tag.store(tag, Relaxed);
    }

    #[allow(unsafe_code, reason = "std has no atomic reference")]
    fn entry(&self) -> Option<Entry> {
        let tag = self.tag.load(Relaxed);
        // SAFETY: `site` is null or was a `&'static Location` in `push`.
        let site = unsafe { self.site.load(Relaxed).as_ref() }?;
        (tag != VACANT).then_some(Entry { tag: Tag::from_bits(tag), site })
    }
}

pub(super) struct HandlerStack {
    slots: [Slot; CAPACITY],
    /// How many slots are in use.
    len: AtomicUsize,
    /// How many entries are held beyond those.
    overflow: AtomicUsize,
}

impl HandlerStack {
    pub(super) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; CAPACITY],
            len: AtomicUsize::new(0),
            overflow: AtomicUsize::new(0),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.len.load(Relaxed) + self.overflow.load(Relaxed) == 0
    }

    pub(super) fn push(&self, entry: Entry) {
        let len = self.len.load(Relaxed);
        let Some(slot) = self.slots.get(len) else {
            self.overflow.store(self.overflow.load(Relaxed) + 1, Relaxed);
            return;
        };
        slot.tag.store(VACANT, Relaxed);
        interrupted::here();
        set(&self.len, len + 1);
        interrupted::here();
        slot.set(entry.tag.to_bits(), ptr::from_ref(entry.site).cast_mut());
    }

    /// Removes the last entry with this tag, or else one that was not stored. Returns `true` if
    /// there was either.
    pub(super) fn remove(&self, tag: Tag) -> bool {
        let len = self.len.load(Relaxed);
        let used = &self.slots[..len];
        let Some(found) = used.iter().rposition(|slot| slot.tag.load(Relaxed) == tag.to_bits())
        else {
            let overflow = self.overflow.load(Relaxed);
            self.overflow.store(overflow.saturating_sub(1), Relaxed);
            return overflow > 0;
        };
        for (to, from) in used[found..].iter().zip(&used[found + 1..]) {
            to.set(from.tag.load(Relaxed), from.site.load(Relaxed));
            interrupted::here();
        }
        set(&self.len, len - 1);
        true
    }

    /// Removes a lock that was destroyed while it was held, in every mode.
    pub(super) fn purge(&self, lock: LockId) {
        while let Some(entry) = self.iter().find(|entry| entry.tag.lock() == lock) {
            self.remove(entry.tag);
        }
    }

    pub(super) fn clear(&self) {
        self.overflow.store(0, Relaxed);
        set(&self.len, 0);
    }

    /// Returns the stored entries, oldest first.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.slots.iter().take(self.len.load(Relaxed)).filter_map(Slot::entry)
    }
}

/// Stores a length after all stores before it and before all after it, as a signal handler on the
/// same thread sees them.
fn set(len: &AtomicUsize, value: usize) {
    compiler_fence(SeqCst);
    len.store(value, Relaxed);
    compiler_fence(SeqCst);
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::finding::Mode;

    fn entry(lock: LockId) -> Entry {
        Entry { tag: Tag::new(lock, Mode::Shared), site: Location::caller() }
    }

    proptest! {
        /// Against a vector, as long as everything fits.
        #[test]
        fn agrees_with_a_vector(
            steps in prop::collection::vec((any::<bool>(), 1..5_u64), 0..60),
        ) {
            let (stack, mut model) = (HandlerStack::new(), Vec::new());
            for (push, lock) in steps {
                if push && model.len() < CAPACITY {
                    stack.push(entry(lock));
                    model.push(lock);
                } else {
                    let last = model.iter().rposition(|&held| held == lock);
                    prop_assert_eq!(stack.remove(entry(lock).tag), last.is_some());
                    last.map(|at| model.remove(at));
                }
                prop_assert_eq!(stack.is_empty(), model.is_empty());
                prop_assert!(stack.iter().map(|held| held.tag.lock()).eq(model.iter().copied()));
            }
            stack.purge(3);
            model.retain(|&lock| lock != 3);
            prop_assert!(stack.iter().map(|held| held.tag.lock()).eq(model.iter().copied()));
        }

        /// However many are taken, as many releases are recognised.
        #[test]
        fn counts_what_it_does_not_store(
            order in Just((1..20_u64).collect::<Vec<_>>()).prop_shuffle(),
        ) {
            let stack = HandlerStack::new();
            (1..20).for_each(|lock| stack.push(entry(lock)));
            prop_assert!(order.iter().all(|&lock| stack.remove(entry(lock).tag)));
            prop_assert!(stack.is_empty() && stack.iter().next().is_none());
            prop_assert!(!stack.remove(entry(1).tag));
        }
    }
}
