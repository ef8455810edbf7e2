//! What the processes wrote down, and our verdict.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
    fs, io,
    path::Path,
};

use lockdep::{
    Level,
    record::{Merge, MergedFinding},
};

use crate::{Result, cannot, levels::Levels, notes::Note, unseen};

/// What a report ends with if a `lockdep.toml`, or the program, knows better.
const SILENCED: &str = "it is silenced: ";

#[derive(Debug)]
pub(crate) struct Report {
    counts: Counts,
    denied: Vec<MergedFinding>,
    warned: Vec<MergedFinding>,
    allowed: usize,
    silenced: usize,
    /// Those that a test of the program looks at.
    expected: usize,
}

/// How much the processes have looked at.
#[derive(Debug, Default, PartialEq, Eq)]
struct Counts {
    processes: u64,
    locks: u64,
    edges: u64,
}

impl Report {
    /// Of all records in a folder. What cannot be read of them is told at once.
    pub(crate) fn read(folder: &Path, levels: &Levels) -> Result<Self> {
        let mut merge = Merge::default();
        for problem in merge.read_folder(folder).map_err(cannot("read the records"))? {
            eprintln!("lockdep: {problem}");
        }
        let counts = counts(folder).map_err(cannot("read the records"))?;
        Ok(Self::new(counts, merge.findings(), levels))
    }

    fn new(counts: Counts, findings: Vec<MergedFinding>, levels: &Levels) -> Self {
        let (mut denied, mut warned) = (Vec::new(), Vec::new());
        let (mut allowed, mut silenced, mut expected) = (0, 0, 0);
        for finding in findings {
            match levels.of(&finding.kind) {
                _ if finding.in_scope => expected += 1,
                _ if finding.report.contains(SILENCED) => silenced += 1,
                Level::Allow => allowed += 1,
                Level::Warn => warned.push(titled(finding, "warning")),
                _ => denied.push(titled(finding, "error")),
            }
        }
        Self { counts, denied, warned, allowed, silenced, expected }
    }

    pub(crate) fn is_denied(&self) -> bool {
        !self.denied.is_empty()
    }

    /// All findings, the worst last, where people look first, and what they are found in.
    pub(crate) fn text(&self, notes: &BTreeSet<Note>) -> String {
        let mut text = String::new();
        for finding in self.warned.iter().chain(&self.denied) {
            let _ = writeln!(text, "\n{}", finding.to_string().trim_end());
        }
        text + "\n" + &self.summary() + &unseen::text(notes)
    }

    fn summary(&self) -> String {
        let Counts { processes, locks, edges } = self.counts;
        let mut text = format!(
            "lockdep: {}, {}, {}: ",
            count(locks, "lock", "locks"),
            count(edges, "edge", "edges"),
            count(processes, "process", "processes"),
        );
        let mut parts = Vec::new();
        for (findings, verdict) in [(&self.denied, "denied"), (&self.warned, "warned of")] {
            if !findings.is_empty() {
                parts.push(format!("{} {verdict} ({})", findings.len(), by_kind(findings)));
            }
        }
        let quiet = [
            (self.allowed, "allowed"),
            (self.silenced, "silenced"),
            (self.expected, "left to tests that look for them"),
        ];
        parts.extend(quiet.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
        if parts.is_empty() {
            parts.push("nothing found".to_owned());
        }
        text += &parts.join(", ");
        text + "\n"
    }
}

/// The same finding, whose report says how bad it is here: in the process it was only recorded.
fn titled(mut finding: MergedFinding, severity: &str) -> MergedFinding {
    if let Some(at) = finding.report.find("[lockdep::") {
        finding.report.replace_range(..at, severity);
    }
    finding
}

/// ``2 `inversion`, 1 `recursive_read` ``
fn by_kind(findings: &[MergedFinding]) -> String {
    let mut kinds = BTreeMap::<_, usize>::new();
    for finding in findings {
        *kinds.entry(&finding.kind).or_default() += 1;
    }
    let kinds = kinds.into_iter().map(|(kind, count)| format!("{count} `{kind}`"));
    kinds.collect::<Vec<_>>().join(", ")
}

fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

/// The sums of what the processes have counted.
fn counts(folder: &Path) -> io::Result<Counts> {
    let mut counts = Counts::default();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        if path.extension().is_none_or(|extension| extension != "counts") {
            continue;
        }
        let text = fs::read_to_string(path)?;
        if let Some((locks, edges)) = text.trim().split_once(' ') {
            counts.processes += 1;
            counts.locks += locks.parse().unwrap_or(0);
            counts.edges += edges.parse().unwrap_or(0);
        }
    }
    Ok(counts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_found_is_said() {
        let counts = Counts { processes: 1, locks: 2, edges: 0 };
        let report = Report::new(counts, Vec::new(), &Levels::new(Vec::new()));
        assert!(!report.is_denied());
        assert_eq!(
            report.text(&BTreeSet::new()),
            "\nlockdep: 2 locks, 0 edges, 1 process: nothing found\n"
        );
    }
}
