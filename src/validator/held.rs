//! What one thread holds.
//!
//! Owned by its thread, which alone writes, with plain stores; read by any
//! thread at any time, for diagnostics. Takes no lock. The only allocation, of
//! room for deeper nesting, is made by [`HeldSet::make_room`], before the lock in question
//! is acquired.
//!
//! A signal handler may interrupt its own thread at any instruction, and take and release locks itself.
//! It releases what it took before it returns, so that it leaves the depth, and all slots up to it, as
//! they were. A change is either one store of the word, or made while the word says that there is one
//! ([`MOVING`]): a handler that sees this is [not looked at](super::Context::is_blind) and touches
//! nothing. Whatever else a handler has written is in slots above the depth, which the thread fills
//! after it has said that there is a change.

use std::{
    array,
    panic::Location,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use once_cell::race::OnceBox;

use super::{
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release},
        fence,
    },
    clock::Moment,
    identity::{LockId, SHIFT},
    interrupted, made,
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
    #[inline(always)]
    pub(crate) fn new(lock: LockId, mode: Mode) -> Self {
        const { assert!(Mode::ALL.len() <= 1 << SHIFT, "the modes fit below the number") };
        Self(lock << SHIFT | mode as u64)
    }

    pub(crate) fn lock(self) -> LockId {
        self.0 >> SHIFT
    }

    pub(super) fn to_bits(self) -> u64 {
        self.0
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
}

impl Entry {
    pub(crate) fn kind(&self) -> &'static LockKind {
        made::of(self.tag.lock()).0
    }

    /// Where it was made, if that is known.
    pub(crate) fn created(&self) -> Option<&'static Location<'static>> {
        made::of(self.tag.lock()).1
    }
}

/// Where a [`Entry`] is published, under the [`HeldSet`]'s word.
#[repr(align(32))]
pub(crate) struct Slot {
    tag: AtomicU64,
    /// The chain of what is held up to this lock, itself included. For the owner alone.
    chain: AtomicU64,
    site: Published<Location<'static>>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self {
            tag: AtomicU64::new(0),
            chain: AtomicU64::new(0),
            site: Published::new(),
        }
    }

    /// Each store is a release: whoever sees one of them sees the word that was stored before it,
    /// which is another than the one under which it began to read.
    #[inline(always)]
    pub(super) fn fill(&self, held: &Entry) {
        self.tag.store(held.tag.0, Release);
        interrupted::here();
        self.site.store(held.site);
        interrupted::here();
    }

    /// What is there. By another thread only if it asks afterwards whether it still is.
    pub(super) fn read(&self) -> Option<Entry> {
        Some(Entry {
            tag: Tag(self.tag.load(Acquire) & !SEEN),
            site: self.site.load()?,
        })
    }
}

/// Where a lock will stand once it is held. Found before it is acquired, so that nothing
/// is left to compute when it is.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    word: u64,
    depth: usize,
    chain: u64,
}

impl Place {
    /// Whether nothing is held below it.
    #[inline(always)]
    pub(crate) fn is_first(self) -> bool {
        self.depth == 0
    }

    /// What is held and this lock, as one number.
    #[inline(always)]
    pub(crate) fn chain(self) -> u64 {
        self.chain
    }
}

/// The part of the word that is the depth, or [`DEEP`], or [`MOVING`].
const DEPTH: u64 = 0x7F;
/// So many or more: `parked` says how many.
const DEEP: u64 = 0x7E;
/// The thread is in the middle of a change: other threads look again, and its signal handlers leave all
/// as it is.
const MOVING: u64 = 0x7F;
/// The thread is in a special state. With it, the low byte is a depth at which there is never a slot.
const SPECIAL: u64 = 0x80;
/// The depth and what is out of the ordinary.
const LOW: u64 = 0xFF;
/// One acquisition, in the part above it.
const ONCE: u64 = LOW + 1;
/// A mark on a tag in a slot: the watchdog has seen that this lock is held. No tag that is compared
/// has it, so that such a lock is never released the quick way, and a new one in its place erases it.
const SEEN: u64 = 1 << 62;
/// How often another thread looks again at what is changing meanwhile.
const PATIENCE: usize = if cfg!(loom) { 2 } else { 1_000 };

/// The locks that one thread holds, in the order of acquisition.
pub(crate) struct HeldSet {
    /// How many there are, in the low byte, and whether the thread is in a special state: most
    /// operations are one comparison away from knowing that nothing is out of the ordinary.
    /// Above it, how many acquisitions there have been: what was read between two looks at one word
    /// stood there all the time.
    word: AtomicU64,
    parked: AtomicUsize,
    /// The first of them is vacant for ever, so that there is always one before the next.
    inline: [Slot; INLINE + 1],
    /// The [`Moment`] since when each of these is held that has the [mark](SEEN).
    since: [AtomicU64; INLINE],
    /// Bucket `k` has `INLINE << k` slots, so that any depth is one step away.
    buckets: [OnceBox<Box<[Slot]>>; BUCKETS],
}

impl HeldSet {
    pub(crate) fn new() -> Self {
        Self {
            word: AtomicU64::new(0),
            parked: AtomicUsize::new(0),
            inline: array::from_fn(|_| Slot::new()),
            since: array::from_fn(|_| AtomicU64::new(0)),
            buckets: array::from_fn(|_| OnceBox::new()),
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.depth() == 0
    }

    /// How many there are, whatever is out of the ordinary. By the owner.
    pub(super) fn depth(&self) -> usize {
        self.depth_in(self.word.load(Relaxed))
    }

    #[allow(clippy::cast_possible_truncation, reason = "a byte")]
    fn depth_in(&self, word: u64) -> usize {
        match word & DEPTH {
            DEEP | MOVING => self.parked.load(Acquire),
            depth => depth as usize,
        }
    }

    /// Whether the thread is in the middle of a change. By the owner: then it was interrupted by a
    /// signal, and this is the handler.
    pub(super) fn is_changing(&self) -> bool {
        self.word.load(Relaxed) & DEPTH == MOVING
    }

    /// A change begins. In the word there is this and nothing else, or what is given. Fences for the
    /// compiler alone: what interrupts the thread runs on the same processor.
    #[inline(always)]
    fn begin_change(&self, others: u64) {
        interrupted::here();
        self.word.store(others | MOVING, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
    }

    /// A change ends that was begun with this word, at another depth, not at an ordinary place.
    fn end_change(&self, word: u64, depth: usize) {
        self.parked.store(depth, Release);
        interrupted::here();
        self.word.store((word + ONCE) & !DEPTH | in_word(depth), Release);
        interrupted::here();
    }

    /// Says that the thread is in a special state, or no longer is.
    pub(crate) fn set_special(&self, special: bool) {
        let word = self.word.load(Relaxed);
        interrupted::here();
        self.word.store(word & !SPECIAL | if special { SPECIAL } else { 0 }, Release);
        interrupted::here();
    }

    /// The watchdog looks: what it sees for the first time is held since now, or a little
    /// longer. All that another thread ever writes.
    pub(super) fn note_age(&self, now: Moment) {
        let word = self.word.load(Acquire);
        if word & DEPTH == MOVING {
            // Of an instruction or two, as a rule: the next look will do.
            return;
        }
        let depth = self.depth_in(word);
        for (slot, since) in self.inline[1..].iter().zip(&self.since).take(depth) {
            let tag = slot.tag.load(Relaxed);
            if tag & SEEN == 0 {
                since.store(now.0, Relaxed);
                let _ = slot.tag.compare_exchange(tag, tag | SEEN, Release, Relaxed);
            }
        }
    }

    /// Where a lock would stand, if nothing is out of the ordinary: the thread is in no
    /// special state, and there is room inline.
    #[inline(always)]
    pub(crate) fn place_for(&self, tag: Tag) -> Option<Place> {
        let word = self.word.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a byte")]
        let depth = (word & LOW) as usize;
        if depth >= INLINE {
            return None;
        }
        let chain = match depth {
            0 => tag.0,
            _ => seen::step(self.inline[depth].chain.load(Relaxed), tag.0),
        };
        Some(Place { word, depth, chain })
    }

    /// Where a lock would stand, whatever is out of the ordinary.
    pub(crate) fn any_place_for(&self, tag: Tag) -> Place {
        let word = self.word.load(Relaxed);
        let depth = self.depth_in(word);
        let below = depth.checked_sub(1).and_then(|below| self.slot(below));
        let chain =
            below.map_or(tag.0, |below| seen::step(below.chain.load(Relaxed), tag.0));
        Place { word, depth, chain }
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

    /// Adds a lock that was just acquired, at an ordinary [place](Self::place_for). No
    /// other was acquired or released since that was found, but by signal handlers that have
    /// released theirs.
    #[inline(always)]
    pub(crate) fn push(&self, place: Place, entry: Entry) {
        if place.depth < INLINE {
            let slot = &self.inline[place.depth + 1];
            self.begin_change(0);
            slot.fill(&entry);
            slot.chain.store(place.chain, Relaxed);
            interrupted::here();
            self.word.store(place.word + ONCE + 1, Release);
            interrupted::here();
        }
    }

    /// Adds a lock that was just acquired, whatever is out of the ordinary.
    pub(crate) fn push_anywhere(&self, entry: Entry) {
        let place = self.any_place_for(entry.tag);
        if place.word & DEPTH == MOVING {
            return;
        }
        // Without room, the lock goes unseen.
        if let Some(slot) = self.slot(place.depth) {
            self.begin_change(place.word & SPECIAL);
            slot.fill(&entry);
            slot.chain.store(place.chain, Relaxed);
            self.end_change(place.word, place.depth + 1);
        }
    }

    /// Removes the lock that was acquired last, if it is this one and nothing is out of
    /// the ordinary. Whether it was so.
    #[inline(always)]
    pub(crate) fn pop(&self, tag: Tag) -> bool {
        let word = self.word.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a byte")]
        let depth = (word & LOW) as usize;
        if depth > INLINE || self.inline[depth].tag.load(Relaxed) != tag.0 {
            return false;
        }
        interrupted::here();
        self.word.store(word - 1, Release);
        interrupted::here();
        true
    }

    /// Removes a lock, the last one of this tag, wherever it is, and says what was there.
    #[cold]
    pub(crate) fn remove(&self, tag: Tag) -> Option<Entry> {
        let word = self.word.load(Relaxed);
        if word & DEPTH == MOVING {
            return None;
        }
        let depth = self.depth_in(word);
        let entry_at = |at: usize| self.slot(at).and_then(Slot::read);
        let found = (0..depth).rev().find(|&at| entry_at(at).is_some_and(|it| it.tag == tag))?;
        let removed = entry_at(found);
        self.begin_change(word & SPECIAL);
        if found + 1 < depth {
            // Those above it move down, each with the chain that is now before it. Who sees any of
            // it sees that they move.
            let before = found.checked_sub(1).and_then(|below| self.slot(below));
            let mut chain = before.map(|below| below.chain.load(Relaxed));
            for at in found + 1..depth {
                if let (Some(to), Some(from), Some(entry)) =
                    (self.slot(at - 1), self.slot(at), entry_at(at))
                {
                    to.fill(&entry);
                    if let (Some(new), Some(old)) = (self.since.get(at - 1), self.since.get(at)) {
                        new.store(old.load(Relaxed), Relaxed);
                        to.tag.store(from.tag.load(Relaxed), Release);
                    }
                    let own = chain.map_or(entry.tag.0, |chain| seen::step(chain, entry.tag.0));
                    to.chain.store(own, Relaxed);
                    interrupted::here();
                    chain = Some(own);
                }
            }
        }
        self.end_change(word, depth - 1);
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
        self.word.store(0, Release);
    }

    /// Everything held. Read by another thread it is a glance: each entry is true, but they
    /// may not all have been held at one moment.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.iter_with_age().map(|(entry, _)| entry)
    }

    /// The only one that is held, if there is one. By the owner.
    pub(super) fn only(&self) -> Option<Entry> {
        if self.word.load(Relaxed) & DEPTH != 1 {
            return None;
        }
        self.inline[1].read()
    }

    /// The same, and since when each is held.
    pub(super) fn iter_with_age(&self) -> impl Iterator<Item = (Entry, Moment)> {
        (0..).map_while(|at| self.look(at))
    }

    /// The lock at a depth, and since when it is held. Nothing if there is none, or another each
    /// time it is looked at.
    fn look(&self, at: usize) -> Option<(Entry, Moment)> {
        for _ in 0..PATIENCE {
            let word = self.word.load(Acquire);
            if word & DEPTH != MOVING {
                if at >= self.depth_in(word) {
                    return None;
                }
                let slot = self.slot(at)?;
                let seen = slot.read().map(|entry| (entry, self.since(at, slot)));
                fence(Acquire);
                // The tag once more, as a handler's acquisitions may be counted twice.
                let tag = Tag(slot.tag.load(Relaxed) & !SEEN);
                let is_still = seen.is_none_or(|(entry, _)| entry.tag == tag);
                if is_still && self.word.load(Relaxed) == word {
                    return seen;
                }
            }
            #[cfg(not(loom))]
            std::hint::spin_loop();
        }
        None
    }

    /// Since when the lock at a depth is held. Not known of those without room inline.
    fn since(&self, at: usize, slot: &Slot) -> Moment {
        match self.since.get(at) {
            Some(since) if slot.tag.load(Acquire) & SEEN != 0 => Moment(since.load(Relaxed)),
            _ => Moment::UNKNOWN,
        }
    }

    fn slot(&self, at: usize) -> Option<&Slot> {
        if at < INLINE { self.inline.get(at + 1) } else { self.deep_slot(at) }
    }

    #[cold]
    fn deep_slot(&self, at: usize) -> Option<&Slot> {
        let (bucket, offset) = position(at);
        self.buckets.get(bucket)?.get()?.get(offset)
    }
}

/// A depth as it stands in the word.
fn in_word(depth: usize) -> u64 {
    (depth as u64).min(DEEP)
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
        let site = match lock {
            1 => Location::caller(),
            _ => const { Location::caller() },
        };
        Entry { tag: Tag::new(lock, Mode::Exclusive), site }
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

    /// The owner releases what it took first, so that the other moves down; another thread looks.
    #[test]
    fn loom_release_below_and_look() {
        loom::model(|| {
            let held = Arc::new(HeldSet::new());
            let (first, second) = (entry(1), entry(2));
            held.push(held.place_for(first.tag).unwrap(), first);
            held.push(held.place_for(second.tag).unwrap(), second);
            let reader = loom::thread::spawn({
                let held = Arc::clone(&held);
                move || {
                    for seen in held.iter() {
                        let taken = if seen.tag == first.tag { first } else { second };
                        assert_eq!((seen.tag, seen.site), (taken.tag, taken.site));
                    }
                }
            });
            assert!(held.remove(first.tag).is_some());
            reader.join().unwrap();
            assert!(held.pop(second.tag));
        });
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn held(lock: LockId, mode: Mode) -> Entry {
        let tag = Tag::new(lock, mode);
        let here = Location::caller();
        Entry { tag, site: here }
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

    /// The watchdog marks while the owner releases one lock and takes another in its place: whatever it
    /// has marked, each is released, and what has an age is what is held. (Not a model of loom's, which
    /// does not keep the order in which one word is changed by a store and by an exchange.)
    #[test]
    fn a_mark_is_gone_with_its_lock() {
        let set = HeldSet::new();
        let entries = [held(1, Mode::Exclusive), held(2, Mode::Shared)];
        let done = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut now = 1;
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    set.note_age(Moment(now));
                    for (seen, _) in set.iter_with_age() {
                        assert!(entries.iter().any(|it| it.tag == seen.tag));
                    }
                    now += 1;
                }
            });
            let mut marked = 0;
            for round in 0..300_000 {
                let entry = entries[round % 2];
                set.push(set.place_for(entry.tag).unwrap(), entry);
                assert_eq!(set.iter().map(|it| it.tag).collect::<Vec<_>>(), [entry.tag]);
                if !set.pop(entry.tag) {
                    marked += 1;
                    assert!(set.remove(entry.tag).is_some());
                }
                assert!(set.is_empty());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            assert!(marked > 0);
        });
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
                    let is_ordinary = !was_special && last + 1 == model.len() && last < INLINE && model[last].1 == 0;
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
