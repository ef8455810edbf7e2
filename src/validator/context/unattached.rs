//! The locks of threads without a context: locks taken by attempts where a signal handler may have
//! been running.
//!
//! One table for all threads, because another thread may release such a lock: it received the
//! guard, or unlocks by force. Usually empty. A signal handler may run between any two stores.
//! Allocates nothing and takes no lock, except in [`Unattached::attach`].

use std::{
    cell::Cell,
    panic::Location,
    ptr,
    sync::atomic::{
        AtomicPtr, AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{
    Context,
    held::{Entry, Tag},
};
use crate::validator::{interrupted, lock_id::LockId};

/// The number of locks that can be recorded, for all threads. Further ones are not tracked.
const CAPACITY: usize = 256;
/// The tag of an empty slot. No lock has the id 0.
const VACANT: u64 = 0;
/// The tag of a slot that is being written. No tag has all bits set.
const RESERVED: u64 = u64::MAX;

thread_local! {
    /// The number of the thread, assigned when it first needs one. Never reused, unlike an address.
    static OWNER: Cell<u64> = const { Cell::new(0) };
}

pub(in crate::validator) struct Unattached {
    slots: [Slot; CAPACITY],
    /// The number of slots ever used. The first vacant slot is taken, so this stays small.
    reach: AtomicUsize,
    /// The number of acquisitions so far.
    count: AtomicU64,
}

struct Slot {
    tag: AtomicU64,
    site: AtomicPtr<Location<'static>>,
    owner: AtomicU64,
    /// The sequence number of the acquisition.
    at: AtomicU64,
}

impl Slot {
    const fn new() -> Self {
        Self {
            tag: AtomicU64::new(VACANT),
            site: AtomicPtr::new(ptr::null_mut()),
            owner: AtomicU64::new(0),
            at: AtomicU64::new(0),
        }
    }

    /// Reads the entry. For the owning thread, whose other slots may change meanwhile.
    #[allow(unsafe_code, reason = "std has no atomic reference")]
    fn entry(&self) -> Option<Entry> {
        let tag = self.tag.load(Acquire);
        // SAFETY: `site` is null or was a `&'static Location` in `push`.
        let site = unsafe { self.site.load(Relaxed).as_ref() }?;
        (tag != VACANT && tag != RESERVED).then_some(Entry { tag: Tag::from_bits(tag), site })
    }
}

impl Unattached {
    pub(in crate::validator) const fn new() -> Self {
        Self {
            slots: [const { Slot::new() }; CAPACITY],
            reach: AtomicUsize::new(0),
            count: AtomicU64::new(0),
        }
    }

    /// Records a lock that the calling thread has acquired.
    pub(in crate::validator) fn push(&self, entry: Entry) {
        let reserve =
            |slot: &Slot| slot.tag.compare_exchange(VACANT, RESERVED, Acquire, Relaxed).is_ok();
        let Some(index) = self.slots.iter().position(reserve) else { return };
        interrupted::here();
        self.reach.fetch_max(index + 1, Relaxed);
        let slot = &self.slots[index];
        slot.site.store(ptr::from_ref(entry.site).cast_mut(), Relaxed);
        slot.owner.store(owner(), Relaxed);
        slot.at.store(self.count.fetch_add(1, Relaxed), Relaxed);
        interrupted::here();
        slot.tag.store(entry.tag.to_bits(), Release);
        interrupted::here();
    }

    /// Records a release by the calling thread: of a lock that it took itself, or else of another
    /// thread's. Returns `true` if there was one.
    pub(in crate::validator) fn remove(&self, tag: Tag) -> bool {
        loop {
            let has_tag = |slot: &&Slot| slot.tag.load(Acquire) == tag.to_bits();
            let own = self.own().filter(has_tag).max_by_key(|slot| slot.at.load(Relaxed));
            let Some(slot) = own.or_else(|| self.reached().find(has_tag)) else { return false };
            interrupted::here();
            if Self::vacate(slot, tag) {
                return true;
            }
            // Another thread has released this hold of a shared lock meanwhile.
        }
    }

    /// Records that a lock of the calling thread is now held in another mode.
    pub(in crate::validator) fn turn(&self, from: Tag, to: Tag) {
        let turns = |slot: &Slot| {
            slot.tag.compare_exchange(from.to_bits(), to.to_bits(), Release, Relaxed).is_ok()
        };
        let _ = self.own().any(turns);
    }

    /// Moves what the calling thread holds to its new context, in the order of acquisition.
    pub(in crate::validator) fn attach(&self, context: &Context) {
        let mut own: Vec<_> = self.own().filter_map(|slot| Some((slot, slot.entry()?))).collect();
        own.sort_by_key(|(slot, _)| slot.at.load(Relaxed));
        for (slot, entry) in own {
            context.held.make_room();
            context.held.push_anywhere(entry);
            interrupted::here();
            if !Self::vacate(slot, entry.tag) {
                // Another thread has just released it.
                context.held.remove(entry.tag);
            }
            interrupted::here();
        }
    }

    /// Forgets a lock that was destroyed while held.
    pub(in crate::validator) fn purge(&self, lock: LockId) {
        for slot in self.reached() {
            let tag = Tag::from_bits(slot.tag.load(Relaxed));
            if tag.lock() == lock {
                Self::vacate(slot, tag);
            }
        }
    }

    fn reached(&self) -> impl Iterator<Item = &Slot> {
        self.slots[..self.reach.load(Relaxed)].iter()
    }

    fn own(&self) -> impl Iterator<Item = &Slot> {
        let owner = owner();
        self.reached().filter(move |slot| slot.owner.load(Relaxed) == owner)
    }

    /// Empties a slot if it still has this tag.
    fn vacate(slot: &Slot, tag: Tag) -> bool {
        slot.tag.compare_exchange(tag.to_bits(), VACANT, Release, Relaxed).is_ok()
    }
}

fn owner() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    if OWNER.get() == 0 {
        OWNER.set(COUNT.fetch_add(1, Relaxed) + 1);
    }
    OWNER.get()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::thread;

    use super::*;
    use crate::{finding::Mode, validator::context::registry};

    fn entry(lock: LockId) -> Entry {
        Entry { tag: Tag::new(lock, Mode::Shared), site: Location::caller() }
    }

    fn attached(unattached: &Unattached) -> Vec<LockId> {
        let context = registry::take_up();
        unattached.attach(context);
        let held: Vec<_> = context.held.iter().map(|held| held.tag).collect();
        for &tag in &held {
            context.held.remove(tag);
        }
        registry::give_back(context);
        held.iter().map(|tag| tag.lock()).collect()
    }

    #[test]
    fn remaining_locks_move_to_the_context_in_order() {
        let table = Unattached::new();
        (1..=3).for_each(|lock| table.push(entry(lock)));
        assert!(table.remove(entry(1).tag) && !table.remove(entry(1).tag));
        // Takes slots before those of the others.
        for lock in [4, 2] {
            table.push(entry(lock));
        }
        assert_eq!(attached(&table), [2, 3, 4, 2]);
        assert!(attached(&table).is_empty());
    }

    /// A thread releases its own holds first, so each thread keeps as many as it has.
    #[test]
    fn another_thread_may_release_a_lock() {
        let table = Unattached::new();
        (1..=2).for_each(|lock| table.push(entry(lock)));
        thread::scope(|scope| {
            scope.spawn(|| {
                table.push(entry(1));
                assert!(table.remove(entry(1).tag) && table.remove(entry(2).tag));
                assert!(attached(&table).is_empty());
            });
        });
        assert_eq!(attached(&table), [1]);
    }

    #[test]
    fn destroyed_locks_and_locks_beyond_the_capacity_are_not_held() {
        let table = Unattached::new();
        (1..=300).for_each(|lock| table.push(entry(lock)));
        table.purge(7);
        assert!(!table.remove(entry(7).tag) && !table.remove(entry(300).tag));
        assert_eq!(attached(&table).len(), CAPACITY - 1);
        assert!(attached(&table).is_empty());
    }
}
