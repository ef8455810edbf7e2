//! Compares with naive searches, on random observations and random histories of threads.

use std::mem;

use proptest::prelude::*;
use rustc_hash::FxHashSet;

use super::{
    assignment::{Chosen, Index, Rules, Times},
    *,
};
use crate::validator::{
    context::lineage::{
        JOINED, Lineage, SPAWNED,
        histories::{self, History, Observed},
    },
    graph::budget::{Budget, Exhausted, STEPS},
};

fn segment(thread: u64) -> Segment {
    Segment { thread, index: 0, lineage: None, job: None }
}

/// Returns segments of a thread before, beside and after its child, of the child, of another child
/// after that, and of a stranger.
fn family() -> [Segment; 6] {
    let root = Lineage::root(1);
    let first = root.child(1, 0);
    first.joined(1, Some(&root), SPAWNED + JOINED);
    let second = root.child(1, SPAWNED + JOINED);
    let of = |thread, index, lineage: &Arc<Lineage>| Segment {
        thread,
        index,
        lineage: Some(Arc::clone(lineage)),
        job: None,
    };
    let own = [0, SPAWNED, SPAWNED + JOINED].map(|index| of(1, index, &root));
    let [before, beside, after] = own;
    [before, beside, after, of(2, 0, &first), of(3, 0, &second), segment(4)]
}

#[test]
fn a_thread_meets_its_child_only_while_the_child_lives() {
    let family = family();
    let seen = |at: usize, lock| vec![Observation::new(family[at].clone(), [Tag::new(lock, X)])];
    let verdicts = [0, 1, 2, 4, 5].map(|at| verdict(&[seen(at, 1), seen(3, 2)]));
    let (ordered, feasible) = (Verdict::Ordered, Verdict::Feasible);
    let expected = [&ordered, &feasible, &ordered, &feasible, &feasible];
    assert_eq!(verdicts.each_ref(), expected);
    // The two children have never met.
    let children = [vec![seen(3, 1)], vec![seen(4, 2)]].concat();
    let choices: Vec<_> = children.iter().map(|edge| seen_in(edge).choices()).collect();
    assert_eq!(is_in_sequence(&choices, &mut unlimited()), Ok(true));
}

/// A cycle that one thread made alone stays a single-thread inversion, whatever else it met.
#[test]
fn one_thread_twice_takes_precedence_over_ordered() {
    let family = family();
    let seen = |at: usize, lock| Observation::new(family[at].clone(), [Tag::new(lock, X)]);
    let cycle = [vec![seen(2, 1), seen(3, 1)], vec![seen(2, 2)]];
    assert_eq!(verdict(&cycle), Verdict::OneThreadTwice);
    assert_eq!(verdict(&[vec![seen(3, 1)], vec![seen(2, 2)]]), Verdict::Ordered);
}

fn observation(thread: u64, held: &[(u64, Mode)]) -> Observation {
    Observation::new(segment(thread), held.iter().map(|&(lock, mode)| Tag::new(lock, mode)))
}

fn seen_in(observations: &[Observation]) -> Observations<()> {
    let mut all = Observations::default();
    for observation in observations {
        if !all.knows(observation) {
            all.learn(observation.clone(), ());
        }
    }
    all
}

fn verdict(edges: &[Vec<Observation>]) -> Verdict {
    let edges: Vec<_> = edges.iter().map(|edge| seen_in(edge)).collect();
    judge(&edges.iter().map(Observations::choices).collect::<Vec<_>>(), &mut unlimited()).unwrap()
}

fn unlimited() -> Budget {
    Budget::new(u32::MAX)
}

const X: Mode = Mode::Exclusive;
const S: Mode = Mode::Shared;
const U: Mode = Mode::Upgradable;

#[test]
fn the_threads_must_differ() {
    let (a, b) = (observation(1, &[(1, X)]), observation(1, &[(2, X)]));
    assert_eq!(verdict(&[vec![a.clone()], vec![b.clone()]]), Verdict::OneThreadTwice);
    let other = observation(2, &[(2, X)]);
    assert_eq!(verdict(&[vec![a.clone()], vec![b, other.clone()]]), Verdict::Feasible);
    // Three edges on two threads.
    let third = observation(1, &[(3, X)]);
    assert_eq!(verdict(&[vec![a], vec![other], vec![third]]), Verdict::OneThreadTwice);
}

#[test]
fn a_gate_is_held_in_exclusive_modes() {
    for (one, other, is_gate) in
        [(X, X, true), (X, S, true), (U, U, true), (X, U, true), (U, S, false), (S, S, false)]
    {
        let a = observation(1, &[(9, one), (1, X)]);
        let b = observation(2, &[(9, other), (2, X)]);
        let expected = if is_gate { Verdict::Guarded(vec![9]) } else { Verdict::Feasible };
        assert_eq!(verdict(&[vec![a], vec![b]]), expected, "{one} {other}");
    }
}

#[test]
fn a_gate_that_is_left_out_once_is_no_gate() {
    let guarded = [observation(1, &[(9, X), (1, X)]), observation(2, &[(9, X), (2, X)])];
    let free = observation(1, &[(1, X)]);
    let [one, other] = guarded;
    assert_eq!(verdict(&[vec![one, free], vec![other]]), Verdict::Feasible);
}

#[test]
fn enough_threads_settle_an_edge() {
    let held = [(1, X)];
    let mut edge = seen_in(&[observation(1, &held)]);
    assert!(edge.knows(&observation(1, &held)) && !edge.knows(&observation(2, &held)));
    assert!(edge.knows(&observation(1, &[(1, X), (5, S)])), "with more gates");
    edge.learn(observation(2, &held), ());
    assert!(!edge.knows(&observation(3, &held)));
    edge.learn(observation(3, &held), ());
    assert!(
        edge.knows(&observation(4, &held))
            && edge.settled_for(&observation(1, &held)) == Settled::ForAll
    );
    // The number is bounded, and observations with fewer gates are preferred.
    for gate in 10..100 {
        let guarded = observation(gate, &[(gate, X), (2, X)]);
        if !edge.knows(&guarded) {
            edge.learn(guarded, ());
        }
    }
    assert_eq!(edge.iter().count(), MAX_OBSERVATIONS);
    edge.learn(observation(200, &[(2, X)]), ());
    assert!(edge.knows(&observation(200, &[(2, X)])));
}

/// A report names the first thread. A later observation with fewer locks replaces those in between.
#[test]
fn the_first_observation_is_never_dropped() {
    let mut edge = Observations::default();
    edge.learn(observation(1, &[(1, X), (8, X), (9, X)]), "first");
    edge.learn(observation(1, &[(1, X), (8, X)]), "freer");
    edge.learn(observation(1, &[(1, X)]), "free");
    assert_eq!([0, 1, 2].map(|at| edge.get(at)), [Some(&"first"), Some(&"free"), None]);
}

/// A fourth thread, of which nothing was kept, may do what three threads did, but not what two did.
#[test]
fn enough_threads_stand_for_others() {
    let four_edges = |threads: u64| -> Vec<_> {
        let edge = |lock| (1..=threads).map(|thread| observation(thread, &[(lock, X)])).collect();
        (1..=4).map(edge).collect()
    };
    assert_eq!(verdict(&four_edges(3)), Verdict::Feasible);
    assert_eq!(verdict(&four_edges(2)), Verdict::OneThreadTwice);
    // One edge that was seen that often is enough.
    let mut edges = four_edges(3);
    for (at, edge) in edges[..3].iter_mut().enumerate() {
        *edge = vec![edge[at].clone()];
    }
    assert_eq!(verdict(&edges), Verdict::Feasible);
}

/// Another thread would not help, so the gate is reported.
#[test]
fn a_gate_takes_precedence_over_a_thread() {
    let behind = |thread, lock| observation(thread, &[(9, X), (lock, X)]);
    let guarded = Verdict::Guarded(vec![9]);
    assert_eq!(verdict(&[vec![behind(1, 1)], vec![behind(1, 2)]]), guarded);
    // The thread that avoided the gate is that of the other edge, and the other thread was behind
    // it.
    let free = observation(1, &[(2, X)]);
    assert_eq!(verdict(&[vec![behind(1, 1)], vec![behind(2, 2), free]]), guarded);
}

/// A cycle of 20 edges over 19 threads. No thread can be at two edges, and there are more than
/// 100,000 sets of threads to try.
#[test]
fn an_undecided_cycle_has_no_verdict() {
    let mut state = 1_u64;
    let mut thread = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963);
        (state >> 33) % 19
    };
    let edges: Vec<Vec<Choice>> = (0..20)
        .map(|lock| {
            let of = |at| Choice::now(&observation(thread(), &[(lock, X)]), at);
            (0..MAX_OBSERVATIONS).map(of).collect()
        })
        .collect();
    assert_eq!(judge(&edges, &mut Budget::new(STEPS)), Err(Exhausted));
    assert_eq!(assign(&edges, &mut Budget::new(STEPS)), Err(Exhausted));
    assert_eq!(judge(&edges, &mut unlimited()), Ok(Verdict::OneThreadTwice));
}

/// The steps for a ring of a thousand threads grow linearly.
#[test]
fn a_long_cycle_is_decided() {
    let ring = |threads: u64| -> Vec<Vec<Choice>> {
        let edge = |lock| vec![Choice::now(&observation(lock % threads, &[(lock, X)]), 0)];
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

/// The locks that a thread holds.
fn any_locks() -> impl Strategy<Value = Vec<Tag>> {
    let locks = prop::collection::btree_map(1..5_u64, prop::sample::select(vec![X, S, U]), 0..3);
    locks.prop_map(|locks| locks.into_iter().map(|(lock, mode)| Tag::new(lock, mode)).collect())
}

/// Decides as [`judge`] does, by trying all choices.
fn naive_verdict(
    edges: &[Vec<(&Observed, Observation)>],
    may_meet: &dyn Fn(&Observed, &Observed) -> bool,
) -> Verdict {
    type Choosable<'a> = (&'a Observed, Observation);
    fn with_each<'a>(
        chosen: &[&'a Choosable<'a>],
        edge: &'a [Choosable<'a>],
    ) -> Vec<Vec<&'a Choosable<'a>>> {
        edge.iter().map(|it| chosen.iter().copied().chain([it]).collect()).collect()
    }
    let mut all: Vec<Vec<&Choosable<'_>>> = vec![Vec::new()];
    for edge in edges {
        all = all.iter().flat_map(|chosen| with_each(chosen, edge)).collect();
    }
    let any = |may: &dyn Fn(&Choosable<'_>, &Choosable<'_>) -> bool| {
        all.iter()
            .any(|chosen| (0..chosen.len()).all(|i| (0..i).all(|j| may(chosen[i], chosen[j]))))
    };
    let are_two = |a: &Choosable<'_>, b: &Choosable<'_>| a.1.thread() != b.1.thread();
    let are_free = |a: &Choosable<'_>, b: &Choosable<'_>| a.1.gate_with(&b.1).is_none();
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
    /// Compares with all possible choices.
    #[test]
    fn agrees_with_trying_everything(
        edges in prop::collection::vec(
            prop::collection::vec((1..4_u64, prop::collection::btree_map(1..5_u64, 0..3_usize, 0..3)), 1..4),
            2..4,
        ),
        budget in 0..100_u32,
    ) {
        let held = [X, S, U];
        let edges: Vec<Vec<Observation>> = edges.into_iter().map(|edge| {
            edge.into_iter().map(|(thread, locks)| {
                Observation::new(segment(thread), locks.into_iter().map(|(lock, mode)| Tag::new(lock, held[mode])))
            }).collect()
        }).collect();
        let all = edges.iter().fold(vec![Vec::new()], |partial: Vec<Vec<&Observation>>, edge| {
            partial.iter().flat_map(|chosen| edge.iter().map(move |it| {
                chosen.iter().copied().chain([it]).collect()
            })).collect()
        });
        let pairs_all = |chosen: &[&Observation], may: &dyn Fn(&Observation, &Observation) -> bool| {
            (0..chosen.len()).all(|i| (0..i).all(|j| may(chosen[i], chosen[j])))
        };
        let expected = all.iter().any(|chosen| pairs_all(chosen, &|a, b| {
            a.thread() != b.thread() && a.gate_with(b).is_none()
        }));
        // Every observation is offered and none is dropped, so none stands for other threads.
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
        // With two edges, dropped observations change nothing.
        if edges.len() == 2 {
            prop_assert_eq!(verdict(&edges) == Verdict::Feasible, expected);
        }
    }

    /// Compares with all possible choices, for threads with known lineage.
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
        let edges: Vec<Vec<(&Observed, Observation)>> = edges.into_iter().map(|edge| {
            edge.into_iter().map(|(at, locks)| {
                let at = at.get(&observed);
                (at, Observation::new(at.segment.clone(), locks))
            }).collect()
        }).collect();
        let choices: Vec<Vec<Choice>> = edges.iter()
            .map(|edge| edge.iter().enumerate().map(|(at, (_, it))| Choice::now(it, at)).collect())
            .collect();
        let expected = naive_verdict(&edges, &|one, other| !history.are_apart(one, other));
        let found = judge(&choices, &mut unlimited()).unwrap();
        prop_assert_eq!(mem::discriminant(&found), mem::discriminant(&expected));
    }

    /// A cycle is decided repeatedly, as threads are observed at its edges, of which not all
    /// observations are kept. Nothing is missed because of that, and nothing is invented unless
    /// other threads are assumed.
    #[test]
    fn agrees_with_remembering_everything(
        steps in prop::collection::vec((histories::any_step(), 0..3_usize, any_locks()), 4..60),
        roots in 1..3_usize,
        edges in 2..4_usize,
    ) {
        let mut history = History::new(roots);
        let mut stored: Vec<Observations<()>> = (0..edges).map(|_| Observations::default()).collect();
        let mut all: Vec<Vec<(Observed, Observation)>> = (0..edges).map(|_| Vec::new()).collect();
        // The settled chains, which are not checked again.
        let mut settled = Vec::new();
        let (mut is_found, mut is_expected) = (false, false);
        for (step, at, locks) in steps {
            let Some(observed) = history.step(step) else { continue };
            let at = at % edges;
            let observation = Observation::new(observed.segment.clone(), locks);
            let is_supposed = all.iter().any(|edge| edge.len() >= DISTINCT_THREADS);
            let is_settled = settled.iter().any(|(edge, known, by): &(usize, Observation, _)| {
                let is_by = match by {
                    Settled::No => known.segment.is_like(&observation.segment),
                    Settled::ForFamily => known.segment.family() == observation.segment.family(),
                    Settled::ForAll => true,
                };
                *edge == at && known.held == observation.held && is_by
            });
            if !is_settled {
                let is_on_cycle = (0..edges).all(|edge| edge == at || !all[edge].is_empty());
                let mut choices: Vec<_> = stored.iter().map(Observations::choices).collect();
                choices[at] = vec![Choice::now(&observation, 0)];
                is_found |= assign(&choices, &mut unlimited()).unwrap().is_some();
                if stored[at].knows(&observation) {
                    let by = stored[at].settled_for(&observation).on_cycle(is_on_cycle);
                    settled.push((at, observation.clone(), by));
                } else {
                    stored[at].learn(observation.clone(), ());
                }
            }
            all[at].push((observed, observation));
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

    /// An [`Index`] admits the same choices as comparing with each one.
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
            let observation = Observation::new(family[at].clone(), tags);
            (Choice { at: 0, observation, stands_for: settled[stands_for] }, pops)
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
