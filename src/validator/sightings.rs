//! By whom an edge was seen, and what else they held: whether the threads of a cycle can all
//! stand where it needs them, at the same time. Pure.
//!
//! A cycle of n edges closes when n threads hold one lock of it each and want the next. So its
//! edges have to be seen on different threads, no two of which hold a lock in modes that
//! exclude each other: such a lock, held around the cycle or in it, is a gate that lets one of
//! them through at a time.

use std::{
    hash::{BuildHasher, Hash},
    slice,
    sync::Arc,
};

use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::{held::Tag, identity::LockId};
use crate::finding::Mode;

/// A thread that took an edge, and all that it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Sighting {
    thread: u64,
    held: Locks,
}

/// Sorted. Most threads hold one lock when they take another, which needs no allocation.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Locks {
    One(Tag),
    Many(Arc<(Summary, Box<[Tag]>)>),
}

/// What tells quickly that two sets of locks have nothing to do with each other, and which set one is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Summary {
    /// A bit for each lock. Locks that were made one after the other have their own.
    locks: u64,
    /// The same of those that are not held as readers hold them.
    exclusive: u64,
    /// A hash. That of sets without common elements is the sum of theirs.
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
                hash: sum.hash.wrapping_add(hash((tag.lock(), tag.mode() as u8))),
            }
        };
        tags.iter().fold(Self::default(), with)
    }
}

/// For sums of hashes.
pub(super) fn hash(of: impl Hash) -> u64 {
    // The last step of this hash is a multiplication, which a sum would undo.
    let hash = FxBuildHasher.hash_one(of);
    (hash ^ hash >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9)
}

/// How many sightings of one edge are kept.
const KEPT: usize = 8;

/// How many threads have to show the same before more of them are no news. With two, no
/// cycle of two edges is judged wrongly, with three none of three; of longer ones it is
/// supposed that yet another thread may do what so many did.
const ENOUGH: usize = 3;

impl Sighting {
    pub(super) fn new(thread: u64, held: impl IntoIterator<Item = Tag>) -> Self {
        let mut held = held.into_iter();
        let held = match (held.next(), held.next()) {
            (Some(one), None) => Locks::One(one),
            (one, another) => {
                let all = one.into_iter().chain(another).chain(held);
                let mut all: SmallVec<[Tag; 16]> = all.collect();
                all.sort_unstable();
                Locks::Many(Arc::new((Summary::of(&all), Box::from(&all[..]))))
            }
        };
        Self { thread, held }
    }

    fn held(&self) -> &[Tag] {
        match &self.held {
            Locks::One(tag) => slice::from_ref(tag),
            Locks::Many(many) => &many.1,
        }
    }

    fn summary(&self) -> Summary {
        match &self.held {
            Locks::One(tag) => Summary::of(slice::from_ref(tag)),
            Locks::Many(many) => many.0,
        }
    }

    /// Whether it is of a thread that held one lock.
    pub(super) fn is_of_one(&self) -> bool {
        matches!(self.held, Locks::One(_))
    }

    /// The thread.
    pub(super) fn thread(&self) -> u64 {
        self.thread
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
    /// A bit for each of them of which enough others are [settled](Self::is_settled_for).
    settled: u8,
}

impl<T> Default for Sightings<T> {
    fn default() -> Self {
        Self { all: SmallVec::new(), settled: 0 }
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

    /// Whether one more would change nothing: this thread or enough others did the same
    /// under no more gates.
    pub(super) fn knows(&self, new: &Sighting) -> bool {
        self.iter().any(|known| known.thread == new.thread && known.is_as_free_as(new))
            || self.is_settled_for(new)
    }

    /// Whether one more would change nothing, whichever thread it is of.
    pub(super) fn is_settled_for(&self, new: &Sighting) -> bool {
        if self.all.len() < ENOUGH {
            return false;
        }
        let mut threads: SmallVec<[u64; ENOUGH]> = SmallVec::new();
        self.iter().filter(|known| known.is_as_free_as(new)).any(|known| {
            if !threads.contains(&known.thread) {
                threads.push(known.thread);
            }
            threads.len() == ENOUGH
        })
    }

    /// Keeps one that is [news](Self::knows).
    pub(super) fn learn(&mut self, new: Sighting, what: T) {
        let implied = |known: &Sighting| known.thread == new.thread && new.is_as_free_as(known);
        let mut at = 0;
        let before = self.all.len();
        self.all.retain(|(known, _)| {
            at += 1;
            at == 1 || !implied(known)
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
            self.settled = 0;
        }
        // Where there is one more, it changes nothing for those that are less free or settled already.
        for at in 0..self.all.len() {
            let of = &self.all[at].0;
            let may_be = self.settled & 1 << at == 0
                && (!is_more || self.all[self.all.len() - 1].0.is_as_free_as(of));
            if may_be && self.is_settled_for(of) {
                self.settled |= 1 << at;
            }
        }
    }

    /// All that may be chosen for this edge.
    pub(super) fn choices(&self) -> Vec<Choice> {
        let choice =
            |(at, sighting): (usize, &Sighting)| Choice {
            at,
            sighting: sighting.clone(),
            stands_for_others: self.stands_for_others(at),
        };
        self.iter().enumerate().map(choice).collect()
    }

    /// Whether a thread that was not kept may have been seen to do the same.
    fn stands_for_others(&self, at: usize) -> bool {
        self.settled & 1 << at != 0
    }
}

/// What the sightings of a cycle's edges have to say.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It can close.
    Feasible,
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
    /// Threads that did the same may not have been kept.
    stands_for_others: bool,
}

impl Choice {
    /// A sighting that is being made right now, and is kept there if it is.
    pub(super) fn now(sighting: &Sighting, at: usize) -> Self {
        Self { at, sighting: sighting.clone(), stands_for_others: false }
    }

    /// Whether both can be chosen for edges of a cycle of so many.
    pub(super) fn goes_with(&self, other: &Self, edges: usize) -> bool {
        self.is_apart_from(other, edges) && self.is_free_of(other)
    }

    /// All that matters of it to what else may be chosen, as one number. That of several is the sum of
    /// theirs.
    pub(super) fn hash(&self) -> u64 {
        let thread = hash((self.sighting.thread, self.stands_for_others));
        thread.wrapping_add(self.sighting.summary().hash)
    }

    /// Whether two choices may be of different threads: maybe of one that was not kept, for
    /// which there is need only in a cycle of more than [`ENOUGH`] edges.
    fn is_apart_from(&self, other: &Self, edges: usize) -> bool {
        self.sighting.thread != other.sighting.thread
            || edges > ENOUGH && (self.stands_for_others || other.stands_for_others)
    }

    fn is_free_of(&self, other: &Self) -> bool {
        self.sighting.gate_with(&other.sighting).is_none()
    }
}

/// One choice for each edge of a path, so that all threads can be there at the same time.
pub(super) fn assign(path: &[Vec<Choice>]) -> Option<Vec<Choice>> {
    let edges = path.len();
    choose(path, |one, other| one.goes_with(other, edges))
}

/// Why a cycle cannot close, if it cannot.
pub(super) fn judge(cycle: &[Vec<Choice>]) -> Verdict {
    let edges = cycle.len();
    if assign(cycle).is_some() {
        return Verdict::Feasible;
    }
    let is_free = choose(cycle, Choice::is_free_of).is_some();
    if is_free && choose(cycle, |one, other| one.is_apart_from(other, edges)).is_none() {
        return Verdict::OneThreadTwice;
    }
    let all = cycle.iter().enumerate().flat_map(|(at, edge)| {
        let others = cycle[at + 1..].iter().flatten();
        edge.iter().flat_map(move |one| others.clone().map(move |other| (one, other)))
    });
    let mut gates: Vec<_> =
        all.filter_map(|(one, other)| one.sighting.gate_with(&other.sighting)).collect();
    gates.sort_unstable();
    gates.dedup();
    Verdict::Guarded(gates)
}

/// One choice for each edge, such that every two may go together: tries them all, the last
/// edge first to be chosen anew. The question is a hard one: after a while the answer is yes.
fn choose(
    path: &[Vec<Choice>],
    may_go_together: impl Fn(&Choice, &Choice) -> bool,
) -> Option<Vec<Choice>> {
    let mut patience = 1_000_u32;
    let mut chosen: Vec<(usize, Choice)> = Vec::with_capacity(path.len());
    let mut from = 0;
    while let Some(edge) = path.get(chosen.len()) {
        patience = patience.saturating_sub(1);
        let fits = |candidate: &Choice| {
            patience == 0 || chosen.iter().all(|(_, before)| may_go_together(before, candidate))
        };
        match (from..edge.len()).find(|&at| fits(&edge[at])) {
            Some(at) => {
                chosen.push((at, edge[at].clone()));
                from = 0;
            }
            None => from = chosen.pop()?.0 + 1,
        }
    }
    Some(chosen.into_iter().map(|(_, choice)| choice).collect())
}

#[cfg(all(test, not(loom)))]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sighting(thread: u64, held: &[(u64, Mode)]) -> Sighting {
        Sighting::new(thread, held.iter().map(|&(lock, mode)| Tag::new(lock, mode)))
    }

    fn seen(sightings: &[Sighting]) -> Sightings<()> {
        let mut all = Sightings::default();
        for sighting in sightings {
            if !all.knows(sighting) {
                all.learn(sighting.clone(), ());
            }
        }
        all
    }

    fn verdict(edges: &[Vec<Sighting>]) -> Verdict {
        let edges: Vec<_> = edges.iter().map(|edge| seen(edge)).collect();
        judge(&edges.iter().map(Sightings::choices).collect::<Vec<_>>())
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
        let mut edge = seen(&[sighting(1, &held)]);
        assert!(edge.knows(&sighting(1, &held)) && !edge.knows(&sighting(2, &held)));
        assert!(edge.knows(&sighting(1, &[(1, X), (5, S)])), "with more gates");
        edge.learn(sighting(2, &held), ());
        assert!(!edge.knows(&sighting(3, &held)));
        edge.learn(sighting(3, &held), ());
        assert!(edge.knows(&sighting(4, &held)) && edge.is_settled_for(&sighting(1, &held)));
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

    proptest! {
        /// Against all choices that there are.
        #[test]
        fn agrees_with_trying_everything(
            edges in prop::collection::vec(
                prop::collection::vec((1..4_u64, prop::collection::btree_map(1..5_u64, 0..3_usize, 0..3)), 1..4),
                2..4,
            ),
        ) {
            let held = [X, S, U];
            let edges: Vec<Vec<Sighting>> = edges.into_iter().map(|edge| {
                edge.into_iter().map(|(thread, locks)| {
                    Sighting::new(thread, locks.into_iter().map(|(lock, mode)| Tag::new(lock, held[mode])))
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
                a.thread != b.thread && a.gate_with(b).is_none()
            }));
            // Every sighting is offered, none is left out: they stand for nobody else.
            let choices: Vec<Vec<Choice>> = edges.iter()
                .map(|edge| edge.iter().map(|it| Choice::now(it, 0)).collect()).collect();
            prop_assert_eq!(assign(&choices).is_some(), expected);
            // With two edges, what is left out changes nothing.
            if edges.len() == 2 {
                prop_assert_eq!(verdict(&edges) == Verdict::Feasible, expected);
            }
        }
    }
}
