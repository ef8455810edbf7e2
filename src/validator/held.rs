//! What one thread holds.
//!
//! Owned by its thread, which alone writes, with plain stores; read by any
//! thread at any time, for diagnostics. Takes no lock. The only allocation, of
//! room for deeper nesting, is made by [`HeldSet::make_room`], before the lock in question
//! is acquired.

use std::{array, panic::Location};

use once_cell::race::OnceBox;

use super::{
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    clock::Moment,
    identity::{LockId, SHIFT},
    publish::Published,
    seen,
};
use crate::finding::{LockKind, Mode};

/// How many locks are held without any allocation.
const INLINE: usize = if cfg!(loom) { 2 } else { 16 };
/// Room for `INLINE << BUCKETS` locks.
const BUCKETS: usize = 28;

/// A lock and the mode in one word: what the chain of held locks is made of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Tag(u64);

impl Tag {
    const VACANT: Self = Self(0);

    #[inline]
    pub(crate) fn new(lock: LockId, mode: Mode) -> Self {
        const { assert!(Mode::ALL.len() <= 1 << SHIFT, "the modes fit below the number") };
        Self(lock << SHIFT | mode as u64)
    }

    pub(crate) fn lock(self) -> LockId {
        self.0 >> SHIFT
    }

    pub(crate) fn mode(self) -> Mode {
        Mode::ALL[(self.0 & ((1 << SHIFT) - 1)) as usize % Mode::ALL.len()]
    }

    /// A mark for a guard, that its lock was poisoned already. No tag in a held set has it,
    /// so that such a guard is never released the quick way.
    pub(crate) fn poisoned(self) -> Self {
        Self(self.0 | 1 << 63)
    }

    /// The tag as it is in the held set, without the mark.
    pub(crate) fn in_set(self) -> Self {
        Self(self.0 & !(1 << 63))
    }

    /// The same lock, as it is held after an acquisition in this mode.
    #[inline]
    pub(crate) fn once_held(self) -> Self {
        Self::new(self.lock(), self.mode().once_held())
    }
}

/// One lock that is held, or waited for.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    pub(crate) site: &'static Location<'static>,
    /// Where it was made, if that is known.
    pub(crate) created: Option<&'static Location<'static>>,
    pub(crate) kind: &'static LockKind,
}

/// Where a [`Entry`] is published.
pub(crate) struct Slot {
    tag: AtomicU64,
    /// The chain of what was held before. For the owner alone.
    before: AtomicU64,
    site: Published<Location<'static>>,
    created: Published<Location<'static>>,
    kind: Published<LockKind>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            tag: AtomicU64::new(0),
            before: AtomicU64::new(0),
            site: Published::new(),
            created: Published::new(),
            kind: Published::new(),
        }
    }

    #[inline]
    pub(super) fn fill(&self, held: &Entry) {
        // Whoever sees a part of what follows sees that the tag no longer stands.
        self.vacate();
        self.site.store(Some(held.site));
        self.created.store(held.created);
        self.kind.store(Some(held.kind));
        // Last, so that a reader who sees the tag sees the rest.
        self.tag.store(held.tag.0, Release);
    }

    #[inline]
    pub(crate) fn vacate(&self) {
        self.tag.store(Tag::VACANT.0, Release);
    }

    /// What is there, read by its owner or by another thread. `None` if vacant
    /// or just changing.
    pub(super) fn read(&self) -> Option<Entry> {
        let tag = Tag(self.tag.load(Acquire));
        if tag == Tag::VACANT {
            return None;
        }
        let held = Entry {
            tag,
            site: self.site.load()?,
            created: self.created.load(),
            kind: self.kind.load()?,
        };
        fence(Acquire);
        (self.tag.load(Relaxed) == tag.0).then_some(held)
    }
}

/// Where a lock will stand once it is held. Found before it is acquired, so that nothing
/// is left to compute when it is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    depth: usize,
    chain: u64,
}

impl Place {
    /// Whether nothing is held below it.
    #[inline]
    pub(crate) fn is_first(self) -> bool {
        self.depth == 0
    }

    /// What is held and this lock, as one number.
    #[inline]
    pub(crate) fn chain(self) -> u64 {
        self.chain
    }
}

/// The depth of a thread in a special state: one at which there is never a slot.
const SPECIAL: usize = usize::MAX;

/// The locks that one thread holds, in the order of acquisition.
pub(crate) struct HeldSet {
    /// How many there are; or [`SPECIAL`], and `parked` says how many. Most operations are
    /// one comparison away from knowing that nothing is out of the ordinary.
    depth: AtomicUsize,
    parked: AtomicUsize,
    /// What is held, as one number: see [`seen`]. Means nothing if nothing is held.
    chain: AtomicU64,
    inline: [Slot; INLINE],
    /// The [`Moment`] since when each of these is held, to be [noted](Self::note_age).
    since: [AtomicU64; INLINE],
    /// Bucket `k` has `INLINE << k` slots, so that any depth is one step away.
    buckets: [OnceBox<Box<[Slot]>>; BUCKETS],
}

impl HeldSet {
    pub(crate) fn new() -> Self {
        Self {
            depth: AtomicUsize::new(0),
            parked: AtomicUsize::new(0),
            chain: AtomicU64::new(0),
            inline: array::from_fn(|_| Slot::new()),
            since: array::from_fn(|_| AtomicU64::new(0)),
            buckets: array::from_fn(|_| OnceBox::new()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.depth() == 0
    }

    /// How many there are, whatever is out of the ordinary.
    fn depth(&self) -> usize {
        match self.depth.load(Acquire) {
            SPECIAL => self.parked.load(Acquire),
            depth => depth,
        }
    }

    fn set_depth(&self, depth: usize) {
        match self.depth.load(Relaxed) {
            SPECIAL => self.parked.store(depth, Release),
            _ => self.depth.store(depth, Release),
        }
    }

    /// Says that the thread is in a special state, or no longer is.
    pub(crate) fn set_special(&self, special: bool) {
        let depth = self.depth();
        self.parked.store(depth, Release);
        self.depth.store(if special { SPECIAL } else { depth }, Release);
    }

    /// The watchdog looks: what it sees for the first time is held since now, or a little
    /// longer. All that another thread ever writes.
    pub(super) fn note_age(&self, now: Moment) {
        for since in self.since.iter().take(self.depth()) {
            let _ = since.compare_exchange(Moment::UNKNOWN.0, now.0, Relaxed, Relaxed);
        }
    }

    /// Where a lock would stand, if nothing is out of the ordinary: the thread is in no
    /// special state, and there is room inline.
    #[inline]
    pub(crate) fn place_for(&self, tag: Tag) -> Option<Place> {
        let depth = self.depth.load(Relaxed);
        (depth < INLINE).then(|| self.place_at(depth, tag))
    }

    /// Where a lock would stand, whatever is out of the ordinary.
    pub(crate) fn any_place_for(&self, tag: Tag) -> Place {
        self.place_at(self.depth(), tag)
    }

    /// Makes room for one more. Allocates at depths 16, 32, 64, ...
    pub(super) fn make_room(&self) {
        let depth = self.depth();
        if depth >= INLINE {
            let (bucket, _) = position(depth);
            self.buckets[bucket]
                .get_or_init(|| Box::new((0..INLINE << bucket).map(|_| Slot::new()).collect()));
        }
    }

    #[inline]
    fn place_at(&self, depth: usize, tag: Tag) -> Place {
        let chain = if depth == 0 { tag.0 } else { seen::step(self.chain.load(Relaxed), tag.0) };
        Place { depth, chain }
    }

    /// Adds a lock that was just acquired, at an ordinary [place](Self::place_for). No
    /// other was acquired or released since that was found.
    #[inline]
    pub(crate) fn push(&self, place: Place, entry: Entry) {
        if let (Some(slot), Some(since)) =
            (self.inline.get(place.depth), self.since.get(place.depth))
        {
            since.store(Moment::UNKNOWN.0, Relaxed);
            slot.before.store(self.chain.load(Relaxed), Relaxed);
            slot.fill(&entry);
            self.depth.store(place.depth + 1, Release);
            self.chain.store(place.chain, Release);
        }
    }

    /// Adds a lock that was just acquired, whatever is out of the ordinary.
    pub(crate) fn push_anywhere(&self, entry: Entry) {
        let place = self.any_place_for(entry.tag);
        // Without room, the lock goes unseen.
        if let Some(slot) = self.slot(place.depth) {
            self.set_since(place.depth, Moment::UNKNOWN);
            slot.before.store(self.chain.load(Relaxed), Relaxed);
            slot.fill(&entry);
            self.set_depth(place.depth + 1);
            self.chain.store(place.chain, Release);
        }
    }

    /// Removes the lock that was acquired last, if it is this one and nothing is out of
    /// the ordinary. Whether it was so.
    #[inline]
    pub(crate) fn pop(&self, tag: Tag) -> bool {
        let last = self.depth.load(Relaxed).wrapping_sub(1);
        match self.inline.get(last) {
            Some(slot) if slot.tag.load(Relaxed) == tag.0 => {
                self.chain.store(slot.before.load(Relaxed), Release);
                self.depth.store(last, Release);
                true
            }
            _ => false,
        }
    }

    /// Removes a lock, the last one of this tag, wherever it is, and says what was there.
    #[cold]
    pub(crate) fn remove(&self, tag: Tag) -> Option<Entry> {
        let depth = self.depth();
        let entry_at = |at: usize| self.slot(at).and_then(Slot::read);
        let found = (0..depth).rev().find(|&at| entry_at(at).is_some_and(|it| it.tag == tag))?;
        let removed = entry_at(found);
        // Those above it move down, each with the chain that is now before it.
        let mut chain = self.slot(found)?.before.load(Relaxed);
        for at in found + 1..depth {
            if let (Some(to), Some(entry)) = (self.slot(at - 1), entry_at(at)) {
                self.set_since(at - 1, self.since(at));
                to.before.store(chain, Relaxed);
                to.fill(&entry);
                chain = if at == 1 { entry.tag.0 } else { seen::step(chain, entry.tag.0) };
            }
        }
        self.chain.store(chain, Release);
        self.set_depth(depth - 1);
        removed
    }

    /// The lock of this tag that was acquired last.
    #[cold]
    pub(crate) fn last_of(&self, tag: Tag) -> Option<Entry> {
        self.iter().filter(|entry| entry.tag == tag).last()
    }

    /// Removes a lock in every mode: it was destroyed while held (its guard was
    /// forgotten).
    pub(crate) fn purge(&self, lock: LockId) {
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Upgradable] {
            while self.remove(Tag::new(lock, mode)).is_some() {}
        }
    }

    /// Nothing is held any more, whatever was: the thread is not there.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn clear(&self) {
        self.parked.store(0, Release);
        self.depth.store(0, Release);
    }

    /// Everything held. Read by another thread it is a glance: each entry is true, but they
    /// may not all have been held at one moment.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        (0..self.depth()).filter_map(|at| self.slot(at)?.read())
    }

    /// The same, and since when each is held.
    pub(super) fn iter_with_age(&self) -> impl Iterator<Item = (Entry, Moment)> {
        (0..self.depth()).filter_map(|at| Some((self.slot(at)?.read()?, self.since(at))))
    }

    /// Since when the lock at a depth is held. Not known of those without room inline.
    fn since(&self, at: usize) -> Moment {
        self.since.get(at).map_or(Moment::UNKNOWN, |since| Moment(since.load(Relaxed)))
    }

    fn set_since(&self, at: usize, moment: Moment) {
        if let Some(since) = self.since.get(at) {
            since.store(moment.0, Relaxed);
        }
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        self.inline.get(at).or_else(|| self.deep_slot(at))
    }

    #[cold]
    fn deep_slot(&self, at: usize) -> Option<&Slot> {
        let (bucket, offset) = position(at);
        self.buckets.get(bucket)?.get()?.get(offset)
    }
}

/// The bucket of a depth from `INLINE` on, and the slot in it.
fn position(at: usize) -> (usize, usize) {
    let bucket = (at / INLINE).ilog2() as usize;
    (bucket, at - (INLINE << bucket))
}

#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;

    use super::*;

    /// A lock and the place where it is taken, by which the two are told to belong together.
    fn entry(lock: LockId) -> Entry {
        static KIND: LockKind =
            LockKind { wrapper: "Mutex", of: crate::finding::LockOf::Nothing, initializes: false };
        let site = match lock {
            1 => Location::caller(),
            _ => const { Location::caller() },
        };
        Entry { tag: Tag::new(lock, Mode::Exclusive), site, created: Some(site), kind: &KIND }
    }

    /// The owner takes and releases; another thread looks. What it sees of a lock belongs
    /// together.
    #[test]
    fn loom_take_release_and_look() {
        loom::model(|| {
            let held = Arc::new(HeldSet::new());
            let (first, second) = (entry(1), entry(2));
            let reader = loom::thread::spawn({
                let held = Arc::clone(&held);
                move || {
                    for seen in held.iter() {
                        let taken = if seen.tag == first.tag { first } else { second };
                        assert_eq!(seen.tag, taken.tag);
                        assert_eq!(seen.site, taken.site);
                    }
                }
            });
            held.push(held.place_for(first.tag).unwrap(), first);
            assert!(held.pop(first.tag));
            held.push(held.place_for(second.tag).unwrap(), second);
            reader.join().unwrap();
            let tags: Vec<_> = held.iter().map(|entry| entry.tag).collect();
            assert_eq!(tags, [second.tag]);
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(lock: LockId, mode: Mode) -> Entry {
        static KIND: LockKind =
            LockKind { wrapper: "Mutex", of: crate::finding::LockOf::Nothing, initializes: false };
        let tag = Tag::new(lock, mode);
        let here = Location::caller();
        Entry { tag, site: here, created: Some(here), kind: &KIND }
    }

    #[test]
    fn buckets_cover_every_depth_once() {
        let mut expected = (0, 0);
        for at in INLINE..INLINE << 6 {
            assert_eq!(position(at), expected);
            expected.1 += 1;
            if expected.1 == INLINE << expected.0 {
                expected = (expected.0 + 1, 0);
            }
        }
    }

    #[test]
    fn a_tag_is_a_lock_and_a_mode() {
        for mode in Mode::ALL {
            let tag = Tag::new(5, mode);
            assert_eq!((tag.lock(), tag.mode()), (5, mode));
            // A guard that is marked is released by the tag that is in the set.
            assert_ne!(tag.poisoned(), tag);
            assert_eq!((tag.poisoned().in_set(), tag.in_set()), (tag, tag));
        }
    }

    proptest! {
        /// Against a plain vector: any depth, any order of release, the same
        /// lock several times, and a watchdog that looks now and then.
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec((any::<bool>(), 1..40_u64, any::<prop::sample::Index>(), any::<bool>(), any::<bool>()), 0..400)) {
            let set = HeldSet::new();
            let mut model: Vec<(Tag, u64)> = Vec::new();
            let mut was_special = false;
            for (now, (acquire, lock, pick, special, looks)) in (1..).zip(steps) {
                if acquire || model.is_empty() {
                    let entry = held(lock, if lock % 3 == 0 { Mode::Shared } else { Mode::Exclusive });
                    set.make_room();
                    match set.place_for(entry.tag) {
                        Some(place) => set.push(place, entry),
                        None => set.push_anywhere(entry),
                    }
                    model.push((entry.tag, Moment::UNKNOWN.0));
                } else {
                    let (tag, _) = *pick.get(&model);
                    let last = model.iter().rposition(|&(held, _)| held == tag).unwrap();
                    let is_ordinary = !was_special && last + 1 == model.len() && last < INLINE;
                    model.remove(last);
                    prop_assert_eq!(set.last_of(tag).map(|entry| entry.tag), Some(tag));
                    let is_popped = set.pop(tag);
                    prop_assert_eq!(is_popped, is_ordinary);
                    if !is_popped {
                        prop_assert_eq!(set.remove(tag).map(|entry| entry.tag), Some(tag));
                    }
                }
                if looks {
                    set.note_age(Moment(now));
                    let new = model.iter_mut().take(INLINE).filter(|(_, since)| *since == 0);
                    new.for_each(|(_, since)| *since = now);
                }
                // The state is the thread's: it stays, whatever is taken and released in it.
                let next = Tag::new(50, Mode::Exclusive);
                prop_assert_eq!(set.place_for(next).is_some(), !was_special && model.len() < INLINE);
                set.set_special(special);
                was_special = special;
                let seen = set.iter_with_age().map(|(held, since)| (held.tag, since.0));
                prop_assert_eq!(seen.collect::<Vec<_>>(), model.clone());
                prop_assert_eq!(set.is_empty(), model.is_empty());
                // Where the next one would stand, and what all of them are as one number.
                let tags = model.iter().map(|(tag, _)| tag.0).chain([next.0]);
                let place = set.any_place_for(next);
                prop_assert_eq!(Some(place.chain()), tags.reduce(seen::step));
                prop_assert_eq!(place.is_first(), model.is_empty());
            }
            prop_assert!(set.remove(Tag::new(99, Mode::Exclusive)).is_none());
            // A lock that is gone is held by nobody, however often it was.
            set.purge(3);
            model.retain(|(tag, _)| tag.lock() != 3);
            let held = set.iter().map(|held| held.tag);
            prop_assert!(held.eq(model.iter().map(|&(tag, _)| tag)));
            // Nor by the threads of its parent in a fork.
            #[cfg(unix)]
            {
                set.clear();
                prop_assert!(set.is_empty());
            }
        }
    }
}
