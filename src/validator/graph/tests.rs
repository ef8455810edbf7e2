//! Compares the search for cycles with brute force: all simple cycles, and all choices of an
//! observation for each of their edges.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{budget::STEPS, *};
use crate::{
    finding::FindingKind,
    stack::Stack,
    validator::context::{held::Tag, lineage::Segment, registry},
};

const LOCKS: LockId = 6;

/// An edge keeps all of these. The model does not cover which of more it keeps.
const MAX_OBSERVATIONS: usize = 8;

type Held = BTreeMap<LockId, Mode>;

#[derive(Clone, Debug)]
enum Op {
    /// A thread that holds some locks acquires another one.
    Take { thread: u64, held: Held, wanted: (LockId, Mode) },
    /// A lock is written for the first time.
    Write(LockId),
}

/// Operations on a few locks, in the modes of a mutex or, sometimes, any mode.
fn ops(locks: LockId, threads: u64, length: usize) -> impl Strategy<Value = Vec<Op>> {
    use Mode::{Exclusive, RecursiveShared, Shared, Upgradable};

    let any_mode = prop::bool::weighted(0.5);
    any_mode.prop_flat_map(move |any_mode| {
        let modes = |all: &[Mode]| {
            let all = if any_mode { all.to_vec() } else { vec![Exclusive] };
            prop::sample::select(all)
        };
        let held = modes(&[Exclusive, Exclusive, Shared, Upgradable]);
        let wanted = modes(&[Exclusive, Exclusive, Shared, RecursiveShared, Upgradable]);
        let held_locks = prop_oneof![
            4 => prop::collection::vec((1..=locks, held.clone()), 1),
            2 => prop::collection::vec((1..=locks, held.clone()), 2),
            1 => prop::collection::vec((1..=locks, held), 3),
        ];
        let held_locks = held_locks.prop_map(Held::from_iter);
        let take = (1..=threads, held_locks, 1..=locks, wanted);
        let op = prop_oneof![
            16 => take.prop_map(|(thread, held, lock, mode)| {
                Op::Take { thread, held, wanted: (lock, mode) }
            }),
            1 => (1..=locks).prop_map(Op::Write),
        ];
        prop::collection::vec(op, 0..length)
    })
}

fn small() -> impl Strategy<Value = Vec<Op>> {
    prop_oneof![ops(LOCKS, 3, 24), ops(LOCKS, 5, 24), ops(4, 4, 40), ops(LOCKS, 9, 40)]
}

/// Two locks, and the modes in which one is held and the other wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct NaiveEdge {
    tail: LockId,
    held: u8,
    head: LockId,
    wanted: u8,
}

impl NaiveEdge {
    fn new((tail, held): (LockId, Mode), (head, wanted): (LockId, Mode)) -> Self {
        Self { tail, held: held as u8, head, wanted: wanted as u8 }
    }

    fn of(edge: &Edge) -> Self {
        Self::new((edge.held.id, edge.held_mode), (edge.wanted.id, edge.wanted_mode))
    }

    fn held(&self) -> Mode {
        Mode::ALL[usize::from(self.held)]
    }

    fn wanted(&self) -> Mode {
        Mode::ALL[usize::from(self.wanted)]
    }
}

/// A thread, and everything that it held.
#[derive(Clone, Debug)]
struct NaiveObservation {
    thread: u64,
    held: Held,
    is_common: bool,
}

impl NaiveObservation {
    fn excludes(&self, other: &Self) -> bool {
        self.held.iter().any(|(lock, &own)| {
            other.held.get(lock).is_some_and(|&their| match (own, their) {
                (Mode::Shared, their) => their == Mode::Exclusive,
                (own, Mode::Shared) => own == Mode::Exclusive,
                _ => true,
            })
        })
    }

    fn is_as_free_as(&self, other: &Self) -> bool {
        let strength = |mode: Option<&Mode>| {
            mode.and_then(|it| {
                [Mode::Shared, Mode::Upgradable, Mode::Exclusive].iter().position(|m| m == it)
            })
        };
        self.held.iter().all(|(lock, own)| strength(other.held.get(lock)) >= strength(Some(own)))
    }
}

/// All observations, and the graph under test.
struct Model {
    graph: LockGraph,
    context: &'static Context,
    edges: BTreeMap<NaiveEdge, Vec<NaiveObservation>>,
    writers: BTreeSet<LockId>,
    /// Edges that closed a cycle when they were new.
    closing: BTreeSet<NaiveEdge>,
    /// The largest number of steps of one search.
    longest: u32,
    cut_short: u32,
}

impl Drop for Model {
    fn drop(&mut self) {
        self.graph.reset();
        registry::give_back(self.context);
    }
}

#[track_caller]
fn entry((lock, mode): (LockId, Mode)) -> Entry {
    Entry { tag: Tag::new(lock, mode), site: Location::caller() }
}

impl Model {
    fn new() -> Self {
        Self {
            graph: LockGraph::default(),
            context: registry::take_up(),
            edges: BTreeMap::new(),
            writers: BTreeSet::new(),
            closing: BTreeSet::new(),
            longest: 0,
            cut_short: 0,
        }
    }

    /// Adds an acquisition. Returns its edges, whether each is new, and the cycles found.
    fn take(
        &mut self,
        thread: u64,
        held: &Held,
        wanted: (LockId, Mode),
        steps: u32,
    ) -> (Vec<(NaiveEdge, bool)>, Vec<Cycle>) {
        let entries: Vec<Entry> = held.iter().map(|(&lock, &mode)| entry((lock, mode))).collect();
        let wanted_entry = entry(wanted);
        let segment = Segment { thread, index: 0, lineage: None, job: None };
        let observation = Observation::new(segment.clone(), entries.iter().map(|entry| entry.tag));
        let head = self.graph.node(&wanted_entry, wanted_entry.site);
        let edges = self.graph.edges_to(head, &entries, &wanted_entry, thread);
        let mut budget = Budget::new(steps);
        let cycles = self.graph.cycles_now(&edges, &observation, &mut budget).to_report;
        self.note(steps, &budget);
        for (&(edge, is_new), entry) in edges.iter().zip(&entries) {
            if is_new && cycles.iter().any(|it| it.edges[0].held.id == entry.tag.lock()) {
                self.graph.order.note_closing(edge);
            }
            let LockGraph { order, facts: store, shown, .. } = &mut self.graph;
            let facts = order.facts_mut(edge);
            if !store.knows(facts, &observation) {
                let stack = Stack::default();
                let entries = [entry, &wanted_entry];
                let shown = shown.noted(self.context, (&segment, None), entries, &stack);
                store.learn(facts, entry.tag, observation.clone(), shown);
            }
        }
        let naive = held.iter().map(|(&lock, &mode)| NaiveEdge::new((lock, mode), wanted));
        (naive.zip(edges.iter().map(|&(_, is_new)| is_new)).collect(), cycles)
    }

    fn note(&mut self, steps: u32, budget: &Budget) {
        self.longest = self.longest.max(steps - budget.left());
        self.cut_short += u32::from(budget.is_exhausted());
    }

    /// Returns all simple cycles through an edge in which each thread waits for the next.
    fn cycles_from(&self, first: NaiveEdge) -> Vec<Vec<NaiveEdge>> {
        let mut all = Vec::new();
        let mut partial = vec![vec![first]];
        while let Some(path) = partial.pop() {
            let last = path[path.len() - 1];
            let waits = |held| last.wanted().waits_for(held, self.writers.contains(&last.head));
            if last.head == first.tail {
                if waits(first.held()) {
                    all.push(path);
                }
            } else if path.iter().all(|edge| edge.tail != last.head) {
                for next in
                    self.edges.keys().filter(|next| next.tail == last.head && waits(next.held()))
                {
                    partial.push([&path[..], &[*next]].concat());
                }
            }
        }
        all
    }

    /// Returns `true` if an observation is dropped, because the same thread or three others took
    /// the edge under fewer locks.
    fn is_redundant(&self, edge: &NaiveEdge, new: &NaiveObservation) -> bool {
        let freer = || self.edges[edge].iter().filter(|known| known.is_as_free_as(new));
        freer().any(|known| known.thread == new.thread)
            || freer().map(|known| known.thread).collect::<BTreeSet<_>>().len() >= 3
    }

    /// Returns the observations of an edge, each with whether three threads did the same.
    fn observations(&self, edge: &NaiveEdge) -> Vec<NaiveObservation> {
        let all = &self.edges[edge];
        let common = |one: &NaiveObservation| {
            let same = all.iter().filter(|other| other.is_as_free_as(one));
            same.map(|it| it.thread).collect::<BTreeSet<_>>().len() >= 3
        };
        all.iter().map(|it| NaiveObservation { is_common: common(it), ..it.clone() }).collect()
    }

    /// Returns `true` if the cycle could already close. A cycle that can close only with assumed
    /// threads may not have been reported.
    fn was_feasible(&self, cycle: &[NaiveEdge]) -> bool {
        let choices: Vec<_> = cycle.iter().map(|edge| self.edges[edge].clone()).collect();
        can_choose(&choices, &|a, b| !a.excludes(b) && a.thread != b.thread)
    }

    fn kind(&self, cycle: &[NaiveEdge], now: Option<&NaiveObservation>) -> FindingKind {
        let mut choices: Vec<_> = cycle.iter().map(|edge| self.observations(edge)).collect();
        if let Some(now) = now {
            choices[0] = vec![now.clone()];
        }
        let is_free = |a: &NaiveObservation, b: &NaiveObservation| !a.excludes(b);
        let are_two = |a: &NaiveObservation, b: &NaiveObservation| {
            a.thread != b.thread || cycle.len() > 3 && (a.is_common || b.is_common)
        };
        match (
            can_choose(&choices, &|a, b| is_free(a, b) && are_two(a, b)),
            can_choose(&choices, &is_free),
            can_choose(&choices, &are_two),
        ) {
            (true, ..) => FindingKind::Inversion,
            (false, true, false) => FindingKind::SingleThreadInversion,
            _ => FindingKind::GuardedInversion,
        }
    }

    fn run(&mut self, op: &Op, steps: u32) {
        match op {
            Op::Take { thread, held, wanted } => {
                let mut held = held.clone();
                held.remove(&wanted.0);
                let is_full = |(&lock, &mode)| {
                    let edge = NaiveEdge::new((lock, mode), *wanted);
                    self.edges.get(&edge).is_some_and(|all| all.len() == MAX_OBSERVATIONS)
                };
                if held.is_empty() || held.iter().any(is_full) {
                    return;
                }
                let (edges, cycles) = self.take(*thread, &held, *wanted, steps);
                for &(edge, _) in &edges {
                    self.edges.entry(edge).or_default();
                }
                let now = NaiveObservation { thread: *thread, held, is_common: false };
                self.check(&edges, Some(&now), &|_| true, &cycles, steps);
                for (edge, is_new) in edges {
                    if !self.is_redundant(&edge, &now) {
                        self.edges.get_mut(&edge).unwrap().push(now.clone());
                    }
                    if is_new && cycles.iter().any(|it| it.edges[0].held.id == edge.tail) {
                        self.closing.insert(edge);
                    }
                }
            }
            Op::Write(lock) => {
                if self.graph.order.node(*lock).is_none() || !self.writers.insert(*lock) {
                    return;
                }
                self.graph.order.note_writer(*lock);
                let mut budget = Budget::new(steps);
                let node = self.graph.order.node(*lock).unwrap();
                let cycles = self.graph.cycles_of_readers(node, &mut budget);
                self.note(steps, &budget);
                let into: Vec<_> = self
                    .edges
                    .keys()
                    .filter(|edge| edge.head == *lock)
                    .map(|&edge| (edge, true))
                    .collect();
                let is_new =
                    |cycle: &[NaiveEdge]| !cycle[0].wanted().waits_for(cycle[1].held(), false);
                self.check(&into, None, &is_new, &cycles, steps);
            }
        }
    }

    /// Checks the cycles found for these first edges.
    fn check(
        &self,
        firsts: &[(NaiveEdge, bool)],
        now: Option<&NaiveObservation>,
        is_so: &dyn Fn(&[NaiveEdge]) -> bool,
        found: &[Cycle],
        steps: u32,
    ) {
        let is_complete = steps == u32::MAX;
        let mut is_any_feasible = false;
        let mut is_any_told = false;
        for &(first, is_new) in firsts {
            let is_told = is_new || self.closing.contains(&first);
            let mut all = self.cycles_from(first);
            all.retain(|cycle| is_so(cycle));
            let mut of_first = found.iter().filter(|cycle| NaiveEdge::of(&cycle.edges[0]) == first);
            let found = of_first.next();
            assert!(of_first.next().is_none(), "one for each edge");
            is_any_told |= is_told && !all.is_empty();
            let can_close: Vec<_> = all
                .iter()
                .filter(|cycle| {
                    self.kind(cycle, now) == FindingKind::Inversion
                        && (is_told || !self.was_feasible(cycle))
                })
                .collect();
            let shortest = can_close.iter().map(|cycle| cycle.len()).min();
            is_any_feasible |= shortest.is_some();
            if let Some(found) = found {
                let cycle: Vec<_> = found.edges.iter().map(NaiveEdge::of).collect();
                assert!(all.contains(&cycle), "no cycle: {cycle:?}");
                assert_eq!(found.kind, self.kind(&cycle, now), "{cycle:?}");
                let is_news = match found.kind {
                    FindingKind::Inversion => !self.was_feasible(&cycle),
                    kind => self.kind(&cycle, None) != kind,
                };
                assert!(is_told || is_news, "no news: {cycle:?}");
                if is_complete && found.kind == FindingKind::Inversion {
                    assert_eq!(Some(cycle.len()), shortest, "{cycle:?}");
                }
            }
            let is_found = found.is_some_and(|cycle| cycle.kind == FindingKind::Inversion);
            assert!(!is_complete || shortest.is_none() || is_found, "missed: {can_close:?}");
        }
        // If none can close, the shortest one is reported.
        if is_complete && !is_any_feasible {
            assert!(found.len() <= 1);
            assert!(!is_any_told || found.len() == 1);
        }
    }
}

/// Returns `true` if there is a choice for each edge such that all pairs are compatible.
fn can_choose(
    choices: &[Vec<NaiveObservation>],
    go_together: &dyn Fn(&NaiveObservation, &NaiveObservation) -> bool,
) -> bool {
    fn extend<'a>(
        chosen: &mut Vec<&'a NaiveObservation>,
        rest: &'a [Vec<NaiveObservation>],
        go_together: &dyn Fn(&NaiveObservation, &NaiveObservation) -> bool,
    ) -> bool {
        let Some((edge, rest)) = rest.split_first() else { return true };
        edge.iter().any(|next| {
            let goes = chosen.iter().all(|before| go_together(before, next));
            goes && {
                chosen.push(next);
                let is_found = extend(chosen, rest, go_together);
                chosen.pop();
                is_found
            }
        })
    }
    extend(&mut Vec::new(), choices, go_together)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    /// Finds the shortest cycle that can close through each edge, if there is one.
    #[test]
    fn an_unlimited_search_agrees_with_brute_force(ops in small()) {
        let mut model = Model::new();
        for op in &ops {
            model.run(op, u32::MAX);
        }
        assert_eq!(model.cut_short, 0);
    }

    /// A search that is cut short may miss cycles, but is never wrong.
    #[test]
    fn a_search_that_is_cut_short_finds_no_wrong_cycle(
        ops in small(),
        steps in 0..3_000_u32,
    ) {
        let mut model = Model::new();
        for op in &ops {
            model.run(op, steps);
        }
    }
}

/// Takes `locks` locks on as many threads, one after the other, each of which starts with a
/// different one, so that nearly all pairs are inverted. Returns the number of cycles found.
fn dense(model: &mut Model, locks: u64, (held, wanted): (Mode, Mode), steps: u32) -> usize {
    let mut found = BTreeSet::new();
    for thread in 0..locks {
        let mut all = Held::new();
        for at in 0..locks {
            let lock = 1 + (thread + at) % locks;
            if !all.is_empty() {
                found.extend(model.take(thread, &all, (lock, wanted), steps).1.iter().map(ids));
            }
            all.insert(lock, held);
        }
    }
    found.len()
}

fn ids(cycle: &Cycle) -> BTreeSet<LockId> {
    assert_eq!(cycle.kind, FindingKind::Inversion);
    cycle.edges.iter().map(|edge| edge.held.id).collect()
}

/// One search serves all edges of an acquisition, and is exact within a fraction of the budget.
#[test]
fn dense_inversions_take_few_steps() {
    for (locks, steps) in [(8, 2_000), (16, 10_000), (24, 25_000)] {
        let mut model = Model::new();
        let found = dense(&mut model, locks, (Mode::Exclusive, Mode::Exclusive), u32::MAX);
        let pairs = usize::try_from(locks * (locks - 1) / 2).unwrap();
        assert_eq!(found, pairs, "of {locks} locks");
        assert!(model.longest <= steps, "{} steps for {locks} locks", model.longest);
    }
}

/// The same for readers, which close no cycle until there is a writer.
#[test]
fn dense_inversions_of_readers_take_few_steps() {
    for (locks, steps) in [(8, 1_000), (16, 2_500), (32, 10_000)] {
        let mut model = Model::new();
        let readers = dense(&mut model, locks, (Mode::Shared, Mode::Shared), u32::MAX);
        assert_eq!(readers, 0);
        model.longest = 0;
        let mut found = BTreeSet::new();
        for lock in 1..=locks {
            let node = model.graph.order.node(lock).unwrap();
            model.graph.order.note_writer(lock);
            let mut budget = Budget::new(u32::MAX);
            let cycles = model.graph.cycles_of_readers(node, &mut budget);
            model.note(u32::MAX, &budget);
            found.extend(cycles.iter().map(ids));
        }
        let pairs = usize::try_from(locks * (locks - 1) / 2).unwrap();
        assert_eq!(found.len(), pairs, "of {locks} locks");
        assert!(model.longest <= steps, "{} steps for {locks} locks", model.longest);
    }
}

/// Closes a cycle of `locks` edges over one thread fewer: the first edge was taken by thread 0,
/// each of the others 8 times by random threads. Different threads cannot be chosen.
fn close_on_too_few_threads(locks: LockId, steps: u32) -> (Vec<FindingKind>, u32) {
    let mut model = Model::new();
    let mut state = 1_u64;
    let mut extra = locks;
    for lock in 2..=locks {
        for _ in 0..8 {
            state =
                state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
            // Holds a lock that no other observation has, so that no observation makes another
            // redundant.
            extra += 1;
            let held = Held::from([(lock, Mode::Exclusive), (extra, Mode::Shared)]);
            let wanted = (lock % locks + 1, Mode::Exclusive);
            model.take((state >> 33) % (locks - 1), &held, wanted, u32::MAX);
        }
    }
    model.cut_short = 0;
    let held = Held::from([(1, Mode::Exclusive)]);
    let (_, cycles) = model.take(0, &held, (2, Mode::Exclusive), steps);
    (cycles.iter().map(|cycle| cycle.kind).collect(), model.cut_short)
}

/// If the budget does not suffice to decide whether a cycle can close, nothing is reported.
#[test]
fn an_undecided_cycle_is_not_reported() {
    assert_eq!(close_on_too_few_threads(5, STEPS), (vec![FindingKind::SingleThreadInversion], 0));
    assert_eq!(close_on_too_few_threads(5, 1_000), (vec![], 1));
    assert_eq!(close_on_too_few_threads(20, STEPS), (vec![], 1));
}

/// Three threads have taken one edge of a longer cycle, so a fourth may as well, although one of
/// the three takes the first edge now. The shorter cycle belongs to one thread.
#[test]
fn a_thread_may_stand_for_others_in_a_longer_cycle() {
    let taken = [(1, 2, 1), (1, 2, 3), (2, 2, 3), (3, 2, 3), (2, 3, 4), (3, 4, 1), (1, 1, 2)];
    let mut model = Model::new();
    let mut cycles = Vec::new();
    for (thread, held, wanted) in taken {
        let held = Held::from([(held, Mode::Exclusive)]);
        cycles = model.take(thread, &held, (wanted, Mode::Exclusive), u32::MAX).1;
    }
    let lengths: Vec<_> = cycles.iter().map(|cycle| (cycle.kind, cycle.edges.len())).collect();
    assert_eq!(lengths, [(FindingKind::Inversion, 4)]);
}

/// The last acquisition has two edges. Two walks lead to the tail of one of them and pass it twice.
/// The search must continue for the other.
#[test]
fn a_walk_that_passes_a_lock_twice_hides_no_other_cycle() {
    use Mode::{Exclusive, Shared, Upgradable};

    let mut model = Model::new();
    let mut cycles = Vec::new();
    for (held, wanted) in [
        (vec![(3, Exclusive)], (4, Exclusive)),
        (vec![(4, Exclusive)], (2, Exclusive)),
        (vec![(1, Exclusive), (3, Exclusive)], (2, Shared)),
        (vec![(3, Exclusive)], (2, Upgradable)),
        (vec![(2, Exclusive)], (3, Exclusive)),
        (vec![(2, Exclusive)], (4, Shared)),
        (vec![(2, Upgradable), (4, Shared)], (1, Shared)),
    ] {
        cycles = model.take(1, &held.into_iter().collect(), wanted, u32::MAX).1;
    }
    let locks = |cycle: &Cycle| cycle.edges.iter().map(|edge| edge.held.id).collect::<Vec<_>>();
    assert_eq!(cycles.iter().map(locks).collect::<Vec<_>>(), [[4, 1, 2, 3]]);
}
