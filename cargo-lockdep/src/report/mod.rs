//! What the processes wrote down, and our verdict: data, which the [formats](self::formats) write.

pub(crate) mod coverage;
pub(crate) mod formats;
pub(crate) mod levels;

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
};

use lockdep::{
    Level,
    record::{Merge, MergedFinding, MergedGraph, Problem},
};
use serde::Serialize;

use self::levels::Levels;
use crate::{Result, cannot, outcomes::Note, rustc::sources::Sources};

#[derive(Debug)]
pub(crate) struct Report {
    pub(crate) counts: Counts,
    /// The worst first.
    pub(crate) findings: Vec<Judged>,
    pub(crate) graph: MergedGraph,
    /// What was done with each crate, if we have built them.
    pub(crate) notes: BTreeSet<Note>,
    /// The program's own source, as far as it is here.
    pub(crate) sources: Sources,
    /// How many records could not be read, or not wholly. What they say is missing here.
    pub(crate) unread: usize,
}

#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) verdict: Verdict,
    pub(crate) finding: MergedFinding,
}

/// What a finding means here, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    Denied,
    Warned,
    Allowed,
    /// By a `lockdep.toml`, or by the program.
    Silenced,
    /// A test of the program looks at it.
    Expected,
}

/// How much the processes have looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Counts {
    pub(crate) processes: u64,
    pub(crate) locks: u64,
    pub(crate) edges: u64,
}

impl Report {
    /// Of all records in some folders. What cannot be read of them is told at once.
    pub(crate) fn read(
        folders: &[PathBuf],
        levels: &Levels,
        notes: BTreeSet<Note>,
        sources: Sources,
    ) -> Result<Self> {
        let mut merge = Merge::default();
        let mut counts = Counts::default();
        let mut unread = 0;
        for folder in folders {
            let problems = read_folder(&mut merge, folder)
                .and_then(|problems| counts.add(folder).map(|()| problems));
            let name = folder.display();
            for problem in problems.map_err(cannot(format!("read the records in {name}")))? {
                eprintln!("lockdep: {problem}");
                unread += 1;
            }
        }
        let graph = merge.graph();
        if counts == Counts::default() {
            // Programs that check their own locks write none.
            counts = Counts {
                processes: merge.records() as u64,
                locks: graph.locks.len() as u64,
                edges: graph.edges.len() as u64,
            };
        }
        let report = Self::new(counts, merge.findings(), graph, levels, notes, sources);
        Ok(Self { unread, ..report })
    }

    pub(crate) fn new(
        counts: Counts,
        findings: Vec<MergedFinding>,
        graph: MergedGraph,
        levels: &Levels,
        notes: BTreeSet<Note>,
        sources: Sources,
    ) -> Self {
        let judged = |mut finding: MergedFinding| {
            let verdict = match levels.of(finding.kind, finding.wait) {
                _ if finding.in_scope => Verdict::Expected,
                _ if finding.silenced.is_some() => Verdict::Silenced,
                Level::Allow => Verdict::Allowed,
                Level::Warn => Verdict::Warned,
                _ if finding.cycle.iter().any(|edge| edge.may_have_left) => Verdict::Warned,
                _ => Verdict::Denied,
            };
            retitle(&mut finding.report, verdict);
            Judged { verdict, finding }
        };
        let mut findings: Vec<_> = findings.into_iter().map(judged).collect();
        findings.sort_by_key(|judged| judged.verdict);
        Self { counts, findings, graph, notes, sources, unread: 0 }
    }

    pub(crate) fn is_denied(&self) -> bool {
        self.with(Verdict::Denied).next().is_some()
    }

    pub(crate) fn with(&self, verdict: Verdict) -> impl Iterator<Item = &MergedFinding> {
        let has_it = move |judged: &&Judged| judged.verdict == verdict;
        self.findings.iter().filter(has_it).map(|judged| &judged.finding)
    }

    /// Those that somebody should look at, the worst first.
    pub(crate) fn told(&self) -> impl Iterator<Item = &Judged> {
        self.findings.iter().filter(|judged| judged.verdict <= Verdict::Warned)
    }
}

/// Adds all records of a folder. Of each that cannot be read, or not wholly, one message is given
/// back.
fn read_folder(merge: &mut Merge, folder: &Path) -> io::Result<Vec<String>> {
    let Ok(problems) = merge.read_folder(folder) else {
        // One of the files is to blame. What was added already may be added again.
        return read_each(merge, folder);
    };
    let mut messages = Vec::new();
    for of_file in problems.chunk_by(|a, b| a.file == b.file) {
        messages.push(message(of_file));
    }
    Ok(messages)
}

fn read_each(merge: &mut Merge, folder: &Path) -> io::Result<Vec<String>> {
    let mut messages = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "jsonl") {
            match merge.read_file(&path) {
                Ok(problems) if problems.is_empty() => {}
                Ok(problems) => messages.push(message(&problems)),
                Err(error) => messages.push(format!("{}: {error}", path.display())),
            }
        }
    }
    Ok(messages)
}

/// The first problem of a file, and how many more there are.
fn message(problems: &[Problem]) -> String {
    match problems {
        [only] => only.to_string(),
        [first, rest @ ..] => format!("{first} (and {} more)", rest.len()),
        [] => String::new(),
    }
}

/// Makes a report say how bad it is here: in the process it was only recorded.
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
    /// Adds what the processes of a folder have counted.
    fn add(&mut self, folder: &Path) -> io::Result<()> {
        for file in fs::read_dir(folder)? {
            let path = file?.path();
            if path.extension().is_none_or(|extension| extension != "counts") {
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
