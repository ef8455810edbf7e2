//! Compares the library's reports about small random programs of tasks with the actual outcome.
//!
//! Each program runs on an executor of its own, in several orders. A task that has not ended at the
//! end of a run will never continue, so it is known which tasks may be reported as stuck, and which
//! have to be. The text of the program tells which locks a task acquires one after the other.
//! `LOCKDEP_ORACLE_CASES` sets the number of programs. A program depends on its number only, so
//! that every run has the same ones. A failing test shows the first wrong program, shrunk as far as
//! possible.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

mod directed;
mod executor;
mod program;
mod random;
mod run;
mod truth;
mod world;

use std::sync::LazyLock;

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{RngAlgorithm, TestError, TestRng, TestRunner},
};

use self::{
    program::Program,
    random::{All, Profile, Random},
    run::{Run, run},
};

const CASES: u32 = 500;

/// The number of random orders in which each program runs.
const ORDERS: u64 = 6;

/// The number of orders that are tried to find one in which a program hangs.
const MAX_ORDERS: usize = 5_000;

fn runs(program: &Program) -> impl Iterator<Item = Run> {
    (0..ORDERS).map(|seed| run(program, seed, &mut Random(seed)))
}

/// The results for all cases of a profile.
struct Census {
    profile: Profile,
    cases: u32,
    /// Groups of stuck tasks.
    reported: usize,
    loose: usize,
    mixed: usize,
    partial: usize,
    hidden: usize,
    /// The numbers of edges that the text has, of those that can be proved, and of those that were
    /// proved.
    edges: [usize; 3],
    /// The numbers of the cases in which this is true.
    accuses_falsely: Vec<u32>,
    misses: Vec<u32>,
    invents: Vec<u32>,
    has_inversion: Vec<u32>,
}

static CENSUSES: LazyLock<[Census; 4]> = LazyLock::new(|| {
    [Profile::Locks, Profile::Branches, Profile::Loose, Profile::Permits].map(Census::new)
});

/// Returns a random program that can be shrunk.
fn random(profile: Profile, number: u32) -> Box<dyn ValueTree<Value = Program>> {
    let mut seed = [0; 32];
    seed[..4].copy_from_slice(&number.to_le_bytes());
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    Box::new(random::programs(profile).new_tree(&mut runner).expect("nothing is rejected"))
}

impl Census {
    fn new(profile: Profile) -> Self {
        let cases = std::env::var("LOCKDEP_ORACLE_CASES")
            .map_or(CASES, |cases| cases.parse().expect("a number of programs"));
        let mut census = Self {
            profile,
            cases,
            reported: 0,
            loose: 0,
            mixed: 0,
            partial: 0,
            hidden: 0,
            edges: [0; 3],
            accuses_falsely: Vec::new(),
            misses: Vec::new(),
            invents: Vec::new(),
            has_inversion: Vec::new(),
        };
        (0..cases).for_each(|number| census.add(number));
        census
    }

    fn add(&mut self, number: u32) {
        let program = random(self.profile, number).current();
        let runs: Vec<Run> = runs(&program).collect();
        for run in &runs {
            self.reported += run.reported.len();
            self.loose += run.loose;
            self.mixed += run.mixed;
            self.partial += run.partial;
            self.hidden += usize::from(run.hidden > 0);
            self.edges[0] += run.true_edges.len();
            self.edges[1] += run.firm_edges.len();
            self.edges[2] += run.firm_edges.intersection(&run.edges).count();
        }
        for (numbers, is_so) in [
            (&mut self.accuses_falsely, runs.iter().any(Run::has_false_accusation)),
            (&mut self.misses, runs.iter().any(|run| !run.missed.is_empty())),
            (&mut self.invents, runs.iter().any(Run::has_invented_edge)),
            (&mut self.has_inversion, runs.iter().any(|run| run.has_inversion)),
        ] {
            if is_so {
                numbers.push(number);
            }
        }
    }

    /// Panics with the first of the wrong cases, shrunk, if there is one.
    fn assert_none(&self, wrong: &[u32], is_wrong: impl Fn(&Program) -> bool) {
        let Some(&number) = wrong.first() else { return };
        let test = |program| {
            if is_wrong(&program) { Err(TestCaseError::fail("it is wrong")) } else { Ok(()) }
        };
        let smallest = match TestRunner::default().run_one(random(self.profile, number), test) {
            Err(TestError::Fail(_, smallest)) => smallest,
            other => panic!("number {number} was wrong before: {other:?}"),
        };
        let (count, all) = (wrong.len(), self.cases);
        let outcomes: String = runs(&smallest).map(|run| run.to_string()).collect();
        panic!(
            "{count} of {all} programs of {:?}; the first is number {number}:\n{smallest}{outcomes}",
            self.profile
        );
    }

    fn print(&self) {
        let Self { profile, cases, reported, loose, mixed, partial, hidden, edges, .. } = self;
        let orders = u64::from(*cases) * ORDERS;
        println!("{profile:?}: {cases} programs, {orders} runs");
        println!(
            "    groups of tasks that are stuck: {reported} reported, {loose} loose, {mixed} mixed, {partial} partial"
        );
        println!("    runs in which something unknown might still wake one: {hidden}");
        let [all, firm, proved] = edges;
        println!("    edges in the text: {all}, of firm guards: {firm}, of these proved: {proved}");
        println!("    programs with an inversion: {}", self.has_inversion.len());
    }
}

#[test]
fn nobody_who_can_go_on_is_accused() {
    for census in &*CENSUSES {
        census.assert_none(&census.accuses_falsely, |program| {
            runs(program).any(|run| run.has_false_accusation())
        });
    }
}

/// Except where a guard or a future may have left its task, where one of several tasks keeps a
/// task waiting and it is not known which, or where some of the permits that tasks wait for are in no guard.
#[test]
fn nobody_who_is_stuck_is_missed() {
    for census in &*CENSUSES {
        census
            .assert_none(&census.misses, |program| runs(program).any(|run| !run.missed.is_empty()));
    }
}

/// Each edge of the order is in the text of a task, and not between two of its branches.
#[test]
fn no_edge_is_invented() {
    for census in &*CENSUSES {
        census.assert_none(&census.invents, |program| {
            runs(program).any(|run| run.has_invented_edge())
        });
    }
}

/// Returns `true` if some order of the program's steps leaves tasks stuck. `None` if there are too
/// many orders.
fn can_hang(program: &Program) -> Option<bool> {
    let program = program.yielding();
    let mut all = All::default();
    for _ in 0..MAX_ORDERS {
        if !run(&program, 0, &mut all).certain.is_empty() {
            return Some(true);
        }
        if !all.next() {
            return Some(false);
        }
    }
    None
}

/// Programs with an inversion can deadlock in some interleaving of their tasks.
#[test]
fn inversions_are_real() {
    let census = &CENSUSES[0];
    let mut undecided = 0;
    let is_invented = |program: &Program| {
        runs(program).any(|run| run.has_inversion) && can_hang(program) == Some(false)
    };
    let mut wrong = Vec::new();
    for &number in &census.has_inversion {
        match can_hang(&random(census.profile, number).current()) {
            Some(true) => {}
            Some(false) => wrong.push(number),
            None => undecided += 1,
        }
    }
    println!("{} programs with inversions, {undecided} undecided", census.has_inversion.len());
    census.assert_none(&wrong, is_invented);
}

#[test]
fn shares() {
    for census in &*CENSUSES {
        census.print();
        let Census { reported, mixed, edges: [_, firm, proved], .. } = census;
        assert!(mixed * 1000 <= *reported, "{mixed} of {reported} groups are missed");
        // Orders within branches are proved by paths only, and not where a `select!` refers to its
        // future, nor in an optimized build without debug information.
        let by_paths = if cfg!(debug_assertions) { 35 } else { 15 };
        let percent = if census.profile == Profile::Locks { 95 } else { by_paths };
        assert!(proved * 100 >= firm * percent, "{proved} of {firm} edges are proved");
    }
}
