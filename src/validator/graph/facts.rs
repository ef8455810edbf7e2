//! The observations of each edge: which threads made it, where, and what else they held.
//!
//! An edge of the order graph has five bytes for them, a tag and a number, so that an edge fits
//! into half a cache line. The store maps the number to the observations. It counts its edges by
//! hand: an edge that is removed must be [released](FactStore::forget).

use std::{
    mem, ptr,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
};

use rustc_hash::FxHashMap;

use super::{
    observations::{Choice, Observation, Observations, Settled},
    shown::Shown,
};
use crate::validator::context::held::{Entry, Tag};

/// The observations of an edge, by number.
///
/// Nearly all edges were observed once, by a thread that held only the tail. Then the thread and
/// the two locations are the whole observation.
#[derive(Debug, Default)]
pub(super) enum EdgeFacts {
    #[default]
    Unseen,
    Once(Number),
    More(Number),
}

/// An unaligned number, which needs no padding.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number([u8; 4]);

impl Number {
    fn new(number: u32) -> Self {
        Self(number.to_ne_bytes())
    }

    fn get(self) -> u32 {
        u32::from_ne_bytes(self.0)
    }
}

/// Values by number. A number is reused only after all others.
struct Numbered<T> {
    values: FxHashMap<u32, T>,
    next: u32,
}

impl<T> Default for Numbered<T> {
    fn default() -> Self {
        Self { values: FxHashMap::default(), next: 0 }
    }
}

impl<T> Numbered<T> {
    fn insert(&mut self, value: T) -> Number {
        while self.values.contains_key(&self.next) {
            self.next = self.next.wrapping_add(1);
        }
        self.values.insert(self.next, value);
        let number = Number::new(self.next);
        self.next = self.next.wrapping_add(1);
        number
    }

    fn get(&self, number: Number) -> &T {
        &self.values[&number.get()]
    }

    fn get_mut(&mut self, number: Number) -> &mut T {
        self.values.get_mut(&number.get()).expect("the edge has this number")
    }

    fn remove(&mut self, number: Number) {
        self.values.remove(&number.get());
        // Keeps some slack, so that churn does not make the table grow and shrink all the time.
        if self.values.len() < self.values.capacity() / 8 {
            self.values.shrink_to(self.values.len() * 2);
        }
    }
}

/// The edges that were observed once with the same [`Shown`]. They share one number.
#[derive(Debug, Default)]
pub(super) struct OnceEdges {
    /// Valid if `count` is not 0.
    number: AtomicU32,
    count: AtomicU32,
}

/// The observations of all edges.
#[derive(Default)]
pub(super) struct FactStore {
    once: Numbered<Arc<Shown>>,
    /// Boxed, because a hash table may be half empty.
    more: Numbered<Box<Observations<Arc<Shown>>>>,
}

impl FactStore {
    /// Returns the facts of an edge that was observed once, by a thread that held only the tail.
    pub(super) fn once(&mut self, shown: &Arc<Shown>) -> EdgeFacts {
        // Only the holder of the graph's lock writes them.
        let OnceEdges { number, count } = &shown.once_edges;
        let known = count.load(Relaxed);
        count.store(known + 1, Relaxed);
        if known == 0 {
            let new = self.once.insert(Arc::clone(shown));
            number.store(new.get(), Relaxed);
        }
        EdgeFacts::Once(Number::new(number.load(Relaxed)))
    }

    fn forget_once(&mut self, number: Number) {
        let count = &self.once.get(number).once_edges.count;
        let left = count.load(Relaxed) - 1;
        count.store(left, Relaxed);
        if left == 0 {
            self.once.remove(number);
        }
    }

    /// Releases the facts of an edge that was removed.
    #[allow(clippy::needless_pass_by_value, reason = "the number must not be used again")]
    pub(super) fn forget(&mut self, facts: EdgeFacts) {
        match facts {
            EdgeFacts::Unseen => {}
            EdgeFacts::Once(number) => self.forget_once(number),
            EdgeFacts::More(number) => self.more.remove(number),
        }
    }

    /// Returns `true` if one more observation would change nothing.
    pub(super) fn knows(&self, facts: &EdgeFacts, new: &Observation) -> bool {
        match *facts {
            EdgeFacts::Unseen => false,
            // Such an observation holds the tail as well, in the same mode.
            EdgeFacts::Once(number) => self.once.get(number).segment().is_like(new.segment()),
            EdgeFacts::More(number) => self.more.get(number).knows(new),
        }
    }

    /// Returns the `Shown` of an earlier observation at the same two locations that differs from
    /// this one only in time. Then no stack is captured.
    pub(super) fn shown_earlier(
        &self,
        facts: &EdgeFacts,
        new: &Observation,
        [held, wanted]: [&Entry; 2],
    ) -> Option<&Arc<Shown>> {
        let earlier = match *facts {
            EdgeFacts::Unseen => None,
            EdgeFacts::Once(number) => {
                Some(self.once.get(number)).filter(|shown| shown.segment().thread == new.thread())
            }
            EdgeFacts::More(number) => self.more.get(number).of_earlier(new),
        };
        earlier.filter(|shown| {
            ptr::eq(shown.held_at, held.site) && ptr::eq(shown.acquired_at, wanted.site)
        })
    }

    pub(super) fn settled_for(&self, facts: &EdgeFacts, new: &Observation) -> Settled {
        match *facts {
            EdgeFacts::Unseen | EdgeFacts::Once(_) => Settled::No,
            EdgeFacts::More(number) => self.more.get(number).settled_for(new),
        }
    }

    /// Adds a new observation of an edge with this tail.
    pub(super) fn learn(
        &mut self,
        facts: &mut EdgeFacts,
        held: Tag,
        new: Observation,
        shown: Arc<Shown>,
    ) {
        let mut observations = Observations::default();
        match *facts {
            EdgeFacts::Unseen if new.is_of_one() => {
                *facts = self.once(&shown);
                return;
            }
            EdgeFacts::More(number) => return self.more.get_mut(number).learn(new, shown),
            EdgeFacts::Unseen => {}
            EdgeFacts::Once(number) => {
                let first = Arc::clone(self.once.get(number));
                self.forget_once(number);
                observations.learn(Observation::new(first.segment().clone(), [held]), first);
            }
        }
        observations.learn(new, shown);
        *facts = EdgeFacts::More(self.more.insert(Box::new(observations)));
    }

    /// Returns `true` if an edge was observed in several ways.
    pub(super) fn are_several(&self, facts: &EdgeFacts) -> bool {
        matches!(*facts, EdgeFacts::More(number) if self.more.get(number).len() > 1)
    }

    /// As [`knows`](Self::knows), from all observations but the first.
    pub(super) fn knows_after_first(&self, facts: &EdgeFacts, new: &Observation) -> bool {
        match *facts {
            EdgeFacts::Unseen | EdgeFacts::Once(_) => false,
            EdgeFacts::More(number) => self.more.get(number).knows_after_first(new),
        }
    }

    /// Returns `true` if an observation makes an edge's first one redundant.
    pub(super) fn repeats_first(&self, facts: &EdgeFacts, new: &Observation) -> bool {
        match *facts {
            EdgeFacts::Unseen => false,
            EdgeFacts::Once(number) => {
                new.is_of_one() && self.once.get(number).segment().is_like(new.segment())
            }
            EdgeFacts::More(number) => self.more.get(number).repeats_first(new),
        }
    }

    /// Puts another observation in the place of an edge's first one.
    pub(super) fn replace_first(
        &mut self,
        facts: &mut EdgeFacts,
        held: Tag,
        new: Observation,
        shown: Arc<Shown>,
    ) {
        match *facts {
            EdgeFacts::More(number) => self.more.get_mut(number).replace_first(new, shown),
            EdgeFacts::Unseen | EdgeFacts::Once(_) => {
                self.forget(mem::take(facts));
                self.learn(facts, held, new, shown);
            }
        }
    }

    /// Removes the first of an edge's [several](Self::are_several) observations.
    pub(super) fn forget_first(&mut self, facts: &EdgeFacts) {
        if let EdgeFacts::More(number) = *facts {
            self.more.get_mut(number).forget_first();
        }
    }

    /// Returns the observations of an edge with this tail.
    pub(super) fn choices(&self, facts: &EdgeFacts, held: Tag) -> Vec<Choice> {
        match *facts {
            EdgeFacts::Unseen => Vec::new(),
            EdgeFacts::Once(number) => {
                let segment = self.once.get(number).segment().clone();
                vec![Choice::now(&Observation::new(segment, [held]), 0)]
            }
            EdgeFacts::More(number) => self.more.get(number).choices(),
        }
    }

    /// Returns what a report shows of one of the observations.
    pub(super) fn get(&self, facts: &EdgeFacts, at: usize) -> Option<&Arc<Shown>> {
        match *facts {
            EdgeFacts::Unseen => None,
            EdgeFacts::Once(number) => Some(self.once.get(number)),
            EdgeFacts::More(number) => self.more.get(number).get(at),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::panic::Location;

    use super::*;
    use crate::{
        finding::Mode,
        stack::Stack,
        validator::{context::registry, graph::shown::AllShown},
    };

    fn held() -> Tag {
        Tag::new(1, Mode::Exclusive)
    }

    /// Returns two different observations of an edge by one thread.
    fn two_shown() -> [Arc<Shown>; 2] {
        let context = registry::take_up();
        let mut all = AllShown::default();
        let entry = |site| Entry { tag: held(), site };
        let here = [Location::caller(), {
            #[track_caller]
            fn there() -> &'static Location<'static> {
                Location::caller()
            }
            there()
        }];
        let shown = here.map(|site| {
            all.now(context, &context.segment(), [&entry(site), &entry(site)], &Stack::default())
        });
        registry::give_back(context);
        shown
    }

    #[test]
    fn edges_with_the_same_observation_share_a_number() {
        let mut store = FactStore::default();
        let [shown, other] = two_shown();
        let edges: Vec<_> = (0..10).map(|_| store.once(&shown)).collect();
        let another = store.once(&other);
        assert_eq!(store.once.values.len(), 2);
        for facts in &edges {
            assert!(Arc::ptr_eq(store.get(facts, 0).unwrap(), &shown));
        }
        // The last edge frees the number. A later edge gets a new one.
        for facts in edges {
            store.forget(facts);
        }
        assert_eq!(store.once.values.len(), 1);
        let again = store.once(&shown);
        assert!(Arc::ptr_eq(store.get(&again, 0).unwrap(), &shown));
        assert!(Arc::ptr_eq(store.get(&another, 0).unwrap(), &other));
        store.forget(again);
        store.forget(another);
        assert!(store.once.values.is_empty());
        assert_eq!([&shown, &other].map(Arc::strong_count), [1, 1]);
    }

    #[test]
    fn an_edge_with_two_observations_is_separate() {
        let mut store = FactStore::default();
        let [shown, other] = two_shown();
        let (mut edge, stays) = (store.once(&shown), store.once(&shown));
        let mut segment = shown.segment().clone();
        segment.thread += 1;
        let by_another = Observation::new(segment, [held()]);
        assert!(!store.knows(&edge, &by_another));
        store.learn(&mut edge, held(), by_another.clone(), Arc::clone(&other));
        assert!(store.knows(&edge, &by_another) && !store.knows(&stays, &by_another));
        assert!(Arc::ptr_eq(store.get(&edge, 0).unwrap(), &shown));
        assert!(Arc::ptr_eq(store.get(&edge, 1).unwrap(), &other));
        assert_eq!(store.choices(&edge, held()).len(), 2);
        store.forget(stays);
        assert!(Arc::ptr_eq(store.get(&edge, 0).unwrap(), &shown));
        store.forget(edge);
        assert!(store.once.values.is_empty() && store.more.values.is_empty());
    }

    #[test]
    fn a_number_in_use_is_not_reused() {
        let mut numbered = Numbered { next: u32::MAX - 1, ..Numbered::default() };
        let first = [0, 1, 2].map(|value| numbered.insert(value));
        assert_eq!(first.map(Number::get), [u32::MAX - 1, u32::MAX, 0]);
        numbered.next = u32::MAX - 1;
        assert_eq!(numbered.insert(3).get(), 1);
        assert_eq!(first.map(|number| *numbered.get(number)), [0, 1, 2]);
    }

    #[test]
    fn the_table_shrinks_with_its_contents() {
        let mut numbered = Numbered::default();
        let all: Vec<_> = (0..10_000).map(|value| numbered.insert(value)).collect();
        for &number in &all[1..] {
            numbered.remove(number);
        }
        assert_eq!(*numbered.get(all[0]), 0);
        assert!(numbered.values.capacity() < 100);
    }
}
