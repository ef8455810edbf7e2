//! What the library says of small random programs, against what can really happen to them.
//!
//! Owns the census: for each program, whether some interleaving of its threads ends in a
//! deadlock, and what is found when they are run one after the other, in two orders. How
//! many programs: `LOCKDEP_ORACLE_CASES`. A program is made of its number alone, so that
//! every run has the same ones. A test that fails shows the smallest program that it can
//! make of the first that is wrong.
#![cfg(any(debug_assertions, feature = "enforce"))]

mod case;
mod locks;
mod paths;
mod program;
mod random;
mod reasons;
mod scheduler;

use std::sync::LazyLock;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};

use self::{
    case::{Case, Verdict},
    program::Program,
    reasons::Reason,
};

const CASES: u32 = 4_000;

/// How many runs of a thousand may find an inversion in a program that cannot deadlock.
const FALSE_ALARMS: usize = 25;

/// Programs that were wrong once, or could easily be.
const KNOWN: &[&str] = &[
    // A shorter cycle, which one thread takes alone, hides the one that can close.
    "lock C, lock A // lock A, lock B // lock C, lock B, release B, release C, lock B, lock C",
    "lock A, lock B // lock B, lock C // lock A, lock C, release A, lock A",
    // A shorter cycle, which has a gate, hides it.
    "lock D, lock C, lock B // lock C, lock A // lock A, lock B // lock D, lock B, lock C",
    // A shorter cycle, for which no thread is left to write, hides it.
    "lock B, lock C // read A, lock B // read A, lock C, release C, release A, write A \
     // lock B, lock C, release B, read A",
    // What was harmless at first is done by a second thread, or without the gate.
    "lock A, lock B, release B, release A, lock B, lock A // lock A, lock B",
    "lock C, lock A, lock B, release B, release A, release C, lock A, lock B \
     // lock C, lock B, lock A",
    // There is no gate if a thread goes on when it could not have it.
    "try_lock C, lock A, lock B // lock C, lock B, lock A",
    // Three threads do the same: a fourth, which the cycle of four needs, is supposed.
    "lock A, lock B, release B, release A, lock B, lock C \
     // lock A, lock B, release B, release A, lock C, lock D \
     // lock A, lock B, release B, release A, lock D, lock A",
];

/// The same, with modes that std does not have.
const KNOWN_OF_PARKING_LOT: &[&str] = &[
    // The thread that closes the cycle holds another of its locks, but nobody waits for
    // it there.
    "lock C, upgradable_read B // upgradable_read B, lock A // read B, lock A, lock C",
    "read A, lock B, lock C // lock C, upgradable_read A, release C, lock E, lock B \
     // lock C, lock E",
    // The same, and what it holds is a gate.
    "lock C, read_recursive A // write A, lock B // read A, lock B, lock C",
    // The lock that is upgraded keeps the two apart.
    "upgradable_read A, lock B, upgrade A // write A, lock B",
];

/// What came of all cases.
#[derive(Default)]
struct Census {
    cases: u32,
    states: usize,
    /// Runs, by whether the program can deadlock and by verdict.
    runs: [[usize; 3]; 2],
    /// Inversions that are no deadlock.
    impossible: Vec<Reason>,
    /// The numbers of the cases for which this is true.
    missed: Vec<u32>,
    invented: Vec<u32>,
    depends_on_order: Vec<u32>,
}

static CENSUS: LazyLock<Census> = LazyLock::new(|| {
    case::throw_nothing();
    let cases = std::env::var("LOCKDEP_ORACLE_CASES")
        .map_or(CASES, |cases| cases.parse().expect("a number of programs"));
    let mut census = Census { cases, ..Census::default() };
    for number in 0..cases {
        let case = Case::new(program(number));
        census.states += case.exploration.states;
        for run in &case.runs {
            census.runs[usize::from(case.can_deadlock())][run.verdict as usize] += 1;
            census.impossible.extend(run.impossible());
        }
        for (numbers, is_so) in [
            (&mut census.missed, case.is_missed()),
            (&mut census.invented, case.has_invented()),
            (&mut census.depends_on_order, case.depends_on_order()),
        ] {
            if is_so {
                numbers.push(number);
            }
        }
    }
    census
});

/// The known programs come first.
fn known(number: u32) -> Option<Program> {
    let of_parking_lot = if cfg!(feature = "parking_lot") { KNOWN_OF_PARKING_LOT } else { &[] };
    let texts = KNOWN.iter().chain(of_parking_lot);
    texts.copied().nth(number as usize).map(Program::parse)
}

fn program(number: u32) -> Program {
    known(number).unwrap_or_else(|| random(number).current())
}

/// A random program that can be made smaller.
fn random(number: u32) -> impl ValueTree<Value = Program> {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    random::programs().new_tree(&mut runner).expect("nothing is rejected")
}

/// Panics with the first of the wrong cases, made smaller, if there is any.
fn assert_none(wrong: &[u32], is_wrong: impl Fn(&Case) -> bool) {
    let Some(&number) = wrong.first() else { return };
    let smallest = known(number).unwrap_or_else(|| {
        let test = |program| {
            let is_wrong = is_wrong(&Case::new(program));
            if is_wrong { Err(TestCaseError::fail("it is wrong")) } else { Ok(()) }
        };
        match TestRunner::default().run_one(random(number), test) {
            Err(TestError::Fail(_, smallest)) => smallest,
            other => panic!("number {number} was wrong before: {other:?}"),
        }
    });
    let (count, all) = (wrong.len(), CENSUS.cases);
    panic!("{count} of {all} programs; the first is number {number}:\n{}", Case::new(smallest));
}

/// Of a program that can deadlock, whichever thread was the last to show its part.
#[test]
fn nothing_feasible_is_missed() {
    assert_none(&CENSUS.missed, Case::is_missed);
}

/// Each inversion is a circle in which some interleaving ends, or an exception that is
/// [`DOCUMENTED`].
#[test]
fn whatever_is_reported_can_happen() {
    assert_none(&CENSUS.invented, Case::has_invented);
}

#[test]
fn the_verdict_does_not_depend_on_the_order_of_threads() {
    assert_none(&CENSUS.depends_on_order, Case::depends_on_order);
}

#[test]
fn confusion_table() {
    let Census { cases, states, runs: [cannot, can], .. } = &*CENSUS;
    println!("{cases} programs, each run in two orders; {states} states");
    println!("{:<18}{:>12}{:>12}{:>12}", "", "inversion", "weaker", "nothing");
    for (name, [nothing, weaker, inversion]) in [("can deadlock", can), ("cannot deadlock", cannot)]
    {
        println!("{name:<18}{inversion:>12}{weaker:>12}{nothing:>12}");
    }
    println!("inversions that cannot close, as the cycle");
    for (reason, text) in Reason::ALL {
        let count = CENSUS.impossible.iter().filter(|&&other| other == reason).count();
        println!("    {text:<36}{count:>6}");
    }
    let [missed, false_alarms] = [can[0] + can[1], cannot[Verdict::Inversion as usize]];
    assert_eq!(missed, 0);
    let per_mille = false_alarms * 1000 / (2 * *cases as usize);
    assert!(per_mille <= FALSE_ALARMS, "{per_mille} false alarms in a thousand runs");
}
