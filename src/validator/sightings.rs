//! Who took an edge and what else they held, which decides whether a cycle can close. Pure.
//!
//! A cycle of n edges closes when n threads hold one lock of it each and want the next. So its
//! edges must be seen on different threads, no two of which hold a lock in modes that
//! exclude each other: such a lock, held around the cycle or in it, is a gate that lets one of
//! them through at a time.
//!
//! Choosing a thread for each edge is a hard problem (rainbow matching is a special case), so
//! [`assign`] and [`judge`] run under a [`Budget`]: they answer exactly or not at all.

use std::{slice, sync::Arc};

use rustc_hash::{FxHashMap, FxHashSet};
use smallvec::SmallVec;

use super::{
    budget::{Budget, Exhausted, PAIR},
    held::Tag,
    identity::LockId,
    lineage::{Segment, SegmentIndex},
};
use crate::finding::Mode;

/// A thread that took an edge, in a segment of its life, and all that it held.
#[derive(Clone, Debug)]
pub(super) struct Sighting {
    segment: Segment,
    held: Locks,
}

/// Sorted. Most threads hold one lock when they take another, which needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Locks {
    One(Tag),
    Many(Arc<Many>),
}

/// One allocation for up to four locks, as many as most threads ever hold.
#[derive(Debug, PartialEq, Eq)]
struct Many {
    summary: Summary,
    tags: SmallVec<[Tag; 4]>,
}

/// Masks that prove quickly that two sets of locks are disjoint, and a hash that identifies a set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    /// One bit per lock. Up to 64 locks that were made one after the other have distinct bits.
    locks: u64,
    /// The same of those that are not held shared.
    exclusive: u64,
    /// The sum of the tags' hashes: the hash of a union of disjoint sets is the sum of both.
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
pub(super) enum Element {
    /// A thread, and whether it stands for others.
    Thread(u64, Settled),
    /// A segment of a thread whose ancestors or descendants are known.
    Segment(u64, SegmentIndex),
    Held(Tag),
    /// The index of a lock's node.
    Passed(u64),
}

/// Hashes an element of a set. The set's hash is the sum of its elements' hashes, so that it does not
/// depend on their order.
///
/// This is the finalizer of `SplitMix64`. A weaker one does not do: Fx is nearly linear, and the sums
/// of few small numbers meet.
pub(super) fn hash(element: Element) -> u64 {
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

/// How many sightings of one edge are kept.
const KEPT: usize = 8;

/// How many threads have to show the same before more of them are no news. With two, no
/// cycle of two edges is judged wrongly, with three none of three; of longer ones it is
/// supposed that yet another thread may do what so many did.
const ENOUGH: usize = 3;

impl Sighting {
    pub(super) fn new(segment: Segment, held: impl IntoIterator<Item = Tag>) -> Self {
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
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self.held, Locks::One(_))
    }

    /// The thread.
    pub(super) fn thread(&self) -> u64 {
        self.segment.thread
    }

    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Returns `true` if the same thread did this before, under no more gates, so that only the time is
    /// new.
    fn differs_in_time_only(&self, known: &Self) -> bool {
        known.thread() == self.thread() && known.is_as_free_as(self)
    }

    /// Whether a lock is held several times in one mode.
    pub(super) fn has_repeats(&self) -> bool {
        self.held().windows(2).any(|pair| pair[0] == pair[1])
    }

    /// A lock that keeps two threads from being where they were seen at the same time.
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

    /// Whether every gate of this one is a gate of the other as well.
    fn is_as_free_as(&self, other: &Self) -> bool {
        if self.summary().locks & !other.summary().locks != 0 {
            return false;
        }
        // Both are sorted, and most of them the same.
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

/// Whether one lock cannot be held in these two modes by two threads.
fn excludes(one: Mode, other: Mode) -> bool {
    match (one, other) {
        (Mode::Shared, other) | (other, Mode::Shared) => other == Mode::Exclusive,
        _ => true,
    }
}

/// Who is stronger excludes all that the weaker excludes.
fn strength(held: Mode) -> u8 {
    match held {
        Mode::Exclusive => 2,
        Mode::Upgradable => 1,
        _ => 0,
    }
}

/// The sightings of one edge, those that matter, each with what is to be told of it. Most edges
/// have one.
#[derive(Debug)]
pub(super) struct Sightings<T> {
    all: SmallVec<[(Sighting, T); 1]>,
    /// Of each of them, whether enough others [did the same](Self::settled_for).
    settled: [Settled; KEPT],
}

/// For which threads it is no news if they do the same as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Settled {
    No,
    /// For those of the same family.
    ForFamily,
    ForAll,
}

impl Settled {
    /// For which threads the edge need not be judged again, given whether it is on a cycle. On a cycle
    /// that cannot close, a thread of the same family may be the one that meets what the others did not.
    pub(super) fn on_cycle(self, is_on_cycle: bool) -> Self {
        if is_on_cycle && self == Self::ForFamily { Self::No } else { self }
    }
}

impl<T> Default for Sightings<T> {
    fn default() -> Self {
        Self { all: SmallVec::new(), settled: [Settled::No; KEPT] }
    }
}

impl<T> Sightings<T> {
    /// What is told of one. The first of all is never forgotten.
    pub(super) fn get(&self, at: usize) -> Option<&T> {
        self.all.get(at).map(|(_, what)| what)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Sighting> + Clone {
        self.all.iter().map(|(sighting, _)| sighting)
    }

    /// Returns what is shown of the last one that differs from this in time only.
    pub(super) fn of_earlier(&self, new: &Sighting) -> Option<&T> {
        let mut last_first = self.all.iter().rev();
        last_first.find(|(known, _)| new.differs_in_time_only(known)).map(|(_, what)| what)
    }

    /// Whether one more would change nothing: this thread or enough others did the same
    /// under no more gates.
    pub(super) fn knows(&self, new: &Sighting) -> bool {
        self.iter().any(|known| known.segment.is_like(&new.segment) && known.is_as_free_as(new))
            || self.settled_for(new) > Settled::No
    }

    /// For which threads one more such sighting would change nothing: enough threads of as many
    /// families were seen, or enough of this family under the same gates.
    pub(super) fn settled_for(&self, new: &Sighting) -> Settled {
        if self.all.len() < ENOUGH {
            return Settled::No;
        }
        let family = new.segment.family();
        let mut threads: SmallVec<[u64; KEPT]> = SmallVec::new();
        let mut families: SmallVec<[u64; KEPT]> = SmallVec::new();
        for known in self.iter().filter(|known| known.is_as_free_as(new)) {
            let of = known.segment.family();
            if !families.contains(&of) {
                families.push(of);
            }
            // Not those under fewer gates: they may have been there at other times, and do not stand for
            // this one then.
            let is_alike = || new.is_as_free_as(known);
            if of == family && !threads.contains(&known.thread()) && is_alike() {
                threads.push(known.thread());
            }
        }
        if families.len() >= ENOUGH {
            Settled::ForAll
        } else if threads.len() >= ENOUGH {
            Settled::ForFamily
        } else {
            Settled::No
        }
    }

    /// Keeps one that is [news](Self::knows).
    pub(super) fn learn(&mut self, new: Sighting, what: T) {
        // Of what the thread did before it last spawned another one, the latest is kept: it meets all
        // that earlier ones meet among the threads that are still there.
        let implied = |known: &Sighting| known.thread() == new.thread() && new.is_as_free_as(known);
        let latest = self.all.iter().rposition(|(known, _)| implied(known));
        let mut at = 0;
        let before = self.all.len();
        self.all.retain(|(known, _)| {
            at += 1;
            let is_latest = Some(at - 1) == latest && !known.segment.is_like(&new.segment);
            at == 1 || is_latest || !implied(known)
        });
        let is_more = before == self.all.len() && before < KEPT;
        if self.all.len() < KEPT {
            self.all.push((new, what));
        } else if let Some(worse) = self.all[1..].iter_mut().find(|(it, _)| new.is_as_free_as(it)) {
            *worse = (new, what);
        } else {
            return;
        }
        if !is_more {
            self.settled = [Settled::No; KEPT];
        }
        // One more sighting settles only those that it is as free as.
        for at in 0..self.all.len() {
            let of = &self.all[at].0;
            let may_be = self.settled[at] < Settled::ForAll
                && (!is_more || self.all[self.all.len() - 1].0.is_as_free_as(of));
            if may_be {
                self.settled[at] = self.settled_for(of);
            }
        }
    }

    /// All that may be chosen for this edge.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let choice = |(at, sighting): (usize, &Sighting)| Choice {
            at,
            sighting: sighting.clone(),
            stands_for: self.settled[at],
        };
        self.iter().enumerate().map(choice).collect()
    }
}

/// What the sightings of a cycle's edges have to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can close.
    Feasible,
    /// It could, if its threads had not spawned or joined each other in between.
    Ordered,
    /// It needs one thread to be in two places.
    OneThreadTwice,
    /// These locks are in the way.
    Guarded(Vec<LockId>),
}

/// A sighting that may be chosen for its edge of a cycle.
#[derive(Clone)]
pub(super) struct Choice {
    /// Where the edge keeps it.
    pub(super) at: usize,
    sighting: Sighting,
    /// Which threads may have done the same and were not kept.
    stands_for: Settled,
}

impl Choice {
    /// A sighting that is being made right now, and is kept there if it is.
    pub(super) fn now(sighting: &Sighting, at: usize) -> Self {
        Self { at, sighting: sighting.clone(), stands_for: Settled::No }
    }

    /// Makes it stand for no other threads.
    pub(super) fn suppose_nothing(&mut self) {
        self.stands_for = Settled::No;
    }

    /// Returns `true` if both can be chosen in a cycle of so many edges.
    pub(super) fn goes_with(&self, other: &Self, edges: usize) -> bool {
        self.is_apart_from(other, edges) && self.is_free_of(other) && self.may_meet(other)
    }

    /// Hashes all that restricts what else may be chosen. The hashes of several choices add up.
    pub(super) fn hash(&self) -> u64 {
        let Segment { thread, index, ref lineage } = self.sighting.segment;
        let mut sum = hash(Element::Thread(thread, self.stands_for));
        if lineage.is_some() {
            sum = sum.wrapping_add(hash(Element::Segment(thread, index)));
        }
        sum.wrapping_add(self.sighting.summary().hash)
    }

    fn stands_for_others(&self) -> bool {
        self.stands_for > Settled::No
    }

    /// Whether two choices may be of different threads: maybe of one that was not kept, for
    /// which there is need only in a cycle of more than [`ENOUGH`] edges.
    fn is_apart_from(&self, other: &Self, edges: usize) -> bool {
        self.sighting.thread() != other.sighting.thread()
            || edges > ENOUGH && (self.stands_for_others() || other.stands_for_others())
    }

    /// Returns `true` unless it is known that one was over when the other could begin. Of threads that
    /// did the same and were not kept, that is known only in one case: the root of their family did its
    /// part before it spawned any of them, or after all had been joined.
    fn may_meet(&self, other: &Self) -> bool {
        let (own, theirs) = (&self.sighting.segment, &other.sighting.segment);
        if own.lineage.is_none() && theirs.lineage.is_none() {
            return true;
        }
        let others_may_meet = |of: &Self, segment: &Segment| match of.stands_for {
            Settled::No => false,
            Settled::ForAll => true,
            Settled::ForFamily => !segment.is_outside_family(of.sighting.segment.family()),
        };
        !own.is_apart_from(theirs) || others_may_meet(self, theirs) || others_may_meet(other, own)
    }

    /// Returns `true` if both threads were spawned by a third, which joined one before it spawned the
    /// other.
    fn is_in_sequence_with(&self, other: &Self) -> bool {
        self.sighting.segment.is_in_sequence_with(&other.sighting.segment)
    }

    fn is_free_of(&self, other: &Self) -> bool {
        self.sighting.gate_with(&other.sighting).is_none()
    }
}

/// Which choices exclude each other.
#[derive(Clone, Copy)]
struct Rules {
    /// Two of one thread.
    threads: bool,
    /// Two that have a gate between them.
    gates: bool,
    /// Two that can never happen at the same time.
    times: Times,
}

/// Which times of two choices exclude each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Times {
    /// None.
    Any,
    /// Those that never [meet](Choice::may_meet).
    Meeting,
    /// Those as well that have not met so far: see [`Choice::is_in_sequence_with`].
    Met,
}

impl Rules {
    /// All that can exclude each other.
    const ALL: Self = Self { threads: true, gates: true, times: Times::Meeting };

    fn admits_times(self, one: &Choice, other: &Choice) -> bool {
        match self.times {
            Times::Any => true,
            Times::Meeting => one.may_meet(other),
            Times::Met => one.may_meet(other) && !one.is_in_sequence_with(other),
        }
    }
}

/// Chooses a sighting for each edge of a cycle so that all threads can be there at the same time.
/// Returns where the edges keep them, or `None` if there is no such choice.
pub(super) fn assign(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    choose(cycle, Rules::ALL, budget)
}

/// Chooses as [`assign`] does, for threads that need not be there at the same time.
pub(super) fn assign_at_any_time(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    choose(cycle, Rules { times: Times::Any, ..Rules::ALL }, budget)
}

/// Returns `true` if, in each way to close a cycle, one thread was joined before another one was
/// spawned.
pub(super) fn is_in_sequence(
    cycle: &[Vec<Choice>],
    budget: &mut Budget,
) -> Result<bool, Exhausted> {
    Ok(choose(cycle, Rules { times: Times::Met, ..Rules::ALL }, budget)?.is_none())
}

/// Decides whether a cycle can close, and if not, why.
pub(super) fn judge(cycle: &[Vec<Choice>], budget: &mut Budget) -> Result<Verdict, Exhausted> {
    if assign(cycle, budget)?.is_some() {
        return Ok(Verdict::Feasible);
    }
    let by_gates = Rules { threads: false, gates: true, times: Times::Any };
    if assign_at_any_time(cycle, budget)?.is_some() {
        // If one thread alone did all of it as well, that says more.
        let is_of_one = of_one_thread(cycle, budget)?;
        return Ok(if is_of_one { Verdict::OneThreadTwice } else { Verdict::Ordered });
    }
    let by_threads = Rules { threads: true, gates: false, times: Times::Any };
    if choose(cycle, by_gates, budget)?.is_some() && choose(cycle, by_threads, budget)?.is_none() {
        return Ok(Verdict::OneThreadTwice);
    }
    let mut gates = Vec::new();
    for (at, edge) in cycle.iter().enumerate() {
        for (one, other) in edge.iter().flat_map(|one| {
            let others = cycle[at + 1..].iter().flatten();
            others.map(move |other| (one, other))
        }) {
            budget.spend(1)?;
            gates.extend(one.sighting.gate_with(&other.sighting));
        }
    }
    gates.sort_unstable();
    gates.dedup();
    Ok(Verdict::Guarded(gates))
}

/// Returns `true` if one thread made all edges of a cycle, without a gate.
fn of_one_thread(cycle: &[Vec<Choice>], budget: &mut Budget) -> Result<bool, Exhausted> {
    let by_gates = Rules { threads: false, gates: true, times: Times::Any };
    for thread in cycle.first().into_iter().flatten().map(|choice| choice.sighting.thread()) {
        let is_of_thread = |choice: &&Choice| choice.sighting.thread() == thread;
        let own = |edge: &Vec<Choice>| edge.iter().filter(is_of_thread).cloned().collect();
        let of_thread: Vec<Vec<Choice>> = cycle.iter().map(own).collect();
        budget.spend(PAIR * cycle.len())?;
        if choose(&of_thread, by_gates, budget)?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Chooses for each edge, such that every two choices go together. Returns the first solution in
/// lexicographic order.
///
/// Backtracks from edge to edge. What the remaining edges offer depends on the set of threads and
/// held locks so far, not on how it came about: a set that failed once is not tried again.
fn choose(
    cycle: &[Vec<Choice>],
    rules: Rules,
    budget: &mut Budget,
) -> Result<Option<Vec<usize>>, Exhausted> {
    let mut chosen = Chosen::new(rules, cycle);
    let mut path: Vec<usize> = Vec::with_capacity(cycle.len());
    let mut failed: FxHashSet<(usize, u64)> = FxHashSet::default();
    let mut from = 0;
    while let Some(edge) = cycle.get(path.len()) {
        let state = (path.len(), chosen.hash);
        let mut next = None;
        if from > 0 || !failed.contains(&state) {
            for (at, choice) in edge.iter().enumerate().skip(from) {
                budget.spend(PAIR + chosen.cost_of(choice))?;
                if chosen.admits(choice) {
                    next = Some(at);
                    break;
                }
            }
        }
        if let Some(at) = next {
            chosen.push(&edge[at]);
            path.push(at);
            from = 0;
        } else {
            failed.insert(state);
            let Some(last) = path.pop() else { return Ok(None) };
            chosen.pop();
            from = last + 1;
        }
    }
    Ok(Some(chosen.all.iter().map(|choice| choice.at).collect()))
}

/// Longer cycles keep an [`Index`] of what was chosen.
const INDEXED: usize = 32;

/// The choices made so far.
struct Chosen<'a> {
    all: Vec<&'a Choice>,
    /// The sum of their hashes.
    hash: u64,
    rules: Rules,
    /// How many edges the cycle has.
    edges: usize,
    index: Option<Index>,
    /// `true` if times matter: if a thread's lineage is known.
    timed: bool,
}

impl<'a> Chosen<'a> {
    fn new(rules: Rules, cycle: &[Vec<Choice>]) -> Self {
        let edges = cycle.len();
        let index = (edges > INDEXED).then(Index::default);
        let has_lineage = |choice: &Choice| choice.sighting.segment.lineage.is_some();
        let timed = rules.times != Times::Any && cycle.iter().flatten().any(has_lineage);
        Self { all: Vec::with_capacity(edges), hash: 0, rules, edges, index, timed }
    }

    /// How many steps [`admits`](Self::admits) takes.
    fn cost_of(&self, choice: &Choice) -> usize {
        match &self.index {
            Some(_) if !self.timed => choice.sighting.held().len(),
            _ => self.all.len(),
        }
    }

    /// Returns `true` if a choice goes together with all others.
    fn admits(&self, choice: &Choice) -> bool {
        let Rules { threads, gates, .. } = self.rules;
        match &self.index {
            Some(index) => {
                (!threads || index.has_thread_for(choice, self.edges))
                    && (!gates || index.has_no_gate_with(choice))
                    && (!self.timed
                        || self.all.iter().all(|before| self.rules.admits_times(before, choice)))
            }
            None => self.all.iter().all(|before| {
                (!threads || before.is_apart_from(choice, self.edges))
                    && (!gates || before.is_free_of(choice))
                    && self.rules.admits_times(before, choice)
            }),
        }
    }

    fn push(&mut self, choice: &'a Choice) {
        self.hash = self.hash.wrapping_add(choice.hash());
        if let Some(index) = &mut self.index {
            index.count(choice, |count| *count += 1);
        }
        self.all.push(choice);
    }

    fn pop(&mut self) {
        let Some(choice) = self.all.pop() else { return };
        self.hash = self.hash.wrapping_sub(choice.hash());
        if let Some(index) = &mut self.index {
            index.count(choice, |count| *count -= 1);
        }
    }
}

/// Threads and held locks of the choices made so far, so that one more is checked without a look at
/// each.
#[derive(Default)]
struct Index {
    /// The choices of each thread: those that stand for others, and those that do not.
    threads: FxHashMap<u64, [u32; 2]>,
    /// How often each lock is held, by [strength].
    locks: FxHashMap<LockId, [u32; 3]>,
}

impl Index {
    fn count(&mut self, choice: &Choice, change: impl Fn(&mut u32)) {
        let thread = self.threads.entry(choice.sighting.thread()).or_default();
        change(&mut thread[usize::from(!choice.stands_for_others())]);
        for tag in choice.sighting.held() {
            let lock = self.locks.entry(tag.lock()).or_default();
            change(&mut lock[usize::from(strength(tag.mode()))]);
        }
    }

    /// See [`Choice::is_apart_from`].
    fn has_thread_for(&self, choice: &Choice, edges: usize) -> bool {
        let [standing, alone] =
            self.threads.get(&choice.sighting.thread()).copied().unwrap_or_default();
        if edges > ENOUGH {
            choice.stands_for_others() || alone == 0
        } else {
            standing + alone == 0
        }
    }

    /// See [`Choice::is_free_of`].
    fn has_no_gate_with(&self, choice: &Choice) -> bool {
        choice.sighting.held().iter().all(|tag| {
            let counts = self.locks.get(&tag.lock()).copied().unwrap_or_default();
            let modes = [Mode::Shared, Mode::Upgradable, Mode::Exclusive];
            let held = modes.into_iter().zip(counts).filter(|&(_, count)| count > 0);
            held.into_iter().all(|(held, _)| !excludes(tag.mode(), held))
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::mem;

    use proptest::prelude::*;

    use super::{
        super::{
            budget::STEPS,
            lineage::{
                JOINED, Lineage, SPAWNED,
                histories::{self, History, Observed},
            },
        },
        *,
    };

    fn segment(thread: u64) -> Segment {
        Segment { thread, index: 0, lineage: None }
    }

    /// A thread before, beside and after its child, the child, another child after that, and a stranger.
    fn family() -> [Segment; 6] {
        let root = Lineage::root(1);
        let first = root.child(1, 0);
        first.joined(1, Some(&root), SPAWNED + JOINED);
        let second = root.child(1, SPAWNED + JOINED);
        let of = |thread, index, lineage: &Arc<Lineage>| Segment {
            thread,
            index,
            lineage: Some(Arc::clone(lineage)),
        };
        let own = [0, SPAWNED, SPAWNED + JOINED].map(|index| of(1, index, &root));
        let [before, beside, after] = own;
        [before, beside, after, of(2, 0, &first), of(3, 0, &second), segment(4)]
    }

    #[test]
    fn a_thread_meets_its_child_only_while_that_lives() {
        let family = family();
        let seen = |at: usize, lock| vec![Sighting::new(family[at].clone(), [Tag::new(lock, X)])];
        let verdicts = [0, 1, 2, 4, 5].map(|at| verdict(&[seen(at, 1), seen(3, 2)]));
        let (ordered, feasible) = (Verdict::Ordered, Verdict::Feasible);
        let expected = [&ordered, &feasible, &ordered, &feasible, &feasible];
        assert_eq!(verdicts.each_ref(), expected);
        // The two children never met so far.
        let children = [vec![seen(3, 1)], vec![seen(4, 2)]].concat();
        let choices: Vec<_> = children.iter().map(|edge| seen_in(edge).choices()).collect();
        assert_eq!(is_in_sequence(&choices, &mut unlimited()), Ok(true));
    }

    /// A cycle that one thread made alone stays a single-thread inversion, whatever it also met.
    #[test]
    fn one_thread_twice_is_graver_than_never_at_once() {
        let family = family();
        let seen = |at: usize, lock| Sighting::new(family[at].clone(), [Tag::new(lock, X)]);
        let cycle = [vec![seen(2, 1), seen(3, 1)], vec![seen(2, 2)]];
        assert_eq!(verdict(&cycle), Verdict::OneThreadTwice);
        assert_eq!(verdict(&[vec![seen(3, 1)], vec![seen(2, 2)]]), Verdict::Ordered);
    }

    fn sighting(thread: u64, held: &[(u64, Mode)]) -> Sighting {
        Sighting::new(segment(thread), held.iter().map(|&(lock, mode)| Tag::new(lock, mode)))
    }

    fn seen_in(sightings: &[Sighting]) -> Sightings<()> {
        let mut all = Sightings::default();
        for sighting in sightings {
            if !all.knows(sighting) {
                all.learn(sighting.clone(), ());
            }
        }
        all
    }

    fn verdict(edges: &[Vec<Sighting>]) -> Verdict {
        let edges: Vec<_> = edges.iter().map(|edge| seen_in(edge)).collect();
        judge(&edges.iter().map(Sightings::choices).collect::<Vec<_>>(), &mut unlimited()).unwrap()
    }

    fn unlimited() -> Budget {
        Budget::new(u32::MAX)
    }

    const X: Mode = Mode::Exclusive;
    const S: Mode = Mode::Shared;
    const U: Mode = Mode::Upgradable;

    #[test]
    fn the_threads_have_to_differ() {
        let (a, b) = (sighting(1, &[(1, X)]), sighting(1, &[(2, X)]));
        assert_eq!(verdict(&[vec![a.clone()], vec![b.clone()]]), Verdict::OneThreadTwice);
        let other = sighting(2, &[(2, X)]);
        assert_eq!(verdict(&[vec![a.clone()], vec![b, other.clone()]]), Verdict::Feasible);
        // Three edges on two threads.
        let third = sighting(1, &[(3, X)]);
        assert_eq!(verdict(&[vec![a], vec![other], vec![third]]), Verdict::OneThreadTwice);
    }

    #[test]
    fn a_gate_is_held_in_modes_that_exclude_each_other() {
        for (one, other, is_gate) in
            [(X, X, true), (X, S, true), (U, U, true), (X, U, true), (U, S, false), (S, S, false)]
        {
            let a = sighting(1, &[(9, one), (1, X)]);
            let b = sighting(2, &[(9, other), (2, X)]);
            let expected = if is_gate { Verdict::Guarded(vec![9]) } else { Verdict::Feasible };
            assert_eq!(verdict(&[vec![a], vec![b]]), expected, "{one} {other}");
        }
    }

    #[test]
    fn a_gate_that_is_left_out_once_is_none() {
        let guarded = [sighting(1, &[(9, X), (1, X)]), sighting(2, &[(9, X), (2, X)])];
        let free = sighting(1, &[(1, X)]);
        let [one, other] = guarded;
        assert_eq!(verdict(&[vec![one, free], vec![other]]), Verdict::Feasible);
    }

    #[test]
    fn enough_is_enough() {
        let held = [(1, X)];
        let mut edge = seen_in(&[sighting(1, &held)]);
        assert!(edge.knows(&sighting(1, &held)) && !edge.knows(&sighting(2, &held)));
        assert!(edge.knows(&sighting(1, &[(1, X), (5, S)])), "with more gates");
        edge.learn(sighting(2, &held), ());
        assert!(!edge.knows(&sighting(3, &held)));
        edge.learn(sighting(3, &held), ());
        assert!(
            edge.knows(&sighting(4, &held))
                && edge.settled_for(&sighting(1, &held)) == Settled::ForAll
        );
        // It is bounded, and what has fewer gates is preferred.
        for gate in 10..100 {
            let guarded = sighting(gate, &[(gate, X), (2, X)]);
            if !edge.knows(&guarded) {
                edge.learn(guarded, ());
            }
        }
        assert_eq!(edge.iter().count(), KEPT);
        edge.learn(sighting(200, &[(2, X)]), ());
        assert!(edge.knows(&sighting(200, &[(2, X)])));
    }

    /// A report names who was first; whoever did the same under fewer locks since takes the place of
    /// what came between.
    #[test]
    fn the_first_is_never_forgotten() {
        let mut edge = Sightings::default();
        edge.learn(sighting(1, &[(1, X), (8, X), (9, X)]), "first");
        edge.learn(sighting(1, &[(1, X), (8, X)]), "freer");
        edge.learn(sighting(1, &[(1, X)]), "free");
        assert_eq!([0, 1, 2].map(|at| edge.get(at)), [Some(&"first"), Some(&"free"), None]);
    }

    /// What three threads did, a fourth may do, of which nothing was kept; not what two did.
    #[test]
    fn enough_threads_stand_for_others() {
        let four_edges = |threads: u64| -> Vec<_> {
            let edge = |lock| (1..=threads).map(|thread| sighting(thread, &[(lock, X)])).collect();
            (1..=4).map(edge).collect()
        };
        assert_eq!(verdict(&four_edges(3)), Verdict::Feasible);
        assert_eq!(verdict(&four_edges(2)), Verdict::OneThreadTwice);
        // It is enough that one of the edges was seen so often.
        let mut edges = four_edges(3);
        for (at, edge) in edges[..3].iter_mut().enumerate() {
            *edge = vec![edge[at].clone()];
        }
        assert_eq!(verdict(&edges), Verdict::Feasible);
    }

    /// Another thread would not help: it is the gate that is named.
    #[test]
    fn a_gate_is_named_before_a_thread() {
        let behind = |thread, lock| sighting(thread, &[(9, X), (lock, X)]);
        let guarded = Verdict::Guarded(vec![9]);
        assert_eq!(verdict(&[vec![behind(1, 1)], vec![behind(1, 2)]]), guarded);
        // Who left the gate out is the thread of the other edge, and the other one was behind it.
        let free = sighting(1, &[(2, X)]);
        assert_eq!(verdict(&[vec![behind(1, 1)], vec![behind(2, 2), free]]), guarded);
    }

    /// A cycle of 20 edges over 19 threads: none of them can be at two edges, and there are more than
    /// 100,000 sets of threads to try.
    #[test]
    fn an_undecided_cycle_has_no_verdict() {
        let mut state = 1_u64;
        let mut thread = || {
            state =
                state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            (state >> 33) % 19
        };
        let edges: Vec<Vec<Choice>> = (0..20)
            .map(|lock| {
                let of = |at| Choice::now(&sighting(thread(), &[(lock, X)]), at);
                (0..KEPT).map(of).collect()
            })
            .collect();
        assert_eq!(judge(&edges, &mut Budget::new(STEPS)), Err(Exhausted));
        assert_eq!(assign(&edges, &mut Budget::new(STEPS)), Err(Exhausted));
        assert_eq!(judge(&edges, &mut unlimited()), Ok(Verdict::OneThreadTwice));
    }

    /// A ring of a thousand threads is decided in steps that grow as it does.
    #[test]
    fn a_long_cycle_is_decided() {
        let ring = |threads: u64| -> Vec<Vec<Choice>> {
            let edge = |lock| vec![Choice::now(&sighting(lock % threads, &[(lock, X)]), 0)];
            (0..1_000).map(edge).collect()
        };
        let mut budget = Budget::new(STEPS);
        assert_eq!(judge(&ring(1_000), &mut budget), Ok(Verdict::Feasible));
        assert_eq!(judge(&ring(999), &mut budget), Ok(Verdict::OneThreadTwice));
        assert!(budget.left() > STEPS / 2);
    }

    /// Sets of up to three small elements have distinct hashes.
    #[test]
    fn sets_do_not_collide() {
        let elements: Vec<Element> = (1..=12)
            .flat_map(|number| {
                let settled = [Settled::No, Settled::ForFamily, Settled::ForAll];
                let threads = settled.map(|settled| Element::Thread(number, settled));
                let segments = [1, SPAWNED].map(|index| Element::Segment(number, index));
                let held = [X, S].map(|mode| Element::Held(Tag::new(number, mode)));
                let passed = [Element::Passed(number), Element::Passed(number + 12)];
                [&threads[..], &segments, &held, &passed].concat()
            })
            .collect();
        let hashes: Vec<u64> = elements.into_iter().map(hash).collect();
        let mut sums = FxHashSet::default();
        for (a, &one) in hashes.iter().enumerate() {
            assert!(sums.insert(one));
            for (b, &two) in hashes.iter().enumerate().skip(a + 1) {
                let pair = one.wrapping_add(two);
                assert!(sums.insert(pair));
                let thirds = hashes.iter().skip(b + 1);
                assert!(thirds.copied().all(|three| sums.insert(pair.wrapping_add(three))));
            }
        }
    }

    /// What a thread holds.
    fn any_locks() -> impl Strategy<Value = Vec<Tag>> {
        let locks =
            prop::collection::btree_map(1..5_u64, prop::sample::select(vec![X, S, U]), 0..3);
        locks.prop_map(|locks| locks.into_iter().map(|(lock, mode)| Tag::new(lock, mode)).collect())
    }

    /// Decides as [`judge`] does, by trying all choices.
    fn naive_verdict(
        edges: &[Vec<(&Observed, Sighting)>],
        may_meet: &dyn Fn(&Observed, &Observed) -> bool,
    ) -> Verdict {
        type Observation<'a> = (&'a Observed, Sighting);
        fn with_each<'a>(
            chosen: &[&'a Observation<'a>],
            edge: &'a [Observation<'a>],
        ) -> Vec<Vec<&'a Observation<'a>>> {
            edge.iter().map(|it| chosen.iter().copied().chain([it]).collect()).collect()
        }
        let mut all: Vec<Vec<&Observation<'_>>> = vec![Vec::new()];
        for edge in edges {
            all = all.iter().flat_map(|chosen| with_each(chosen, edge)).collect();
        }
        let any = |may: &dyn Fn(&Observation<'_>, &Observation<'_>) -> bool| {
            all.iter()
                .any(|chosen| (0..chosen.len()).all(|i| (0..i).all(|j| may(chosen[i], chosen[j]))))
        };
        let are_two = |a: &Observation<'_>, b: &Observation<'_>| a.1.thread() != b.1.thread();
        let are_free = |a: &Observation<'_>, b: &Observation<'_>| a.1.gate_with(&b.1).is_none();
        if any(&|a, b| are_two(a, b) && are_free(a, b) && may_meet(a.0, b.0)) {
            Verdict::Feasible
        } else if any(&|a, b| are_two(a, b) && are_free(a, b)) {
            let is_of_one = any(&|a, b| !are_two(a, b) && are_free(a, b));
            if is_of_one { Verdict::OneThreadTwice } else { Verdict::Ordered }
        } else if any(&are_free) && !any(&are_two) {
            Verdict::OneThreadTwice
        } else {
            Verdict::Guarded(Vec::new())
        }
    }

    proptest! {
        /// Against all choices that there are.
        #[test]
        fn agrees_with_trying_everything(
            edges in prop::collection::vec(
                prop::collection::vec((1..4_u64, prop::collection::btree_map(1..5_u64, 0..3_usize, 0..3)), 1..4),
                2..4,
            ),
            budget in 0..100_u32,
        ) {
            let held = [X, S, U];
            let edges: Vec<Vec<Sighting>> = edges.into_iter().map(|edge| {
                edge.into_iter().map(|(thread, locks)| {
                    Sighting::new(segment(thread), locks.into_iter().map(|(lock, mode)| Tag::new(lock, held[mode])))
                }).collect()
            }).collect();
            let all = edges.iter().fold(vec![Vec::new()], |partial: Vec<Vec<&Sighting>>, edge| {
                partial.iter().flat_map(|chosen| edge.iter().map(move |it| {
                    chosen.iter().copied().chain([it]).collect()
                })).collect()
            });
            let pairs_all = |chosen: &[&Sighting], may: &dyn Fn(&Sighting, &Sighting) -> bool| {
                (0..chosen.len()).all(|i| (0..i).all(|j| may(chosen[i], chosen[j])))
            };
            let expected = all.iter().any(|chosen| pairs_all(chosen, &|a, b| {
                a.thread() != b.thread() && a.gate_with(b).is_none()
            }));
            // Every sighting is offered, none is left out: they stand for nobody else.
            let choices: Vec<Vec<Choice>> = edges.iter()
                .map(|edge| edge.iter().enumerate().map(|(at, it)| Choice::now(it, at)).collect())
                .collect();
            let chosen = assign(&choices, &mut unlimited()).unwrap();
            prop_assert_eq!(chosen.is_some(), expected);
            if let Some(chosen) = chosen {
                let chosen: Vec<_> = edges.iter().zip(chosen).map(|(edge, at)| &edge[at]).collect();
                prop_assert!(pairs_all(&chosen, &|a, b| a.thread() != b.thread() && a.gate_with(b).is_none()));
            }
            // A smaller budget gives the same answer or none.
            if let Ok(chosen) = assign(&choices, &mut Budget::new(budget)) {
                prop_assert_eq!(chosen.is_some(), expected);
            }
            // With two edges, what is left out changes nothing.
            if edges.len() == 2 {
                prop_assert_eq!(verdict(&edges) == Verdict::Feasible, expected);
            }
        }

        /// Against all choices that there are, by threads whose descent is known.
        #[test]
        fn agrees_with_trying_everything_at_any_time(
            steps in prop::collection::vec(histories::any_step(), 4..40),
            roots in 1..3_usize,
            edges in prop::collection::vec(
                prop::collection::vec((any::<prop::sample::Index>(), any_locks()), 1..5),
                2..4,
            ),
        ) {
            let mut history = History::new(roots);
            let observed: Vec<_> =
                steps.into_iter().filter_map(|step| history.step(step)).collect();
            prop_assume!(!observed.is_empty());
            let edges: Vec<Vec<(&Observed, Sighting)>> = edges.into_iter().map(|edge| {
                edge.into_iter().map(|(at, locks)| {
                    let at = at.get(&observed);
                    (at, Sighting::new(at.segment.clone(), locks))
                }).collect()
            }).collect();
            let choices: Vec<Vec<Choice>> = edges.iter()
                .map(|edge| edge.iter().enumerate().map(|(at, (_, it))| Choice::now(it, at)).collect())
                .collect();
            let expected = naive_verdict(&edges, &|one, other| !history.are_apart(one, other));
            let found = judge(&choices, &mut unlimited()).unwrap();
            prop_assert_eq!(mem::discriminant(&found), mem::discriminant(&expected));
        }

        /// A cycle is judged again and again, as threads are observed at its edges, of which not all
        /// observations are kept. Nothing is missed by that, and nothing is invented unless other threads
        /// are supposed.
        #[test]
        fn agrees_with_remembering_everything(
            steps in prop::collection::vec((histories::any_step(), 0..3_usize, any_locks()), 4..60),
            roots in 1..3_usize,
            edges in 2..4_usize,
        ) {
            let mut history = History::new(roots);
            let mut stored: Vec<Sightings<()>> = (0..edges).map(|_| Sightings::default()).collect();
            let mut all: Vec<Vec<(Observed, Sighting)>> = (0..edges).map(|_| Vec::new()).collect();
            // As the chains that are judged no more.
            let mut settled = Vec::new();
            let (mut is_found, mut is_expected) = (false, false);
            for (step, at, locks) in steps {
                let Some(observed) = history.step(step) else { continue };
                let at = at % edges;
                let sighting = Sighting::new(observed.segment.clone(), locks);
                let is_supposed = all.iter().any(|edge| edge.len() >= ENOUGH);
                let is_settled = settled.iter().any(|(edge, known, by): &(usize, Sighting, _)| {
                    let is_by = match by {
                        Settled::No => known.segment.is_like(&sighting.segment),
                        Settled::ForFamily => known.segment.family() == sighting.segment.family(),
                        Settled::ForAll => true,
                    };
                    *edge == at && known.held == sighting.held && is_by
                });
                if !is_settled {
                    let is_on_cycle = (0..edges).all(|edge| edge == at || !all[edge].is_empty());
                    let mut choices: Vec<_> = stored.iter().map(Sightings::choices).collect();
                    choices[at] = vec![Choice::now(&sighting, 0)];
                    is_found |= assign(&choices, &mut unlimited()).unwrap().is_some();
                    if stored[at].knows(&sighting) {
                        let by = stored[at].settled_for(&sighting).on_cycle(is_on_cycle);
                        settled.push((at, sighting.clone(), by));
                    } else {
                        stored[at].learn(sighting.clone(), ());
                    }
                }
                all[at].push((observed, sighting));
                let all: Vec<Vec<_>> = all.iter()
                    .map(|edge| edge.iter().map(|(at, it)| (at, it.clone())).collect())
                    .collect();
                let may_meet = |one: &Observed, other: &Observed| !history.are_apart(one, other);
                is_expected |= naive_verdict(&all, &may_meet) == Verdict::Feasible;
                if edges == 2 {
                    prop_assert!(is_found || !is_expected);
                }
                prop_assert!(!is_found || is_expected || is_supposed);
            }
        }

        /// An [`Index`] admits what comparing with each choice admits.
        #[test]
        fn the_index_agrees_with_comparing_each(
            all in prop::collection::vec(
                (0..6_usize, 0..3_usize, prop::collection::btree_map(1..6_u64, 0..3_usize, 0..3), any::<bool>()),
                1..12,
            ),
            edges in 2..6_usize,
            threads in any::<bool>(),
            gates in any::<bool>(),
            times in prop::sample::select(vec![Times::Any, Times::Meeting, Times::Met]),
        ) {
            let held = [X, S, U];
            let family = family();
            let settled = [Settled::No, Settled::ForFamily, Settled::ForAll];
            let all: Vec<_> = all.into_iter().map(|(at, stands_for, locks, pops)| {
                let tags = locks.into_iter().map(|(lock, mode)| Tag::new(lock, held[mode]));
                let sighting = Sighting::new(family[at].clone(), tags);
                (Choice { at: 0, sighting, stands_for: settled[stands_for] }, pops)
            }).collect();
            let cycle = vec![all.iter().map(|(choice, _)| choice.clone()).collect(); edges];
            let rules = Rules { threads, gates, times };
            let mut naive = Chosen::new(rules, &cycle);
            let mut indexed = Chosen::new(rules, &cycle);
            indexed.index = Some(Index::default());
            for (choice, pops) in &all {
                prop_assert_eq!(naive.admits(choice), indexed.admits(choice));
                if *pops {
                    naive.pop();
                    indexed.pop();
                } else {
                    naive.push(choice);
                    indexed.push(choice);
                }
            }
        }
    }
}
