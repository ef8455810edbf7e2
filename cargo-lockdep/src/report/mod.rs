//! The merged records of all processes, with a verdict on each finding. The
//! [formats](self::formats) write this data.

pub(crate) mod coverage;
pub(crate) mod formats;
pub(crate) mod inputs;
pub(crate) mod levels;
mod names;
pub(crate) mod order;
pub(crate) mod rows;
mod unused;

use std::{cell::OnceCell, collections::BTreeSet, fs, io, path::Path};

use lockdep::{
    FindingKind, Level,
    record::{Merge, MergedBug, MergedFinding, MergedGraph},
};
use serde::Serialize;

use self::{inputs::Inputs, levels::Levels};
use crate::{
    Result, cannot,
    outcomes::{Note, Outcome},
    project::Workspace,
    rustc::sources::Sources,
};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    /// One for each bug, worst first.
    pub(crate) findings: Vec<Judged>,
    pub(crate) graph: MergedGraph,
    /// The outcome of each crate's compilation, if this run built it.
    pub(crate) notes: BTreeSet<Note>,
    /// The program's own source, if it is available.
    pub(crate) sources: Sources,
    /// The workspace of the program, if it is known.
    pub(crate) workspace: Option<Workspace>,
    /// The number of records that could not be read, at least in part. Their findings are missing.
    pub(crate) unread: usize,
    /// Why nothing was checked, if nothing was.
    pub(crate) nothing: Option<String>,
    /// The signal that has ended the run, if one has.
    pub(crate) ended_by: Option<&'static str>,
    /// The entries of `lockdep.toml` that matched no finding.
    pub(crate) unused: Vec<String>,
    /// The names of the graph's locks, once a format needs them.
    names: OnceCell<Vec<String>>,
}

#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    /// The worst finding of its bug, with the processes and tests of all.
    pub(crate) finding: MergedFinding,
    /// What else the bug was found as.
    pub(crate) also: Vec<FindingKind>,
}

/// How a finding counts in this report, worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Denied,
    Warned,
    Allowed,
    /// By `lockdep.toml` or by the program.
    Silenced,
    /// A test of the program expects it.
    Expected,
}

/// How much the processes have checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) processes: u64,
    pub(crate) locks: u64,
    pub(crate) edges: u64,
}

impl Report {
    /// Merges all records. Prints errors of unreadable ones.
    pub(crate) fn read(
        inputs: &Inputs,
        levels: &Levels,
        notes: BTreeSet<Note>,
        sources: Sources,
    ) -> Result<Self> {
        let mut merge = Merge::default();
        let mut counts = Counts::default();
        let messages = inputs.merge(&mut merge);
        for message in &messages {
            eprintln!("lockdep: {message}");
        }
        let unread = messages.len();
        for folder in inputs.folders() {
            let what = format!("read the records in {}", folder.display());
            counts.add(folder).map_err(cannot(what))?;
        }
        let graph = merge.graph();
        if counts == Counts::default() {
            // Programs that check their own locks write no counts.
            counts = Counts {
                processes: merge.records() as u64,
                locks: graph.locks.len() as u64,
                edges: graph.edges.len() as u64,
            };
        }
        let records = merge.records();
        let report = Self::new(counts, merge.bugs(), graph, levels, notes, sources);
        let unused = unused::entries(inputs.folders(), &report.findings);
        Ok(Self { unread, nothing: report.why_nothing(records), unused, ..report })
    }

    /// Returns why nothing was checked, or `None` if something was. A process begins its record with its first lock.
    fn why_nothing(&self, records: usize) -> Option<String> {
        if self.counts.locks > 0 || !self.graph.locks.is_empty() || !self.findings.is_empty() {
            return None;
        }
        let why = match (self.counts.processes, records) {
            (0, 0) => "no process has run with checked locks",
            (_, 0) => "no process has acquired a checked lock",
            _ => "no process has acquired a lock while it held another",
        };
        Some(why.to_owned())
    }

    /// Returns `true` if a part of the program that checks itself did not record what it found.
    pub(crate) fn lacks_findings(&self) -> bool {
        self.notes.iter().any(|note| matches!(note.outcome, Outcome::Unrecorded(_)))
    }

    pub(crate) fn new(
        counts: Counts,
        bugs: Vec<MergedBug>,
        graph: MergedGraph,
        levels: &Levels,
        notes: BTreeSet<Note>,
        sources: Sources,
    ) -> Self {
        let mut findings: Vec<_> =
            bugs.into_iter().filter_map(|bug| Judged::new(bug, levels)).collect();
        findings.sort_by_key(|judged| judged.verdict);
        Self {
            counts,
            findings,
            graph,
            notes,
            sources,
            workspace: None,
            unread: 0,
            nothing: None,
            ended_by: None,
            unused: Vec::new(),
            names: OnceCell::new(),
        }
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.with(Verdict::Denied).next().is_some()
    }

    pub(crate) fn with(&self, verdict: Verdict) -> impl Iterator<Item = &MergedFinding> {
        let has_it = move |judged: &&Judged| judged.verdict == verdict;
        self.findings.iter().filter(has_it).map(|judged| &judged.finding)
    }

    /// Returns the name of a lock of the graph.
    pub(crate) fn name(&self, lock: usize) -> &str {
        &self.names.get_or_init(|| names::names(self))[lock]
    }

    /// Returns the findings to report, worst first.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Judged> {
        self.findings.iter().filter(|judged| judged.verdict <= Verdict::Warned)
    }
}

impl Judged {
    /// Returns the worst finding of a bug. `None` if it has none.
    fn new(bug: MergedBug, levels: &Levels) -> Option<Self> {
        let MergedBug { mut findings, processes, tests, .. } = bug;
        let verdict = |finding: &MergedFinding| Verdict::of(finding, levels);
        // Of those with one verdict, the first is of the worst kind.
        let worst = (0..findings.len()).min_by_key(|&at| verdict(&findings[at]))?;
        let mut finding = findings.remove(worst);
        let verdict = verdict(&finding);
        (finding.processes, finding.tests) = (processes, tests);
        retitle(&mut finding.report, verdict);
        let mut also: Vec<_> = findings.into_iter().map(|it| it.kind).collect();
        also.dedup();
        also.retain(|&kind| kind != finding.kind);
        Some(Self { verdict, finding, also })
    }
}

impl Verdict {
    fn of(finding: &MergedFinding, levels: &Levels) -> Self {
        match levels.of(finding.kind, finding.wait) {
            _ if finding.in_scope => Self::Expected,
            _ if finding.silenced.is_some() => Self::Silenced,
            Level::Allow => Self::Allowed,
            Level::Warn => Self::Warned,
            _ if finding.cycle.iter().any(|edge| edge.may_have_left) => Self::Warned,
            _ => Self::Denied,
        }
    }
}

/// Sets the severity in a report's title: the process recorded it at another level.
fn retitle(report: &mut String, verdict: Verdict) {
    let severity = match verdict {
        Verdict::Denied => "error",
        Verdict::Warned => "warning",
        _ => "note",
    };
    if let Some(at) = report.find("[lockdep::") {
        report.replace_range(..at, severity);
    }
}

impl Counts {
    /// Adds the counts that the processes of a folder have written.
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "counts") || !path.is_file() {
                continue;
            }
            let text = fs::read_to_string(path)?;
            if let Some((locks, edges)) = text.trim().split_once(' ') {
                self.processes += 1;
                self.locks += locks.parse().unwrap_or(0);
                self.edges += edges.parse().unwrap_or(0);
            }
        }
        Ok(())
    }
}
