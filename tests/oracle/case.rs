//! A program, its possible executions, and the findings.
//!
//! Owns what is right and wrong about their relation. Does not know where programs come from.

use std::fmt;

use lockdep::{FindingKind, Level};

use crate::{
    forks::Forks,
    locks::{self, Found},
    paths::{Paths, paths},
    program::{self, Lock, Program},
    reasons::{Reason, reason},
    scheduler::{Exploration, canonical, explore, schedule},
    threads,
};

/// Why an inversion may be reported that cannot close: the library does not consider which thread
/// is left to write, when it did, and what was held before; it assumes more threads than it has
/// seen if it has seen three; and it assumes that threads may run concurrently even if one was
/// joined before the other was spawned.
const DOCUMENTED: [Reason; 6] = [
    Reason::InSequence,
    Reason::AnotherThread,
    Reason::OnlyWriter,
    Reason::NoWriter,
    Reason::WriterApart,
    Reason::Unreachable,
];

/// Allows all findings, so that each thread runs to its end.
pub(crate) fn throw_nothing() {
    for kind in [
        FindingKind::Inversion,
        FindingKind::OrderedInversion,
        FindingKind::SingleThreadInversion,
        FindingKind::GuardedInversion,
        FindingKind::SelfDeadlock,
        FindingKind::RecursiveRead,
        FindingKind::WaitWhileHolding,
        FindingKind::ClassInversion,
    ] {
        lockdep::set_level(kind, Level::Allow);
    }
}

/// The most severe finding of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Nothing,
    Weaker,
    Inversion,
}

/// The outcome of one run.
pub(crate) struct Run {
    /// With the reason if it is an inversion that is not a deadlock.
    found: Vec<(Found, Option<Reason>)>,
    pub(crate) verdict: Verdict,
}

impl Run {
    fn new(
        paths: &[Paths],
        forks: &Forks,
        exploration: &Exploration,
        mut found: Vec<Found>,
    ) -> Self {
        // Whether a join waits depends on timing.
        found.retain(|found| found.kind != "wait_while_holding");
        let is_inversion = |found: &Found| found.kind == "inversion";
        let verdict = match found.iter().any(is_inversion) {
            true => Verdict::Inversion,
            false if found.is_empty() => Verdict::Nothing,
            false => Verdict::Weaker,
        };
        let with_reason = |found: Found| {
            let can_close = exploration.circles.contains(&canonical(&found.cycle));
            let is_impossible = is_inversion(&found) && !can_close;
            let reason = is_impossible.then(|| reason(paths, forks, &found.cycle));
            (found, reason)
        };
        Self { verdict, found: found.into_iter().map(with_reason).collect() }
    }

    /// Returns `true` if a deadlock has an edge of an inversion that was found.
    fn tells_of(&self, circle: &[Lock]) -> bool {
        let inversions = self.found.iter().filter(|(found, _)| found.kind == "inversion");
        inversions
            .map(|(found, _)| canonical(&found.cycle))
            .any(|cycle| edges(&cycle).any(|edge| edges(circle).any(|other| edge == other)))
    }

    pub(crate) fn impossible(&self) -> impl Iterator<Item = Reason> {
        self.found.iter().filter_map(|&(_, reason)| reason)
    }
}

/// A program, its possible executions, and the findings.
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) exploration: Exploration,
    /// One run with the threads in order, and one in reverse order. Empty if the threads spawn each
    /// other and always end in a deadlock.
    pub(crate) runs: Vec<Run>,
}

/// Returns the edges of a cycle.
fn edges(cycle: &[Lock]) -> impl Iterator<Item = (Lock, Lock)> {
    (0..cycle.len()).map(|at| (cycle[at], cycle[(at + 1) % cycle.len()]))
}

impl Case {
    pub(crate) fn new(program: Program) -> Self {
        let exploration = explore(&program);
        let threads = 0..program.threads.len();
        let paths: Vec<_> =
            threads.clone().map(|t| paths(&program, t, &exploration.failing_tries)).collect();
        let forks = Forks::new(&program);
        let forwards: Vec<_> = threads.collect();
        let backwards: Vec<_> = forwards.iter().rev().copied().collect();
        let run = |order: &Vec<_>| {
            let found = if program.forks() {
                let schedule = schedule(&program, order)?;
                locks::found(&program, |locks| threads::run(&program, locks, schedule))
            } else {
                let order = order.iter().copied();
                locks::found(&program, |locks| locks::one_by_one(locks, &paths, order))
            };
            Some(Run::new(&paths, &forks, &exploration, found))
        };
        let runs = [forwards, backwards].iter().filter_map(run).collect();
        Self { program, exploration, runs }
    }

    pub(crate) fn can_deadlock(&self) -> bool {
        self.exploration.deadlock.is_some()
    }

    pub(crate) fn is_missed(&self) -> bool {
        self.can_deadlock() && self.runs.iter().any(|run| run.verdict != Verdict::Inversion)
    }

    pub(crate) fn has_invented(&self) -> bool {
        self.runs.iter().flat_map(Run::impossible).any(|reason| !DOCUMENTED.contains(&reason))
    }

    pub(crate) fn depends_on_order(&self) -> bool {
        self.runs.windows(2).any(|runs| runs[0].verdict != runs[1].verdict)
    }

    /// Returns `true` if a possible deadlock has no edge in any inversion, so that it was missed or
    /// reported as ordered. If it has one, a shorter cycle through that edge was found.
    pub(crate) fn is_weaker(&self) -> bool {
        let circles = &self.exploration.circles;
        self.runs.iter().any(|run| !circles.iter().all(|circle| run.tells_of(circle)))
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program)?;
        match &self.exploration.deadlock {
            Some(deadlock) => write!(f, "can deadlock:\n{deadlock}")?,
            None => writeln!(f, "cannot deadlock")?,
        }
        for (order, run) in ["forwards", "backwards"].into_iter().zip(&self.runs) {
            writeln!(f, "{order}, it is found:")?;
            for (Found { kind, cycle }, reason) in &run.found {
                let cycle: String = cycle.iter().map(|&lock| program::name(lock)).collect();
                let reason = reason.map(|reason| format!(", which cannot close: {reason:?}"));
                writeln!(f, "    {kind} {cycle}{}", reason.unwrap_or_default())?;
            }
        }
        Ok(())
    }
}
