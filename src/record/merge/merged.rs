//! The results of a merge, as data and as text.

use std::fmt;

use serde::Serialize;

use super::MAX_NAMED;
use crate::{
    finding::{FindingKind, Level, Mode, UNNAMED, WaitKind},
    record::schema::{Note, Shown},
};

/// A finding of one or more processes.
///
/// ```
/// # use lockdep::record::Merge;
/// # let mut merge = Merge::default();
/// merge.read_folder("docs/records")?;
/// for finding in merge.findings() {
///     assert_eq!(finding.tests, ["audit", "pay"]);
///     println!("{finding}");
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergedFinding {
    /// The kind of the finding.
    pub kind: FindingKind,
    /// The kind of wait of a [`WaitWhileHolding`](FindingKind::WaitWhileHolding).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wait: Option<WaitKind>,
    /// Its level in the process whose report this is.
    pub level: Level,
    /// `true` if its edges come from different processes, none of which has seen all of them.
    pub across_runs: bool,
    /// `true` if it is in a scope of [`testing`](crate::testing), where a test inspects it.
    pub in_scope: bool,
    /// The number of processes that have found it; 2 if it is `across_runs`.
    pub processes: usize,
    /// The tests in which it was found, or the programs if these are unknown. At most 16.
    pub tests: Vec<String>,
    /// Why it is silenced, if it is: see [`Finding::silenced`](crate::Finding::silenced).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub silenced: Option<String>,
    /// The title, in one line.
    pub title: String,
    /// The help text, in one line.
    pub help: String,
    /// The cycle, as seen by one of the processes.
    pub cycle: Vec<MergedEdge>,
    /// How the report shows the edges of the cycle: see [`Finding::shown`](super::super::Finding::shown).
    /// Empty if it is `across_runs`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub shown: Vec<Shown<'static>>,
    /// The other notes of the report.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<Note<'static>>,
    /// The report of that process.
    pub report: String,
}

impl MergedFinding {
    /// Returns what identifies each edge: held class and place, wanted class and place. Helpers acquire many locks of one
    /// class, so their nesting is known by where its report shows it.
    pub(super) fn places(&self) -> impl Iterator<Item = [&str; 4]> {
        self.cycle.iter().enumerate().map(|(at, edge)| {
            let MergedEdge { held_class, held_at, wanted_class, acquired_at, .. } = edge;
            let shown = self.shown.get(at).filter(|_| self.kind == FindingKind::SameClassNesting);
            let [held_at, acquired_at] = match shown {
                Some(Shown { held: Some(held), wanted, .. }) => [&*held.at, &*wanted.at],
                _ => [&**held_at, &**acquired_at],
            };
            [held_class, held_at, wanted_class, acquired_at]
        })
    }

    /// Returns the places at which the report shows the edges, unless [`places`](Self::places) has them. `None` if a
    /// stack is missing, so that another process may show the same edges at other places.
    pub(super) fn shown_at(&self) -> Option<impl Iterator<Item = [&str; 2]>> {
        let has_stacks = |it: &Shown<'_>| {
            let held = it.held.as_ref();
            held.is_some_and(|held| !held.stack.is_empty()) && !it.wanted.stack.is_empty()
        };
        let is_known = self.kind != FindingKind::SameClassNesting
            && !self.shown.is_empty()
            && self.shown.iter().all(has_stacks);
        is_known.then(|| {
            self.shown.iter().filter_map(|it| Some([&*it.held.as_ref()?.at, &*it.wanted.at]))
        })
    }

    /// Returns the class of which this nests two locks.
    pub(super) fn nested_class(&self) -> Option<&str> {
        let edge = self.cycle.first().filter(|_| self.kind == FindingKind::SameClassNesting)?;
        Some(&edge.held_class)
    }

    /// Returns `true` if it is an order of two locks of a class that can hang: a nesting of these is the same bug.
    pub(super) fn inverts_within(&self, class: &str) -> bool {
        matches!(self.kind, FindingKind::Inversion | FindingKind::SingleThreadInversion)
            && self.cycle.iter().any(|it| it.held_class == class && it.wanted_class == class)
    }
}

/// An edge of the lock order, as seen by one process.
///
/// ```
/// # use lockdep::record::Merge;
/// # let mut merge = Merge::default();
/// # merge.read_folder("docs/records")?;
/// for finding in merge.findings() {
///     for edge in &finding.cycle {
///         println!("{}: {} at {}", edge.test, edge.wanted, edge.acquired_at);
///     }
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[non_exhaustive]
pub struct MergedEdge {
    /// The test, or else the program.
    pub test: String,
    /// The service, if its name is known: see [`Header::service`](crate::record::Header::service).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The machine or container, if the service is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The thread's name, or what [`Edge::thread`](crate::record::Edge::thread) has in place of one.
    /// The test harness names threads after tests.
    pub thread: String,
    /// Where the task was spawned, or the thread, if it has no name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spawned_at: Option<String>,
    /// The name of the lock that was held.
    pub held: String,
    /// Its class: type and creation site, or what the program [said](crate::class).
    pub held_class: String,
    /// Its mode.
    pub held_mode: Mode,
    /// Where it was acquired, or where it was requested, if it was only
    /// [granted](Self::is_granted).
    pub held_at: String,
    /// See [`Edge::is_granted`](super::super::Edge::is_granted).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub is_granted: bool,
    /// See [`Edge::may_have_left`](super::super::Edge::may_have_left). A finding with such an edge is
    /// a warning at most.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub may_have_left: bool,
    /// The name of the lock that was acquired.
    pub wanted: String,
    /// Its class.
    pub wanted_class: String,
    /// Its mode.
    pub wanted_mode: Mode,
    /// Where it was acquired.
    pub acquired_at: String,
}

impl MergedEdge {
    /// Returns the thread or task as part of a sentence: `` thread `worker` ``, `task 7`, `the thread
    /// spawned at src/main.rs:12`.
    #[must_use]
    pub fn who(&self) -> String {
        match self.spawned_at {
            None => format!("thread `{}`", self.thread),
            Some(_) if self.is_task() => self.thread.clone(),
            Some(_) if self.thread.starts_with("thread spawned") => format!("the {}", self.thread),
            Some(_) => self.thread.clone(),
        }
    }

    /// Returns `true` if it is a task.
    #[must_use]
    pub fn is_task(&self) -> bool {
        is_task(&self.thread, self.spawned_at.as_deref())
    }

    /// Returns the thread or task with its process, as part of a sentence: `` thread `worker` of `orders` on
    /// `web-1` ``.
    #[must_use]
    pub fn who_of_process(&self) -> String {
        let host = self.host.as_ref().map(|host| format!(" on `{host}`")).unwrap_or_default();
        let process = format!("`{}`{host}", self.service());
        match &self.spawned_at {
            Some(site) if !self.is_task() => format!("a thread of {process} spawned at {site}"),
            _ => format!("{} of {process}", self.who()),
        }
    }

    /// Returns the service, or the test or program if its name is not known.
    pub(super) fn service(&self) -> &String {
        self.service.as_ref().unwrap_or(&self.test)
    }

    /// Returns the names and classes of its locks.
    pub(super) fn locks(&self) -> [(&str, &str); 2] {
        [(&self.held, &self.held_class), (&self.wanted, &self.wanted_class)]
    }

    /// Returns `true` if a thread of another process is the same one, as far as their names say.
    pub(super) fn is_of_same_thread(&self, other: &Self) -> bool {
        let has_name = self.spawned_at.is_none() && !is_unnamed(&self.thread);
        has_name && (&self.test, &self.thread) == (&other.test, &other.thread)
    }
}

/// Returns `true` for what a record says of a task: `task 7`, with its spawn site. A thread has one
/// only if it has no name: `thread spawned at src/main.rs:12`.
pub(super) fn is_task(thread: &str, spawned_at: Option<&str>) -> bool {
    spawned_at.is_some() && thread.starts_with("task ")
}

/// Returns `true` for what a record says of a thread of which it knows neither name nor spawn.
pub(super) fn is_unnamed(thread: &str) -> bool {
    thread.starts_with(UNNAMED)
}

impl fmt::Display for MergedFinding {
    /// Writes the report, and the tests that have found it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.report)?;
        if !self.across_runs {
            let processes = if self.processes == 1 { "process" } else { "processes" };
            let tests = self.tests.join("`, `");
            write!(f, "\nfound by {} {processes}: `{tests}`", self.processes)?;
            if self.processes > self.tests.len() && self.tests.len() == MAX_NAMED {
                write!(f, ", …")?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
