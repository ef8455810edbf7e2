//! The locks that one thread holds.
//!
//! Owned by its thread, which alone changes it, with plain stores; any thread may read it at any
//! time, for diagnostics. Takes no lock. Allocates only in [`HeldSet::make_room`], before the lock
//! in question is acquired.
//!
//! # The word
//!
//! [`HeldSet::word`] has the number of held locks, and 56 bits of a hash of these locks in order:
//! their *chain*. Each slot stores the word below its lock. An acquisition stores the new word and
//! fills the slot; a release stores the word below again. So the word is also a checksum: a slot
//! was read consistently if the word below it, extended by its tag, gives the word above it.
//!
//! # Signal handlers
//!
//! A signal may interrupt the thread between any two instructions, and its handler may take and
//! release locks. It releases what it took before it returns, so it leaves the word and all slots
//! up to the depth unchanged; only slots above the depth may differ. An acquisition stores the word
//! first, so a handler's locks land above a slot that is not filled yet, and the checksum rejects
//! what the handler reads from that slot. Other changes are made while the word says [`CHANGING`].
//! A handler that sees this is [suspended](crate::validator::Context::is_suspended) and leaves the
//! set alone.
//!
//! `docs/decisions/held-set.md` has the designs that were not chosen.

use std::{
    array,
    panic::Location,
    sync::atomic::{Ordering::SeqCst, compiler_fence},
};

use once_cell::race::OnceBox;

use crate::{
    finding::{LockKind, Mode},
    validator::{
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release},
        },
        atomic_ref::Published,
        chain_cache,
        clock::Moment,
        interrupted,
        lock_id::{LockId, SHIFT, creation_sites},
    },
};

/// The number of locks that can be held without an allocation.
const INLINE: usize = if cfg!(loom) { 2 } else { 16 };
/// The capacity is `INLINE << BUCKETS` locks.
const BUCKETS: usize = 28;

/// A lock and a mode in one word: the element of a chain.
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

    pub(in crate::validator) fn to_bits(self) -> u64 {
        self.0
    }

    pub(in crate::validator) const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(crate) fn mode(self) -> Mode {
        Mode::ALL[(self.0 & ((1 << SHIFT) - 1)) as usize % Mode::ALL.len()]
    }

    /// Marks the tag of a guard whose lock was already poisoned. No tag in a held set has the mark,
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

/// A lock that is held or waited for, and the location of its acquisition.
#[derive(Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) tag: Tag,
    pub(crate) site: &'static Location<'static>,
}

impl Entry {
    pub(crate) fn kind(&self) -> &'static LockKind {
        creation_sites::of(self.tag.lock()).0
    }

    /// The location where the lock was created, if known.
    pub(crate) fn created(&self) -> Option<&'static Location<'static>> {
        creation_sites::of(self.tag.lock()).1
    }
}

/// An [`Entry`] that other threads can read.
#[repr(align(32))]
pub(crate) struct Slot {
    tag: AtomicU64,
    site: Published<Location<'static>>,
    /// The word before the lock was added, without [`SPECIAL`].
    below: AtomicU64,
}

impl Slot {
    pub(crate) fn new() -> Self {
        Self { tag: AtomicU64::new(0), site: Published::new(), below: AtomicU64::new(0) }
    }

    /// Publishes an entry. The site is stored first, so that it is there when the checksum
    /// validates the tag.
    #[inline(always)]
    pub(in crate::validator) fn fill(&self, held: &Entry) {
        self.site.store(held.site);
        interrupted::here();
        self.tag.store(held.tag.0, Release);
        interrupted::here();
    }

    #[inline(always)]
    fn fill_above(&self, held: &Entry, below: u64) {
        self.fill(held);
        self.below.store(below, Release);
        interrupted::here();
    }

    /// Reads the entry, which may be changing.
    pub(in crate::validator) fn read(&self) -> Option<Entry> {
        let tag = Tag(self.tag.load(Acquire) & !SEEN);
        Some(Entry { tag, site: self.site.load()? })
    }
}

/// The index at which a lock will stand once it is held, with the words around it. Computed before
/// the acquisition, so that nothing is left to compute afterwards.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    depth: usize,
    /// The words before and after the acquisition.
    before: u64,
    after: u64,
}

impl Place {
    /// Returns `true` if no lock is held below and the thread keeps no
    /// [log](super::acquisition_log), so that there is nothing to check.
    #[inline(always)]
    pub(crate) fn is_unremarkable(self) -> bool {
        self.before == 0
    }

    /// Returns the key of the chain that ends with the lock.
    #[inline(always)]
    pub(crate) fn chain(self) -> u64 {
        self.after
    }
}

/// The bits of the word with the depth, or [`DEEP`], or [`CHANGING`].
const DEPTH: u64 = 0x7F;
/// The depth is this or more, and is stored in `parked`.
const DEEP: u64 = 0x7E;
/// The owner is making a change that takes more stores than an acquisition. Other threads retry;
/// the owner's signal handlers leave the set alone.
const CHANGING: u64 = 0x7F;
/// The thread is in a special state. The low byte is then no depth of an inline slot, which keeps
/// operations off the fast path.
const SPECIAL: u64 = 0x80;
/// The bits of the depth and the special state.
const LOW: u64 = 0xFF;
/// The word of a thread that holds nothing and keeps a [log](super::acquisition_log). It makes the
/// chain of a first lock one that is looked up like any other, at no cost for other threads.
const LOGGED: u64 = 1 << 63;
/// Marks the tag in a slot as seen by the watchdog. Tags in comparisons never have the mark, so the
/// release of such a lock takes the slow path. The next lock in the slot overwrites it.
const SEEN: u64 = 1 << 62;
/// How often another thread rereads a slot that keeps changing.
const MAX_READS: usize = if cfg!(any(loom, shuttle)) { 2 } else { 1_000 };

/// The slot is being changed.
struct Changing;

/// The locks that one thread holds, in the order of acquisition.
pub(crate) struct HeldSet {
    /// | bits | meaning |
    /// |------|---------|
    /// | 0..7 | the depth, or [`DEEP`], or [`CHANGING`] |
    /// | 7    | [`SPECIAL`] |
    /// | 8..  | the chain: a hash of all tags, in order |
    ///
    /// One comparison of the low byte tells most operations that nothing is special.
    word: AtomicU64,
    /// The depth, while the word has no room for it or is changing.
    parked: AtomicUsize,
    /// Slot 0 stays vacant, so that every lock has a slot before its own.
    inline: [Slot; INLINE + 1],
    /// The [`Moment`] since which each lock marked [`SEEN`] has been held.
    since: [AtomicU64; INLINE],
    /// Bucket `k` has `INLINE << k` slots, so every depth is found in one step.
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

    /// Returns `true` if nothing is held and the thread is in no special state.
    #[inline]
    pub(in crate::validator) fn is_idle(&self) -> bool {
        self.word.load(Relaxed) & LOW == 0
    }

    /// Returns the chain of all held locks. For the owner.
    pub(in crate::validator) fn chain(&self) -> u64 {
        self.word.load(Relaxed) & !SPECIAL
    }

    /// The number of held locks. For the owner.
    pub(in crate::validator) fn depth(&self) -> usize {
        self.depth_in(self.word.load(Relaxed))
    }

    #[allow(clippy::cast_possible_truncation, reason = "a byte")]
    fn depth_in(&self, word: u64) -> usize {
        match word & DEPTH {
            DEEP | CHANGING => self.parked.load(Acquire),
            depth => depth as usize,
        }
    }

    /// Returns `true` if the word says [`CHANGING`]. If the owner asks, it is a signal handler that
    /// has interrupted the change.
    pub(in crate::validator) fn is_changing(&self) -> bool {
        self.word.load(Relaxed) & DEPTH == CHANGING
    }

    /// Begins a change of this word at this depth. A compiler fence suffices, because a handler
    /// runs on the same thread.
    fn begin_change(&self, word: u64, depth: usize) {
        self.parked.store(depth, Relaxed);
        interrupted::here();
        self.word.store(word & SPECIAL | CHANGING, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
    }

    /// Ends a change with a new word and depth.
    fn end_change(&self, word: u64, depth: usize) {
        self.parked.store(depth, Release);
        interrupted::here();
        self.word.store(word, Release);
        interrupted::here();
    }

    /// Sets whether the thread is in a special state.
    pub(crate) fn set_special(&self, special: bool) {
        let word = self.word.load(Relaxed);
        interrupted::here();
        self.word.store(word & !SPECIAL | if special { SPECIAL } else { 0 }, Release);
        interrupted::here();
    }

    /// Sets whether the thread keeps a log, so that its first locks are looked up. For the owner.
    /// Does nothing while a lock is held, because all chains start from this word.
    pub(in crate::validator) fn set_logged(&self, logged: bool) {
        let word = self.word.load(Relaxed);
        if word & DEPTH != 0 {
            return;
        }
        self.begin_change(word, 0);
        let base = if logged { LOGGED } else { 0 };
        self.inline[1].below.store(base, Relaxed);
        self.end_change(word & LOW | base, 0);
    }

    /// Returns `true` if the thread's first locks are looked up. For the owner.
    #[inline]
    pub(in crate::validator) fn is_logged(&self) -> bool {
        self.inline[1].below.load(Relaxed) != 0
    }

    /// Lets the watchdog date the locks that it sees for the first time, as held since now. The
    /// only write by another thread.
    pub(in crate::validator) fn note_age(&self, now: Moment) {
        let word = self.word.load(Acquire);
        if word & DEPTH == CHANGING {
            // The change usually takes an instruction or two. The next pass will see the locks.
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

    /// Returns the place of the next lock. Fast path: `None` if the thread is in a special state or
    /// no inline slot is left.
    #[inline(always)]
    pub(crate) fn place_for(&self, tag: Tag) -> Option<Place> {
        let word = self.word.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a byte")]
        let depth = (word & LOW) as usize;
        if depth >= INLINE {
            return None;
        }
        let chain = if word == 0 { first_chain(tag) } else { chain_above(word, tag) };
        Some(Place { depth, before: word, after: chain + (depth as u64 + 1) })
    }

    /// Returns the place of the next lock, in any state and at any depth.
    pub(crate) fn any_place_for(&self, tag: Tag) -> Place {
        let word = self.word.load(Relaxed);
        let (depth, before) = (self.depth_in(word), word & !SPECIAL);
        Place { depth, before, after: word_above(before, tag, depth + 1) }
    }

    /// Returns `true` at depths 16, 32, 64, ..., where one more lock may need an allocation.
    pub(in crate::validator) fn is_full(&self) -> bool {
        let depth = self.depth();
        depth >= INLINE && depth.is_power_of_two()
    }

    /// Makes room for one more lock. Allocates at depths 16, 32, 64, ...
    pub(in crate::validator) fn make_room(&self) {
        let depth = self.depth();
        if depth >= INLINE {
            let (bucket, _) = position(depth);
            self.buckets[bucket]
                .get_or_init(|| Box::new((0..INLINE << bucket).map(|_| Slot::new()).collect()));
        }
    }

    /// Adds a lock that was just acquired, at its [place](Self::place_for). Since then, only signal
    /// handlers may have acquired and released locks in this thread.
    #[inline(always)]
    pub(crate) fn push(&self, place: Place, entry: Entry) {
        if place.depth < INLINE {
            self.word.store(place.after, Release);
            interrupted::here();
            if place.before == 0 {
                // Its slot already stores the word below, which only `set_logged` changes.
                self.inline[1].fill(&entry);
            } else {
                self.inline[place.depth + 1].fill_above(&entry, place.before);
            }
        }
    }

    /// Adds a lock that was just acquired, in any state and at any depth.
    pub(crate) fn push_anywhere(&self, entry: Entry) {
        let Place { depth, before, after } = self.any_place_for(entry.tag);
        if self.is_changing() {
            return;
        }
        // Without room, the lock is not tracked.
        if let Some(slot) = self.slot(depth) {
            let word = self.word.load(Relaxed);
            self.begin_change(word, depth);
            slot.fill_above(&entry, before);
            self.end_change(word & SPECIAL | after, depth + 1);
        }
    }

    /// Removes the lock acquired last. Fast path: does nothing and returns `false` if that is
    /// another lock or the thread is in a special state.
    #[inline(always)]
    pub(crate) fn pop(&self, tag: Tag) -> bool {
        let word = self.word.load(Relaxed);
        #[allow(clippy::cast_possible_truncation, reason = "a byte")]
        let depth = (word & LOW) as usize;
        if depth > INLINE {
            return false;
        }
        let slot = &self.inline[depth];
        let (top, below) = (slot.tag.load(Relaxed), slot.below.load(Relaxed));
        if top != tag.0 {
            return false;
        }
        interrupted::here();
        self.word.store(below, Release);
        interrupted::here();
        true
    }

    /// Removes the last lock with this tag, at any depth, and returns it.
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
        self.begin_change(word, depth);
        let mut below = self.slot(found)?.below.load(Relaxed);
        for at in found + 1..depth {
            // The locks above move down by one, each onto a new word.
            if let (Some(to), Some(from), Some(entry)) =
                (self.slot(at - 1), self.slot(at), entry_at(at))
            {
                to.fill_above(&entry, below);
                if let (Some(new), Some(old)) = (self.since.get(at - 1), self.since.get(at)) {
                    new.store(old.load(Relaxed), Relaxed);
                    to.tag.store(from.tag.load(Relaxed), Release);
                }
                below = word_above(below, entry.tag, at);
            }
        }
        self.end_change(word & SPECIAL | below, depth - 1);
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

    /// Removes everything. For threads that do not exist in a fork.
    #[cfg(all(unix, not(loom)))]
    pub(in crate::validator) fn clear(&self) {
        self.parked.store(0, Release);
        self.word.store(0, Release);
    }

    /// Iterates over the held locks. Read from another thread, each entry is valid, but they may
    /// not all have been held at the same time.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Entry> {
        self.iter_with_age().map(|(entry, _)| entry)
    }

    /// Returns `true` if all held locks can be read. If not, this is a signal handler that has
    /// interrupted an acquisition. For the owner.
    #[inline]
    pub(in crate::validator) fn is_whole(&self) -> bool {
        let word = self.word.load(Relaxed) & !SPECIAL;
        let depth = self.depth_in(word);
        let Some(slot) = depth.checked_sub(1).and_then(|top| self.slot(top)) else { return true };
        let tag = Tag(slot.tag.load(Relaxed) & !SEEN);
        word_above(slot.below.load(Relaxed), tag, depth) == word
    }

    /// Returns the held lock if there is exactly one. For the owner.
    pub(in crate::validator) fn only(&self) -> Option<Entry> {
        if self.word.load(Relaxed) & DEPTH != 1 {
            return None;
        }
        self.inline[1].read()
    }

    /// As [`iter`](Self::iter), with the moment since which each lock is held.
    pub(in crate::validator) fn iter_with_age(&self) -> impl Iterator<Item = (Entry, Moment)> {
        (0..).map_while(|at| self.read_at(at))
    }

    /// Reads the lock at a depth. `None` beyond the last one, or if it keeps changing.
    fn read_at(&self, at: usize) -> Option<(Entry, Moment)> {
        for _ in 0..MAX_READS {
            if let Ok(read) = self.try_read(at) {
                return read;
            }
            #[cfg(not(loom))]
            std::hint::spin_loop();
        }
        None
    }

    /// Reads the lock at a depth, if there is one. Fails during a change.
    fn try_read(&self, at: usize) -> Result<Option<(Entry, Moment)>, Changing> {
        let word = self.word.load(Acquire);
        if word & DEPTH == CHANGING {
            return Err(Changing);
        }
        let depth = self.depth_in(word);
        if at >= depth {
            return Ok(None);
        }
        let Some(slot) = self.slot(at) else { return Ok(None) };
        let entry = slot.read().ok_or(Changing)?;
        let since = self.since(at, slot);
        let below = slot.below.load(Acquire);
        let next = if at + 1 < depth { self.slot(at + 1) } else { None };
        let above = next.map_or(word & !SPECIAL, |next| next.below.load(Acquire));
        let adds_up = word_above(below, entry.tag, at + 1) == above;
        if adds_up && self.word.load(Relaxed) == word {
            Ok(Some((entry, since)))
        } else {
            Err(Changing)
        }
    }

    /// Returns the moment since which the lock at a depth is held. Unknown beyond the inline slots.
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

/// Returns the word with one more lock, the `depth`-th, without [`SPECIAL`].
fn word_above(word: u64, tag: Tag, depth: usize) -> u64 {
    let chain = if word == 0 { first_chain(tag) } else { chain_above(word, tag) };
    chain | in_word(depth)
}

/// Returns the chain of one lock, in its place in the word. The upper byte of a tag is unused, so
/// nothing is lost.
#[inline(always)]
fn first_chain(tag: Tag) -> u64 {
    tag.0 << LOW.count_ones()
}

/// Returns the chain with one more lock, in its place in the word.
#[inline(always)]
fn chain_above(word: u64, tag: Tag) -> u64 {
    chain_cache::step(word, tag.0) & !LOW
}

/// Returns the bits of a depth in the word.
fn in_word(depth: usize) -> u64 {
    (depth as u64).min(DEEP)
}

/// Returns the bucket of a depth from `INLINE` on, and the index in it.
fn position(at: usize) -> (usize, usize) {
    let bucket = (at / INLINE).ilog2() as usize;
    (bucket, at - (INLINE << bucket))
}

#[cfg(all(test, loom))]
mod loom_models {
    use std::sync::Arc;

    use super::*;

    /// A lock with its own site, so that a torn read is detected.
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
            // The mark is removed before the release looks up the tag.
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
        /// Compares with a vector: any depth, any order of release, one lock several times, and a
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
                let tags = model.iter().map(|(tag, _)| *tag).chain([next]);
                let place = set.any_place_for(next);
                let chain = (1..).zip(tags).fold(0, |word, (depth, tag)| word_above(word, tag, depth));
                prop_assert_eq!(place.chain(), chain);
                prop_assert!(set.is_whole());
                prop_assert_eq!(place.is_unremarkable(), model.is_empty());
            }
            prop_assert!(set.remove(Tag::new(99, Mode::Exclusive)).is_none());
            // A destroyed lock is removed as often as it is held.
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
