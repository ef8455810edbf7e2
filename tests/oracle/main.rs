//! Compares the library's findings about small random programs with the possible executions.
//!
//! Owns two censuses: of programs whose threads all run from the start, and of programs whose
//! threads spawn and join each other. For each program it determines whether some interleaving ends
//! in a deadlock, and what is found when the threads run one after the other, in two orders; if
//! they spawn each other, step by step, in two orders in which no thread waits.
//! `LOCKDEP_ORACLE_CASES` sets the number of programs. A program depends only on its number, so
//! every run has the same ones. A failing test shows the first wrong program, shrunk.
#![cfg(any(debug_assertions, feature = "enforce"))]

mod case;
mod forks;
mod locks;
mod paths;
mod program;
mod random;
mod reasons;
mod scheduler;
mod threads;

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

/// The maximum number of runs per thousand that may find an inversion in a program that cannot
/// deadlock.
const FALSE_ALARMS: usize = 25;

/// Programs that were wrong once, or could easily be.
const KNOWN: &[&str] = &[
    // A shorter cycle, on one thread alone, hides the one that can close.
    "lock C, lock A // lock A, lock B // lock C, lock B, release B, release C, lock B, lock C",
    "lock A, lock B // lock B, lock C // lock A, lock C, release A, lock A",
    // A shorter cycle, which has a gate, hides it.
    "lock D, lock C, lock B // lock C, lock A // lock A, lock B // lock D, lock B, lock C",
    // A shorter cycle, for which no thread is left to write, hides it.
    "lock B, lock C // read A, lock B // read A, lock C, release C, release A, write A \
     // lock B, lock C, release B, read A",
    // A second thread repeats what was harmless at first, or without the gate.
    "lock A, lock B, release B, release A, lock B, lock A // lock A, lock B",
    "lock C, lock A, lock B, release B, release A, release C, lock A, lock B \
     // lock C, lock B, lock A",
    // There is no gate if a thread continues after it failed to acquire it.
    "try_lock C, lock A, lock B // lock C, lock B, lock A",
    // Three threads do the same: a fourth, which the cycle of four needs, is assumed.
    "lock A, lock B, release B, release A, lock B, lock C \
     // lock A, lock B, release B, release A, lock C, lock D \
     // lock A, lock B, release B, release A, lock D, lock A",
    // The same, and the fourth comes last.
    "lock A, lock B, release B, release A, lock B, lock C \
     // lock A, lock B, release B, release A, lock C, lock D \
     // lock D, lock A, release A, release D, lock A, lock B \
     // lock A, lock B",
];

/// As [`KNOWN`], with modes that std does not have.
const KNOWN_OF_PARKING_LOT: &[&str] = &[
    // The thread that closes the cycle holds another of its locks, but no thread waits for it
    // there.
    "lock C, upgradable_read B // upgradable_read B, lock A // read B, lock A, lock C",
    "read A, lock B, lock C // lock C, upgradable_read A, release C, lock E, lock B \
     // lock C, lock E",
    // The same, and that lock is a gate.
    "lock C, read_recursive A // write A, lock B // read A, lock B, lock C",
    // The lock that is upgraded keeps the two apart.
    "upgradable_read A, lock B, upgrade A // write A, lock B",
];

/// As [`KNOWN`], with threads that spawn and join each other.
const KNOWN_FORKS: &[&str] = &[
    "spawn 1, lock A, join 1 // lock A",
    "open scope, spawn 1, lock A, close scope // lock A",
    // The third thread comes when the others are gone.
    "spawn 1, lock A, join 1 // lock B // lock B, lock A",
    // The joined reader waits behind a writer, which comes before or after the others.
    "read A, spawn 1, join 1 // read A // write A",
    // Another thread is assumed before one comes that is not a child of the others.
    "lock B, lock A \
     // spawn 2, join 2, lock B, lock A, release B, lock B, release B, release A, spawn 3, join 3 \
     // lock B, lock A // lock B, lock A",
    // A sibling joins the thread, so it is not known to have ended.
    "spawn 1, spawn 2, join 2, lock A, lock B // lock B, lock A // join 1",
];

/// Whether the threads of the programs spawn each other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Forks {
    No,
    Yes,
}

/// The outcome of all cases.
struct Census {
    forks: Forks,
    cases: u32,
    states: usize,
    /// The numbers of runs, by whether the program can deadlock and by verdict.
    runs: [[usize; 3]; 2],
    /// Inversions that are not deadlocks.
    impossible: Vec<Reason>,
    /// The numbers of the cases that are wrong in this way.
    missed: Vec<u32>,
    invented: Vec<u32>,
    depends_on_order: Vec<u32>,
    weaker: Vec<u32>,
    /// The number of programs that always deadlock, so that there is no run.
    hopeless: usize,
}

static PLAIN: LazyLock<Census> = LazyLock::new(|| Census::new(Forks::No));
static FORKING: LazyLock<Census> = LazyLock::new(|| Census::new(Forks::Yes));

impl Census {
    fn new(forks: Forks) -> Self {
        case::throw_nothing();
        let cases = std::env::var("LOCKDEP_ORACLE_CASES")
            .map_or(CASES, |cases| cases.parse().expect("a number of programs"));
        let mut census = Self {
            forks,
            cases,
            states: 0,
            runs: [[0; 3]; 2],
            impossible: Vec::new(),
            missed: Vec::new(),
            invented: Vec::new(),
            depends_on_order: Vec::new(),
            weaker: Vec::new(),
            hopeless: 0,
        };
        (0..cases).for_each(|number| census.add(number));
        census
    }

    fn add(&mut self, number: u32) {
        let case = Case::new(self.program(number));
        self.states += case.exploration.states;
        self.hopeless += usize::from(case.runs.is_empty());
        for run in &case.runs {
            self.runs[usize::from(case.can_deadlock())][run.verdict as usize] += 1;
            self.impossible.extend(run.impossible());
        }
        for (numbers, is_so) in [
            (&mut self.missed, case.is_missed()),
            (&mut self.invented, case.has_invented()),
            (&mut self.depends_on_order, case.depends_on_order()),
            (&mut self.weaker, case.is_weaker()),
        ] {
            if is_so {
                numbers.push(number);
            }
        }
    }

    /// Returns a known program. These come first.
    fn known(&self, number: u32) -> Option<Program> {
        let of_parking_lot = if cfg!(feature = "parking_lot") { KNOWN_OF_PARKING_LOT } else { &[] };
        let texts = match self.forks {
            Forks::No => [KNOWN, of_parking_lot],
            Forks::Yes => [KNOWN_FORKS, &[]],
        };
        texts.concat().get(number as usize).map(|text| Program::parse(text))
    }

    fn program(&self, number: u32) -> Program {
        self.known(number).unwrap_or_else(|| self.random(number).current())
    }

    /// Returns a random program that can be shrunk.
    fn random(&self, number: u32) -> Box<dyn ValueTree<Value = Program>> {
        let mut seed = [0; 32];
        seed[..4].copy_from_slice(&number.to_le_bytes());
        let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
        let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
        let programs = match self.forks {
            Forks::No => random::programs().boxed(),
            Forks::Yes => random::forking_programs().boxed(),
        };
        programs.new_tree(&mut runner).expect("nothing is rejected")
    }

    /// Panics with the first wrong case, shrunk, if there is any.
    fn assert_none(&self, wrong: &[u32], is_wrong: impl Fn(&Case) -> bool) {
        let Some(&number) = wrong.first() else { return };
        let smallest = self.known(number).unwrap_or_else(|| {
            let test = |program| {
                let is_wrong = is_wrong(&Case::new(program));
                if is_wrong { Err(TestCaseError::fail("it is wrong")) } else { Ok(()) }
            };
            match TestRunner::default().run_one(self.random(number), test) {
                Err(TestError::Fail(_, smallest)) => smallest,
                other => panic!("number {number} was wrong before: {other:?}"),
            }
        });
        let (count, all) = (wrong.len(), self.cases);
        panic!("{count} of {all} programs; the first is number {number}:\n{}", Case::new(smallest));
    }

    fn print(&self) {
        let Self { cases, states, runs: [cannot, can], hopeless, .. } = self;
        println!("{cases} programs, each run in two orders; {states} states");
        if self.forks == Forks::Yes {
            println!(
                "their threads spawn and join each other; {hopeless} always end in a deadlock"
            );
        }
        println!("{:<18}{:>12}{:>12}{:>12}", "", "inversion", "weaker", "nothing");
        for (name, [nothing, weaker, inversion]) in
            [("can deadlock", can), ("cannot deadlock", cannot)]
        {
            println!("{name:<18}{inversion:>12}{weaker:>12}{nothing:>12}");
        }
        println!("inversions that cannot close, as the cycle");
        for (reason, text) in Reason::ALL {
            let count = self.impossible.iter().filter(|&&other| other == reason).count();
            println!("    {text:<36}{count:>6}");
        }
    }
}

fn censuses() -> [&'static Census; 2] {
    [&PLAIN, &FORKING]
}

/// In a program that can deadlock, whichever thread runs last.
#[test]
fn nothing_feasible_is_missed() {
    for it in censuses() {
        it.assert_none(&it.missed, Case::is_missed);
    }
}

/// Each possible deadlock has an edge of an inversion.
#[test]
fn no_circle_becomes_weaker() {
    for it in censuses() {
        it.assert_none(&it.weaker, Case::is_weaker);
    }
}

/// Each inversion is a possible deadlock, or an exception listed in [`DOCUMENTED`].
#[test]
fn whatever_is_reported_can_happen() {
    for it in censuses() {
        it.assert_none(&it.invented, Case::has_invented);
    }
}

#[test]
fn the_verdict_does_not_depend_on_the_order_of_threads() {
    for it in censuses() {
        it.assert_none(&it.depends_on_order, Case::depends_on_order);
    }
}

#[test]
fn confusion_table() {
    for census in censuses() {
        census.print();
        let [cannot, can] = census.runs;
        assert_eq!(can[0] + can[1], 0);
        let false_alarms = cannot[Verdict::Inversion as usize];
        let per_mille = false_alarms * 1000 / (2 * census.cases as usize);
        assert!(per_mille <= FALSE_ALARMS, "{per_mille} false alarms in a thousand runs");
    }
}
