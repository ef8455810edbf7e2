//! Which threads took an edge and what else they held, which decides whether a cycle can close.
//! Pure.
//!
//! A cycle of n edges closes when n threads each hold one of its locks and want the next. So its
//! edges must have been seen on different threads, no two of which hold a common lock in modes that
//! exclude each other. Such a lock, around the cycle or in it, is a gate that admits one of them at
//! a time.
//!
//! Choosing a thread for each edge is a hard problem (rainbow matching is a special case), so
//! [`assign`] and [`judge`] run under a [budget](super::budget): they answer exactly or not at all.

mod assignment;
#[cfg(all(test, not(loom)))]
mod tests;

use std::{slice, sync::Arc};

use smallvec::SmallVec;

pub(in crate::validator) use self::assignment::{
    Verdict, assign, assign_at_any_time, assign_met, is_in_sequence, judge,
};
use crate::{
    finding::Mode,
    validator::{
        context::{
            held::Tag,
            lineage::{Segment, SegmentIndex},
        },
        lock_id::LockId,
    },
};

/// A thread that took an edge, in a segment of its life, and everything that it held.
#[derive(Clone, Debug)]
pub(in crate::validator) struct Observation {
    segment: Segment,
    held: Locks,
}

/// Sorted. Most threads hold one lock when they take another, which needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Locks {
    One(Tag),
    Many(Arc<Many>),
}

/// One allocation for up to four locks, the most that a thread usually holds.
#[derive(Debug, PartialEq, Eq)]
struct Many {
    summary: Summary,
    tags: SmallVec<[Tag; 4]>,
}

/// Masks that prove quickly that two sets of locks are disjoint, and a hash that identifies a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    /// One bit per lock. Up to 64 locks that were created one after the other have distinct bits.
    locks: u64,
    /// The bits of the locks that are not held shared.
    exclusive: u64,
    /// The sum of the tags' hashes. The hash of a union of disjoint sets is the sum of their
    /// hashes.
    hash: u64,
}

impl Summary {
    fn bit(lock: LockId) -> u64 {
        1 << (lock % 64)
    }

    fn of(tags: &[Tag]) -> Self {
        let with = |sum: Self, tag: &Tag| {
            let bit = Self::bit(tag.lock());
            Self {
                locks: sum.locks | bit,
                exclusive: sum.exclusive | if tag.mode() == Mode::Shared { 0 } else { bit },
                hash: sum.hash.wrapping_add(hash(Element::Held(*tag))),
            }
        };
        tags.iter().fold(Self::default(), with)
    }
}

/// An element of the set that a search keeps of its path.
#[derive(Clone, Copy)]
pub(in crate::validator) enum Element {
    /// A thread, and whether it stands for others.
    Thread(u64, Settled),
    /// A segment of a thread with known ancestors or descendants.
    Segment(u64, SegmentIndex),
    Held(Tag),
    /// The index of a lock's node.
    Passed(u64),
}

/// Hashes an element of a set. The set's hash is the sum of its elements' hashes, so it does not
/// depend on their order.
///
/// This is the finalizer of `SplitMix64`. A weaker one does not suffice: Fx is nearly linear, so
/// sums of a few small numbers collide.
pub(in crate::validator) fn hash(element: Element) -> u64 {
    let input = match element {
        Element::Thread(thread, settled) => thread << 5 | (settled as u64) << 3,
        Element::Segment(thread, index) => {
            hash(Element::Thread(thread, Settled::No)).wrapping_add(index) << 3 | 1
        }
        Element::Held(tag) => tag.to_bits() << 2 | 2,
        Element::Passed(node) => node << 2 | 3,
    };
    let mut hash = input.wrapping_add(0x9E37_79B9_7F4A_7C15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    hash ^ hash >> 31
}

/// The number of observations kept for one edge.
const MAX_OBSERVATIONS: usize = 8;

/// The number of threads that must show the same before it is settled. With two, no cycle of two
/// edges is decided wrongly; with three, none of three edges. For longer cycles, another thread is
/// assumed to do what that many threads did.
const DISTINCT_THREADS: usize = 3;

impl Observation {
    pub(in crate::validator) fn new(segment: Segment, held: impl IntoIterator<Item = Tag>) -> Self {
        let mut held = held.into_iter();
        let held = match (held.next(), held.next()) {
            (Some(one), None) => Locks::One(one),
            (one, another) => {
                let mut tags: SmallVec<[Tag; 4]> =
                    one.into_iter().chain(another).chain(held).collect();
                tags.sort_unstable();
                Locks::Many(Arc::new(Many { summary: Summary::of(&tags), tags }))
            }
        };
        Self { segment, held }
    }

    fn held(&self) -> &[Tag] {
        match &self.held {
            Locks::One(tag) => slice::from_ref(tag),
            Locks::Many(many) => &many.tags,
        }
    }

    fn summary(&self) -> Summary {
        match &self.held {
            Locks::One(tag) => Summary::of(slice::from_ref(tag)),
            Locks::Many(many) => many.summary,
        }
    }

    /// Returns `true` if the thread held one lock.
    pub(in crate::validator) fn is_of_one(&self) -> bool {
        matches!(self.held, Locks::One(_))
    }

    /// Returns the thread's number.
    pub(in crate::validator) fn thread(&self) -> u64 {
        self.segment.thread
    }

    pub(in crate::validator) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns `true` if the same thread did this before, under no more gates, so that only the
    /// time is new.
    fn differs_in_time_only(&self, known: &Self) -> bool {
        known.thread() == self.thread()
            && known.segment.job == self.segment.job
            && known.is_as_free_as(self)
    }

    /// Returns `true` if the same thread did both, this one under no more gates, and spawned no other in between.
    fn does_all_of(&self, other: &Self) -> bool {
        self.segment.is_like(&other.segment) && self.is_as_free_as(other)
    }

    /// Returns `true` if a lock is held several times in one mode.
    pub(in crate::validator) fn has_repeats(&self) -> bool {
        self.held().windows(2).any(|pair| pair[0] == pair[1])
    }

    /// Returns a lock that prevents two threads from being where they were seen at the same time.
    fn gate_with(&self, other: &Self) -> Option<LockId> {
        let (own, their) = (self.summary(), other.summary());
        let common = own.exclusive & their.locks | own.locks & their.exclusive;
        if common == 0 {
            return None;
        }
        let mut theirs = other.held();
        for own in self.held().iter().filter(|own| common & Summary::bit(own.lock()) != 0) {
            let skipped = theirs.partition_point(|their| their.lock() < own.lock());
            theirs = &theirs[skipped..];
            let same = theirs.iter().take_while(|their| their.lock() == own.lock());
            if same.clone().any(|their| excludes(own.mode(), their.mode())) {
                return Some(own.lock());
            }
        }
        None
    }

    /// Returns `true` if every gate of this observation is a gate of the other as well.
    fn is_as_free_as(&self, other: &Self) -> bool {
        if self.summary().locks & !other.summary().locks != 0 {
            return false;
        }
        // Both are sorted, and usually equal for the most part.
        let mut theirs = other.held();
        let has = |tag: &Tag| {
            while theirs.first().is_some_and(|their| their.lock() < tag.lock()) {
                theirs = &theirs[1..];
            }
            let same = theirs.iter().take_while(|their| their.lock() == tag.lock());
            same.map(|their| strength(their.mode())).max() >= Some(strength(tag.mode()))
        };
        self.held().iter().all(has)
    }
}

/// Returns `true` if two threads cannot hold one lock in these two modes.
fn excludes(one: Mode, other: Mode) -> bool {
    match (one, other) {
        (Mode::Shared, other) | (other, Mode::Shared) => other == Mode::Exclusive,
        _ => true,
    }
}

/// Ranks modes: a stronger one excludes everything that a weaker one does.
fn strength(held: Mode) -> u8 {
    match held {
        Mode::Exclusive => 2,
        Mode::Upgradable => 1,
        _ => 0,
    }
}

/// The relevant observations of one edge, each with what a report shows of it. Most edges have one.
#[derive(Debug)]
pub(in crate::validator) struct Observations<T> {
    all: SmallVec<[(Observation, T); 1]>,
    /// For each of them, whether enough others [did the same](Self::settled_for).
    settled: [Settled; MAX_OBSERVATIONS],
}

/// The threads whose repetition of an observation needs no check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::validator) enum Settled {
    No,
    /// Those of the same family.
    ForFamily,
    ForAll,
}

impl Settled {
    /// Returns the threads for which the edge need not be checked again, given whether it is on a
    /// cycle. If that cycle cannot close, another thread of the family may still be able to close
    /// it.
    pub(in crate::validator) fn on_cycle(self, is_on_cycle: bool) -> Self {
        if is_on_cycle && self == Self::ForFamily { Self::No } else { self }
    }
}

impl<T> Default for Observations<T> {
    fn default() -> Self {
        Self { all: SmallVec::new(), settled: [Settled::No; MAX_OBSERVATIONS] }
    }
}

impl<T> Observations<T> {
    /// Returns what a report shows of one. The first of all is never dropped.
    pub(in crate::validator) fn get(&self, at: usize) -> Option<&T> {
        self.all.get(at).map(|(_, what)| what)
    }

    pub(in crate::validator) fn iter(&self) -> impl Iterator<Item = &Observation> + Clone {
        self.all.iter().map(|(observation, _)| observation)
    }

    /// Returns what a report shows of the last observation that differs from this one only in time.
    pub(in crate::validator) fn of_earlier(&self, new: &Observation) -> Option<&T> {
        let mut last_first = self.all.iter().rev();
        last_first.find(|(known, _)| new.differs_in_time_only(known)).map(|(_, what)| what)
    }

    /// Returns `true` if one more observation would change nothing: this thread or enough others
    /// did the same under no more gates.
    pub(in crate::validator) fn knows(&self, new: &Observation) -> bool {
        self.iter().any(|known| known.does_all_of(new)) || self.settled_for(new) > Settled::No
    }

    /// Returns the threads for which one more such observation would change nothing: all if enough
    /// threads of as many families were seen, or the family if enough of its threads were seen
    /// under the same gates.
    pub(in crate::validator) fn settled_for(&self, new: &Observation) -> Settled {
        // Jobs that do the same may run at other times.
        if self.all.len() < DISTINCT_THREADS || new.segment.job.is_some() {
            return Settled::No;
        }
        let family = new.segment.family();
        let mut threads: SmallVec<[u64; MAX_OBSERVATIONS]> = SmallVec::new();
        let mut families: SmallVec<[u64; MAX_OBSERVATIONS]> = SmallVec::new();
        for known in self.iter().filter(|known| known.is_as_free_as(new)) {
            let of = known.segment.family();
            if !families.contains(&of) {
                families.push(of);
            }
            // Observations with fewer gates do not count: they may be from other times, and then do
            // not stand for this one.
            let is_alike = || new.is_as_free_as(known);
            if of == family && !threads.contains(&known.thread()) && is_alike() {
                threads.push(known.thread());
            }
        }
        if families.len() >= DISTINCT_THREADS {
            Settled::ForAll
        } else if threads.len() >= DISTINCT_THREADS {
            Settled::ForFamily
        } else {
            Settled::No
        }
    }

    pub(in crate::validator) fn len(&self) -> usize {
        self.all.len()
    }

    /// As [`knows`](Self::knows), from all but the first.
    pub(in crate::validator) fn knows_after_first(&self, new: &Observation) -> bool {
        self.iter().skip(1).any(|known| known.does_all_of(new))
            || self.settled_for(new) > Settled::No
    }

    /// Returns `true` if an observation makes the first one redundant.
    pub(in crate::validator) fn repeats_first(&self, new: &Observation) -> bool {
        self.iter().next().is_some_and(|first| new.does_all_of(first))
    }

    /// Puts another observation in the place of the first one.
    pub(in crate::validator) fn replace_first(&mut self, new: Observation, what: T) {
        if let Some(first) = self.all.first_mut() {
            *first = (new, what);
            self.settle_again();
        }
    }

    /// Removes the first observation.
    pub(in crate::validator) fn forget_first(&mut self) {
        self.all.remove(0);
        self.settle_again();
    }

    fn settle_again(&mut self) {
        self.settled = [Settled::No; MAX_OBSERVATIONS];
        for at in 0..self.all.len() {
            self.settled[at] = self.settled_for(&self.all[at].0);
        }
    }

    /// Adds a [new](Self::knows) observation.
    pub(in crate::validator) fn learn(&mut self, new: Observation, what: T) {
        // Of what the thread did before it last spawned another one, the latest is kept. Among the
        // threads that still exist, it meets all that earlier ones meet.
        let implied = |known: &Observation| {
            known.thread() == new.thread()
                && known.segment.job == new.segment.job
                && new.is_as_free_as(known)
        };
        let latest = self.all.iter().rposition(|(known, _)| implied(known));
        let mut at = 0;
        let before = self.all.len();
        self.all.retain(|(known, _)| {
            at += 1;
            let is_latest = Some(at - 1) == latest && !known.segment.is_like(&new.segment);
            at == 1 || is_latest || !implied(known)
        });
        let is_more = before == self.all.len() && before < MAX_OBSERVATIONS;
        if self.all.len() == MAX_OBSERVATIONS && new.segment.job.is_some() {
            // The jobs that run now are the most likely to meet.
            self.all.remove(1);
        }
        if self.all.len() < MAX_OBSERVATIONS {
            self.all.push((new, what));
        } else if let Some(worse) = self.all[1..].iter_mut().find(|(it, _)| new.is_as_free_as(it)) {
            *worse = (new, what);
        } else {
            return;
        }
        if !is_more {
            self.settled = [Settled::No; MAX_OBSERVATIONS];
        }
        // One more observation settles only those that it is as free as.
        for at in 0..self.all.len() {
            let of = &self.all[at].0;
            let may_be = self.settled[at] < Settled::ForAll
                && (!is_more || self.all[self.all.len() - 1].0.is_as_free_as(of));
            if may_be {
                self.settled[at] = self.settled_for(of);
            }
        }
    }

    /// Returns all observations that may be chosen for this edge.
    pub(in crate::validator) fn choices(&self) -> Vec<Choice> {
        let choice = |(at, observation): (usize, &Observation)| Choice {
            at,
            observation: observation.clone(),
            stands_for: self.settled[at],
        };
        self.iter().enumerate().map(choice).collect()
    }
}

/// An observation that may be chosen for its edge of a cycle.
#[derive(Clone)]
pub(in crate::validator) struct Choice {
    /// Its index in the edge's observations.
    pub(in crate::validator) at: usize,
    observation: Observation,
    /// The threads that may have done the same without being kept.
    stands_for: Settled,
}

impl Choice {
    /// An observation that is being made now, with the index that it will have.
    pub(in crate::validator) fn now(observation: &Observation, at: usize) -> Self {
        Self { at, observation: observation.clone(), stands_for: Settled::No }
    }

    /// Makes it stand for no other threads.
    pub(in crate::validator) fn suppose_nothing(&mut self) {
        self.stands_for = Settled::No;
    }

    /// Returns `true` if both can be chosen in a cycle of this many edges.
    pub(in crate::validator) fn goes_with(&self, other: &Self, edges: usize) -> bool {
        self.is_apart_from(other, edges) && self.is_free_of(other) && self.may_meet(other)
    }

    /// Hashes everything that restricts other choices. The hashes of several choices add up.
    pub(in crate::validator) fn hash(&self) -> u64 {
        let Segment { thread, index, ref lineage, ref job } = self.observation.segment;
        let mut sum = hash(Element::Thread(thread, self.stands_for));
        if let Some(job) = job {
            sum = sum.wrapping_add(hash(Element::Segment(thread, Arc::as_ptr(job).addr() as u64)));
        } else if lineage.is_some() {
            sum = sum.wrapping_add(hash(Element::Segment(thread, index)));
        }
        sum.wrapping_add(self.observation.summary().hash)
    }

    /// Returns the number of the thread from which the job comes, if that matters.
    pub(in crate::validator) fn flow(&self) -> Option<u64> {
        self.observation.segment.job.as_ref().map(|job| job.flow)
    }

    fn stands_for_others(&self) -> bool {
        self.stands_for > Settled::No
    }

    /// Returns `true` if two choices may be of different threads. One of them may be a thread that
    /// was not kept; that only matters in a cycle of more than [`DISTINCT_THREADS`] edges.
    fn is_apart_from(&self, other: &Self, edges: usize) -> bool {
        self.observation.thread() != other.observation.thread()
            || edges > DISTINCT_THREADS && (self.stands_for_others() || other.stands_for_others())
    }

    /// Returns `false` only if one is known to have ended before the other could begin. For threads
    /// that did the same and were not kept, that is known in one case only: the root of their
    /// family acted before it spawned any of them, or after it had joined all.
    fn may_meet(&self, other: &Self) -> bool {
        let (own, theirs) = (&self.observation.segment, &other.observation.segment);
        if own.is_at_any_time() && theirs.is_at_any_time() {
            return true;
        }
        let others_may_meet = |of: &Self, segment: &Segment| match of.stands_for {
            Settled::No => false,
            Settled::ForAll => true,
            Settled::ForFamily => !segment.is_outside_family(of.observation.segment.family()),
        };
        !own.is_apart_from(theirs) || others_may_meet(self, theirs) || others_may_meet(other, own)
    }

    /// Returns `true` if both threads were spawned by a third, which joined one before it spawned
    /// the other.
    fn is_in_sequence_with(&self, other: &Self) -> bool {
        self.observation.segment.is_in_sequence_with(&other.observation.segment)
    }

    fn is_free_of(&self, other: &Self) -> bool {
        self.observation.gate_with(&other.observation).is_none()
    }
}
