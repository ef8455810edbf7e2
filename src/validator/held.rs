//! The locks that one thread holds.
//!
//! Owned by its thread, which alone changes it, with plain stores; any thread may read it at any
//! time, for diagnostics. Takes no lock. Allocates only in [`HeldSet::make_room`], before the lock in
//! question is acquired.
//!
//! # Readers
//!
//! [`HeldSet::word`] works as a seqlock: a slot's contents belong together if the word is the same
//! before and after they are read.
//!
//! # Signal handlers
//!
//! A signal may interrupt the thread between any two instructions, and its handler may take and
//! release locks. It releases what it took before it returns, so it leaves the depth and all slots
//! up to it as they were; only slots above the depth may differ. Therefore every change is either
//! one store of the word, or is made while the word says [`CHANGING`]. A handler that sees
//! `CHANGING` is [blind](super::Context::is_blind) and leaves the set alone.

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

/// How many locks can be held without an allocation.
const INLINE: usize = if cfg!(loom) { 2 } else { 16 };
/// Room for `INLINE << BUCKETS` locks.
const BUCKETS: usize = 28;

/// A lock and a mode in one word. Chains are made of these.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Tag(u64);

impl Tag {
    #[inline]
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

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn mode(self) -> Mode {
        Mode::ALL[(self.0 & ((1 << SHIFT) - 1)) as usize % Mode::ALL.len()]
    }

    /// Marks the tag of a guard whose lock was poisoned already. No tag in a held set has the mark,
    /// so the release of such a guard always takes the slow path.
    pub(crate) fn poisoned(self) -> Self {
        Self(self.0 | 1 << 63)
    }

    /// Returns the tag without the mark, as it is in the held set.
    pub(crate) fn in_set(self) -> Self {
        Self(self.0 & !(1 << 63))
    }

    /// Returns the tag under which the lock is held after an acquisition in this mode.
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

    /// Returns `true` if another thread may release it in a way that its thread does not see.
    pub(super) fn may_be_released_elsewhere(&self) -> bool {
        // Of a lock whose kind is not known, nothing is claimed that would be wrong if it were such.
        let kind = self.kind();
        made::is_unknown(kind) || kind.guards_can_be_sent()
    }

    /// Where it was created, if known.
    pub(crate) fn created(&self) -> Option<&'static Location<'static>> {
        made::of(self.tag.lock()).1
    }
}

/// Where an [`Entry`] is published, guarded by [`HeldSet::word`].
#[repr(align(32))]
pub(crate) struct Slot {
    tag: AtomicU64,
    /// The key of the chain up to and including this lock. Only the owner reads it.
    chain: AtomicU64,
    site: Published<Location<'static>>,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { tag: AtomicU64::new(0), chain: AtomicU64::new(0), site: Published::new() }
    }

    /// Publishes an entry. Every store is a release: a reader that sees one of them also sees the
    /// word stored before, which differs from the one that it began with.
    #[inline]
    pub(super) fn fill(&self, held: &Entry) {
        self.tag.store(held.tag.0, Release);
        interrupted::here();
        self.site.store(Some(held.site));
        interrupted::here();
    }

    /// Reads the entry. Another thread must check afterwards that it has not changed meanwhile.
    pub(super) fn read(&self) -> Option<Entry> {
        Some(Entry { tag: Tag(self.tag.load(Acquire) & !SEEN), site: self.site.load()? })
    }
}

/// Where a lock will stand once it is held. Found before the acquisition, so that nothing is left
/// to compute after it.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    word: u64,
    depth: usize,
    chain: u64,
}

impl Place {
    /// Returns `true` if nothing is held below it.
    #[inline]
    pub(crate) fn is_first(self) -> bool {
        self.depth == 0
    }

    /// The key of the chain that the lock would end.
    #[inline]
    pub(crate) fn chain(self) -> u64 {
        self.chain
    }
}

/// The bits of the word with the depth, or [`DEEP`], or [`CHANGING`].
const DEPTH: u64 = 0x7F;
/// The depth is this or more, and stands in `parked`.
const DEEP: u64 = 0x7E;
/// The owner is in the middle of a change. Other threads read again; its signal handlers leave the
/// set alone.
const CHANGING: u64 = 0x7F;
/// The thread is in a special state. The low byte is then a depth that has no inline slot, which
/// keeps the fast paths away.
const SPECIAL: u64 = 0x80;
/// The depth and the special state.
const LOW: u64 = 0xFF;
/// One acquisition, in the counter above the low byte.
const ONCE: u64 = LOW + 1;
/// Marks the tag in a slot as seen by the watchdog. No tag that is compared has the mark, so the
/// release of such a lock takes the slow path; the next lock in the slot overwrites it.
const SEEN: u64 = 1 << 62;
/// How often another thread reads a slot again that keeps changing.
const MAX_READS: usize = if cfg!(loom) { 2 } else { 1_000 };

/// The locks that one thread holds, in the order of acquisition.
pub(crate) struct HeldSet {
    /// | bits | meaning |
    /// |------|---------|
    /// | 0..7 | the depth, or [`DEEP`], or [`CHANGING`] |
    /// | 7    | [`SPECIAL`] |
    /// | 8..  | counts acquisitions: what was read under one word was there all the time |
    ///
    /// Most operations know from one comparison of the low byte that nothing is special.
    word: AtomicU64,
    /// The depth, where the word has no room for it or is changing.
    parked: AtomicUsize,
    /// Slot 0 stays vacant, so that every lock has a slot before its own.
    inline: [Slot; INLINE + 1],
    /// Since when each lock that is marked [`SEEN`] is held: a [`Moment`].
    since: [AtomicU64; INLINE],
    /// Bucket `k` has `INLINE << k` slots, so any depth is one step away.
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

    /// The number of held locks. For the owner.
    pub(super) fn depth(&self) -> usize {
        self.depth_in(self.word.load(Relaxed))
    }

    #[allow(clippy::cast_possible_truncation, reason = "a byte")]
    fn depth_in(&self, word: u64) -> usize {
        match word & DEPTH {
            DEEP | CHANGING => self.parked.load(Acquire),
            depth => depth as usize,
        }
    }

    /// Returns `true` if the owner is in the middle of a change. If the owner asks, a signal has
    /// interrupted it and this is the handler.
    pub(super) fn is_changing(&self) -> bool {
        self.word.load(Relaxed) & DEPTH == CHANGING
    }

    /// Begins a change. A fence for the compiler suffices: a handler runs on the same processor.
    #[inline]
    fn begin_change(&self, special: u64) {
        interrupted::here();
        self.word.store(special | CHANGING, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
    }

    /// Ends a change that began under `word`, with a new depth.
    fn end_change(&self, word: u64, depth: usize) {
        self.parked.store(depth, Release);
        interrupted::here();
        self.word.store((word + ONCE) & !DEPTH | in_word(depth), Release);
        interrupted::here();
    }

    /// Sets whether the thread is in a special state.
    pub(crate) fn set_special(&self, special: bool) {
        let word = self.word.load(Relaxed);
        interrupted::here();
        self.word.store(word & !SPECIAL | if special { SPECIAL } else { 0 }, Release);
        interrupted::here();
    }

    /// Lets the watchdog date what it sees for the first time: held since now, or a little longer.
    /// The only write by another thread.
    pub(super) fn note_age(&self, now: Moment) {
        let word = self.word.load(Acquire);
        if word & DEPTH == CHANGING {
            // Usually for an instruction or two. The next pass will see it.
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

    /// Returns where a lock would stand. Fast path: `None` if the thread is in a special state or
    /// no inline slot is left.
    #[inline]
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

    /// Returns where a lock would stand, in any state and at any depth.
    pub(crate) fn any_place_for(&self, tag: Tag) -> Place {
        let word = self.word.load(Relaxed);
        let depth = self.depth_in(word);
        let below = depth.checked_sub(1).and_then(|below| self.slot(below));
        let chain = below.map_or(tag.0, |below| seen::step(below.chain.load(Relaxed), tag.0));
        Place { word, depth, chain }
    }

    /// Makes room for one more lock. Allocates at depths 16, 32, 64, ...
    pub(super) fn make_room(&self) {
        let depth = self.depth();
        if depth >= INLINE {
            let (bucket, _) = position(depth);
            self.buckets[bucket]
                .get_or_init(|| Box::new((0..INLINE << bucket).map(|_| Slot::new()).collect()));
        }
    }

    /// Adds a lock that was just acquired, at its [place](Self::place_for). Since that was found,
    /// the thread has acquired and released nothing, except in signal handlers.
    #[inline]
    pub(crate) fn push(&self, place: Place, entry: Entry) {
        if let Some(slot) = self.inline.get(place.depth + 1) {
            self.begin_change(0);
            slot.fill(&entry);
            slot.chain.store(place.chain, Relaxed);
            interrupted::here();
            self.word.store(place.word + ONCE + 1, Release);
            interrupted::here();
        }
    }

    /// Adds a lock that was just acquired, in any state and at any depth.
    pub(crate) fn push_anywhere(&self, entry: Entry) {
        let place = self.any_place_for(entry.tag);
        if place.word & DEPTH == CHANGING {
            return;
        }
        // Without room, the lock is not tracked.
        if let Some(slot) = self.slot(place.depth) {
            self.begin_change(place.word & SPECIAL);
            slot.fill(&entry);
            slot.chain.store(place.chain, Relaxed);
            self.end_change(place.word, place.depth + 1);
        }
    }

    /// Removes the lock that was acquired last. Fast path: does nothing and returns `false` if that
    /// is another lock or the thread is in a special state.
    #[inline]
    pub(crate) fn pop(&self, tag: Tag) -> bool {
        let word = self.word.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a byte")]
        let depth = (word & LOW) as usize;
        match self.inline.get(depth) {
            Some(slot) if slot.tag.load(Relaxed) == tag.0 => {
                interrupted::here();
                self.word.store(word - 1, Release);
                interrupted::here();
                true
            }
            _ => false,
        }
    }

    /// Removes the last lock with this tag, wherever it stands, and returns it.
    #[cold]
    pub(crate) fn remove(&self, tag: Tag) -> Option<Entry> {
        let word = self.word.load(Relaxed);
        if word & DEPTH == CHANGING {
            return None;
        }
        let depth = self.depth_in(word);
        let entry_at = |at: usize| self.slot(at).and_then(Slot::read);
        let found = (0..depth).rev().find(|&at| entry_at(at).is_some_and(|it| it.tag == tag))?;
        let removed = entry_at(found);
        self.begin_change(word & SPECIAL);
        if found + 1 < depth {
            // Those above it move down, and get the chains that they now end.
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

    /// Returns the lock with this tag that was acquired last.
    #[cold]
    pub(crate) fn last_of(&self, tag: Tag) -> Option<Entry> {
        self.iter().filter(|entry| entry.tag == tag).last()
    }

    /// Removes a lock in every mode. It was destroyed while held, because its guard was forgotten.
    pub(crate) fn purge(&self, lock: LockId) {
        for mode in [Mode::Exclusive, Mode::Shared, Mode::Upgradable] {
            while self.remove(Tag::new(lock, mode)).is_some() {}
        }
    }

    /// Removes everything. In a fork, the thread does not exist.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn clear(&self) {
        self.parked.store(0, Release);
        self.word.store(0, Release);
    }

    /// Iterates over what is held. In another thread, each entry is true, but they may not all have
    /// been held at the same moment.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.iter_with_age().map(|(entry, _)| entry)
    }

    /// Returns the held lock if there is exactly one. For the owner.
    pub(super) fn only(&self) -> Option<Entry> {
        if self.word.load(Relaxed) & DEPTH != 1 {
            return None;
        }
        self.inline[1].read()
    }

    /// The same, with the moment since when each is held.
    pub(super) fn iter_with_age(&self) -> impl Iterator<Item = (Entry, Moment)> {
        (0..).map_while(|at| self.read_at(at))
    }

    /// Reads the lock at a depth. `None` if there is none, or if it keeps changing.
    fn read_at(&self, at: usize) -> Option<(Entry, Moment)> {
        for _ in 0..MAX_READS {
            let word = self.word.load(Acquire);
            if word & DEPTH != CHANGING {
                if at >= self.depth_in(word) {
                    return None;
                }
                let slot = self.slot(at)?;
                let seen = slot.read().map(|entry| (entry, self.since(at, slot)));
                fence(Acquire);
                // A handler between `place_for` and the end of `push` lets one counter value occur
                // twice, so the tag is compared as well.
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

    /// Since when the lock at a depth is held. Unknown beyond the inline slots.
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

/// The bits of a depth in the word.
fn in_word(depth: usize) -> u64 {
    (depth as u64).min(DEEP)
}

/// The bucket of a depth from `INLINE` on, and the index in it.
fn position(at: usize) -> (usize, usize) {
    let bucket = (at / INLINE).ilog2() as usize;
    (bucket, at - (INLINE << bucket))
}

#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;

    use super::*;

    /// A lock with a site of its own, so that a torn read shows.
    fn entry(lock: LockId) -> Entry {
        let site = match lock {
            1 => Location::caller(),
            _ => const { Location::caller() },
        };
        Entry { tag: Tag::new(lock, Mode::Exclusive), site }
    }

    /// The owner pushes and pops while another thread reads: no read is torn.
    #[test]
    fn loom_push_pop_and_read() {
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

    /// The owner removes its first lock, so that the second moves down, while another thread reads.
    #[test]
    fn loom_remove_below_and_read() {
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

    /// The watchdog marks slots while the owner replaces one lock by another: every lock can be
    /// released, and every age belongs to a lock that is held. Not a loom model, because loom does
    /// not keep the modification order of plain stores and exchanges on one atomic.
    #[test]
    fn a_mark_ends_with_its_hold() {
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
        /// Against a vector: any depth, any order of release, one lock several times, and a
        /// watchdog in between.
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
                // Acquisitions and releases leave the special state alone.
                let next = Tag::new(50, Mode::Exclusive);
                prop_assert_eq!(set.place_for(next).is_some(), !was_special && model.len() < INLINE);
                set.set_special(special);
                was_special = special;
                let seen = set.iter_with_age().map(|(held, since)| (held.tag, since.0));
                prop_assert_eq!(seen.collect::<Vec<_>>(), model.clone());
                prop_assert_eq!(set.is_empty(), model.is_empty());
                // The place of the next lock, and its chain.
                let tags = model.iter().map(|(tag, _)| tag.0).chain([next.0]);
                let place = set.any_place_for(next);
                prop_assert_eq!(Some(place.chain()), tags.reduce(seen::step));
                prop_assert_eq!(place.is_first(), model.is_empty());
            }
            prop_assert!(set.remove(Tag::new(99, Mode::Exclusive)).is_none());
            // A destroyed lock is removed as often as it was held.
            set.purge(3);
            model.retain(|(tag, _)| tag.lock() != 3);
            let held = set.iter().map(|held| held.tag);
            prop_assert!(held.eq(model.iter().map(|&(tag, _)| tag)));
            // A fork clears the sets of the parent's threads.
            #[cfg(unix)]
            {
                set.clear();
                prop_assert!(set.is_empty());
            }
        }
    }
}
