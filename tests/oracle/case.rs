//! What can happen to one program, and what is found.
//!
//! Owns what is right and what is wrong about the two. Does not know where programs come from.

use std::fmt;

use lockdep::{FindingKind, Level};

use crate::{
    locks::{self, Found},
    paths::{Paths, paths},
    program::{self, Program},
    reasons::{Reason, reason},
    scheduler::{Exploration, explore, from_the_smallest},
};

/// Why an inversion may be reported that cannot close: the library does not ask who is left
/// to write, nor what was held before, and supposes that there are more threads of which it has
/// seen three.
const DOCUMENTED: [Reason; 3] = [Reason::AnotherThread, Reason::NoWriter, Reason::Unreachable];

/// Has nothing thrown: each thread goes on to its end.
pub(crate) fn throw_nothing() {
    for kind in [
        FindingKind::Inversion,
        FindingKind::OrderedInversion,
        FindingKind::SingleThreadInversion,
        FindingKind::GuardedInversion,
        FindingKind::SelfDeadlock,
        FindingKind::RecursiveRead,
        FindingKind::WaitWhileHolding,
    ] {
        lockdep::set_level(kind, Level::Allow);
    }
}

/// How grave the gravest of a run's findings is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    Nothing,
    Weaker,
    Inversion,
}

/// What came of one run.
pub(crate) struct Run {
    /// With the reason, for an inversion that is no deadlock.
    found: Vec<(Found, Option<Reason>)>,
    pub(crate) verdict: Verdict,
}

impl Run {
    fn new(paths: &[Paths], exploration: &Exploration, found: Vec<Found>) -> Self {
        let is_inversion = |found: &Found| found.kind == "inversion";
        let verdict = match found.iter().any(is_inversion) {
            true => Verdict::Inversion,
            false if found.is_empty() => Verdict::Nothing,
            false => Verdict::Weaker,
        };
        let with_reason = |found: Found| {
            let can_close = exploration.circles.contains(&from_the_smallest(found.cycle.clone()));
            let is_impossible = is_inversion(&found) && !can_close;
            let reason = is_impossible.then(|| reason(paths, &found.cycle));
            (found, reason)
        };
        Self { verdict, found: found.into_iter().map(with_reason).collect() }
    }

    pub(crate) fn impossible(&self) -> impl Iterator<Item = Reason> {
        self.found.iter().filter_map(|&(_, reason)| reason)
    }
}

/// A program, what can happen to it, and what is found.
pub(crate) struct Case {
    pub(crate) program: Program,
    pub(crate) exploration: Exploration,
    /// The threads in their order, and the other way round.
    pub(crate) runs: [Run; 2],
}

impl Case {
    pub(crate) fn new(program: Program) -> Self {
        let exploration = explore(&program);
        let threads = 0..program.threads.len();
        let paths: Vec<_> =
            threads.clone().map(|t| paths(&program, t, &exploration.failing_tries)).collect();
        let run = |found| Run::new(&paths, &exploration, found);
        let runs = [
            run(locks::run(&program, &paths, threads.clone())),
            run(locks::run(&program, &paths, threads.rev())),
        ];
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
        self.runs[0].verdict != self.runs[1].verdict
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
