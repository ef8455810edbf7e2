//! What one thread holds.
//!
//! Owned by its thread, which alone writes, with plain stores; read by any
//! thread at any time, for diagnostics. Takes no lock. The only allocation, of
//! room for deeper nesting, is made by [`HeldSet::reserve`], before the lock in
//! question is acquired.

use std::{
    array,
    panic::Location,
    sync::atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
};

use once_cell::race::OnceBox;

use super::{identity::LockId, publish::Published, seen};
use crate::finding::{LockKind, Mode};

/// How many locks are held without any allocation.
const INLINE: usize = 16;
/// Room for `INLINE << BUCKETS` locks.
const BUCKETS: usize = 28;

/// A lock and the mode in one word: what the chain of held locks is made of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Tag(u64);

impl Tag {
    const VACANT: Self = Self(0);

    #[inline]
    pub(crate) fn new(lock: LockId, mode: Mode) -> Self {
        Self(lock << 2 | mode as u64)
    }

    pub(crate) fn lock(self) -> LockId {
        self.0 >> 2
    }

    pub(crate) fn mode(self) -> Mode {
        match self.0 & 3 {
            0 => Mode::Exclusive,
            1 => Mode::Shared,
            _ => Mode::RecursiveShared,
        }
    }

    /// The same lock, as it is held after an acquisition in this mode.
    #[inline]
    pub(crate) fn once_held(self) -> Self {
        Self::new(self.lock(), self.mode().once_held())
    }

    #[inline]
    pub(crate) fn hash(self) -> u64 {
        seen::mix(self.0)
    }
}

/// One lock that is held, or waited for.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    /// [`Tag::hash`], kept so as not to compute it twice.
    pub(crate) hash: u64,
    pub(crate) site: &'static Location<'static>,
    pub(crate) created: &'static Location<'static>,
    pub(crate) kind: &'static LockKind,
}

/// Where a [`Entry`] is published.
pub(crate) struct Slot {
    tag: AtomicU64,
    hash: AtomicU64,
    site: Published<Location<'static>>,
    created: Published<Location<'static>>,
    kind: Published<LockKind>,
}

impl Slot {
    pub(crate) const fn new() -> Self {
        Self {
            tag: AtomicU64::new(0),
            hash: AtomicU64::new(0),
            site: Published::new(),
            created: Published::new(),
            kind: Published::new(),
        }
    }

    #[inline]
    pub(crate) fn fill(&self, held: &Entry) {
        self.hash.store(held.hash, Relaxed);
        self.site.store(held.site);
        self.created.store(held.created);
        self.kind.store(held.kind);
        // Last, so that a reader who sees the tag sees the rest.
        self.tag.store(held.tag.0, Release);
    }

    #[inline]
    pub(crate) fn vacate(&self) {
        self.tag.store(Tag::VACANT.0, Release);
    }

    /// What is there, read by its owner or by another thread. `None` if vacant
    /// or just changing.
    pub(crate) fn read(&self) -> Option<Entry> {
        let tag = Tag(self.tag.load(Acquire));
        if tag == Tag::VACANT {
            return None;
        }
        let held = Entry {
            tag,
            hash: self.hash.load(Relaxed),
            site: self.site.load()?,
            created: self.created.load()?,
            kind: self.kind.load()?,
        };
        fence(Acquire);
        (self.tag.load(Relaxed) == tag.0).then_some(held)
    }
}

/// The locks that one thread holds, in the order of acquisition.
pub(crate) struct HeldSet {
    depth: AtomicUsize,
    /// The sum of the held tags' hashes. Every held lock gives an edge to the
    /// next one, in whatever order they were taken, so that the order is no part
    /// of a chain's identity; and a sum lets any of them go in one step.
    chain: AtomicU64,
    inline: [Slot; INLINE],
    /// Bucket `k` has `INLINE << k` slots, so that any depth is one step away.
    buckets: [OnceBox<Box<[Slot]>>; BUCKETS],
}

impl HeldSet {
    pub(crate) fn new() -> Self {
        Self {
            depth: AtomicUsize::new(0),
            chain: AtomicU64::new(0),
            inline: array::from_fn(|_| Slot::new()),
            buckets: array::from_fn(|_| OnceBox::new()),
        }
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.depth.load(Relaxed) == 0
    }

    #[inline]
    pub(crate) fn chain(&self) -> u64 {
        self.chain.load(Relaxed)
    }

    /// Makes room for one more. Allocates at depths 16, 32, 64, ...
    #[inline]
    pub(crate) fn reserve(&self) {
        let depth = self.depth.load(Relaxed);
        if depth >= INLINE {
            self.reserve_bucket(depth);
        }
    }

    #[cold]
    fn reserve_bucket(&self, depth: usize) {
        let (bucket, _) = place(depth);
        self.buckets[bucket]
            .get_or_init(|| Box::new((0..INLINE << bucket).map(|_| Slot::new()).collect()));
    }

    /// Adds a lock that was just acquired; there is [room](Self::reserve).
    #[inline]
    pub(crate) fn push(&self, held: &Entry) {
        let depth = self.depth.load(Relaxed);
        // Without room (a lock acquired within `reserve`'s own allocation took
        // it), the lock goes unseen.
        if let Some(slot) = self.slot(depth) {
            slot.fill(held);
            self.depth.store(depth + 1, Release);
            self.chain.store(self.chain().wrapping_add(held.hash), Relaxed);
        }
    }

    /// Removes a lock that is about to be released: mostly the last one, but
    /// any order will do. Nothing happens if it is not there.
    #[inline]
    pub(crate) fn release(&self, tag: Tag) {
        let last = self.depth.load(Relaxed).wrapping_sub(1);
        match self.inline.get(last) {
            Some(slot) if slot.tag.load(Relaxed) == tag.0 => self.pop(slot, last),
            _ => drop(self.remove(tag)),
        }
    }

    #[inline]
    fn pop(&self, slot: &Slot, last: usize) {
        self.chain.store(self.chain().wrapping_sub(slot.hash.load(Relaxed)), Relaxed);
        self.depth.store(last, Release);
        slot.vacate();
    }

    /// Removes a lock, the last one of this tag, and says what was there.
    #[cold]
    pub(crate) fn remove(&self, tag: Tag) -> Option<Entry> {
        let depth = self.depth.load(Relaxed);
        let entry_at = |at: usize| self.slot(at).and_then(Slot::read);
        let found = (0..depth).rev().find(|&at| entry_at(at).is_some_and(|it| it.tag == tag))?;
        let removed = entry_at(found);
        // Those above it move down, and the topmost place goes.
        for at in found + 1..depth {
            if let (Some(to), Some(entry)) = (self.slot(at - 1), entry_at(at)) {
                to.fill(&entry);
            }
        }
        let topmost = self.slot(depth - 1)?;
        if let Some(Entry { hash, .. }) = removed {
            topmost.hash.store(hash, Relaxed);
        }
        self.pop(topmost, depth - 1);
        removed
    }

    /// Removes a lock in every mode: it was destroyed while held (its guard was
    /// forgotten).
    pub(crate) fn purge(&self, lock: LockId) {
        for mode in [Mode::Exclusive, Mode::Shared] {
            while self.remove(Tag::new(lock, mode)).is_some() {}
        }
    }

    /// Everything held. From another thread: a glance, in which a lock that is
    /// being acquired or released may be missing.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        (0..self.depth.load(Acquire)).filter_map(|at| self.slot(at)?.read())
    }

    #[inline]
    fn slot(&self, at: usize) -> Option<&Slot> {
        match self.inline.get(at) {
            Some(slot) => Some(slot),
            None => self.bucket_slot(at),
        }
    }

    #[cold]
    fn bucket_slot(&self, at: usize) -> Option<&Slot> {
        let (bucket, offset) = place(at);
        self.buckets.get(bucket)?.get()?.get(offset)
    }
}

/// The bucket of a position from `INLINE` on, and its place in it.
fn place(at: usize) -> (usize, usize) {
    let bucket = (at / INLINE).ilog2() as usize;
    (bucket, at - (INLINE << bucket))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(lock: LockId, mode: Mode) -> Entry {
        static KIND: LockKind = LockKind { wrapper: "Mutex", guards: None };
        let tag = Tag::new(lock, mode);
        let here = Location::caller();
        Entry { tag, hash: tag.hash(), site: here, created: here, kind: &KIND }
    }

    #[test]
    fn buckets_cover_every_depth_once() {
        let mut expected = (0, 0);
        for at in INLINE..INLINE << 6 {
            assert_eq!(place(at), expected);
            expected.1 += 1;
            if expected.1 == INLINE << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    proptest! {
        /// Against a plain vector: any depth, any order of release, the same
        /// lock several times.
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec((any::<bool>(), 1..40_u64, any::<prop::sample::Index>()), 0..400)) {
            let set = HeldSet::new();
            let mut model: Vec<Tag> = Vec::new();
            for (acquire, lock, pick) in steps {
                if acquire || model.is_empty() {
                    let entry = held(lock, if lock % 3 == 0 { Mode::Shared } else { Mode::Exclusive });
                    set.reserve();
                    set.push(&entry);
                    model.push(entry.tag);
                } else {
                    let tag = *pick.get(&model);
                    let last = model.iter().rposition(|&held| held == tag).unwrap();
                    model.remove(last);
                    set.release(tag);
                }
                prop_assert_eq!(set.iter().map(|held| held.tag).collect::<Vec<_>>(), model.clone());
                let chain = model.iter().fold(0_u64, |sum, tag| sum.wrapping_add(tag.hash()));
                prop_assert_eq!(set.chain(), chain);
            }
            prop_assert!(set.remove(Tag::new(99, Mode::Exclusive)).is_none());
        }
    }
}
