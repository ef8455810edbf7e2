//! Text for the terminal: the report of each finding, and a summary.

use std::{collections::BTreeMap, fmt::Write};

use crate::report::{Counts, Judged, Report, Verdict, coverage};

/// Renders all findings, then the summary. The worst finding comes last, where people look first.
pub(crate) fn text(report: &Report) -> String {
    let mut text = String::new();
    for judged in report.told().collect::<Vec<_>>().into_iter().rev() {
        let _ = writeln!(text, "\n{}", judged.finding.to_string().trim_end());
        if let Some(also) = also(judged) {
            let _ = writeln!(text, "also found as {also}");
        }
    }
    text + "\n"
        + &summary(report)
        + &coverage::text(&report.notes)
        + &unused(report)
        + &hint(report)
}

/// Names the entries of `lockdep.toml` that could be removed, or that a part of the tests does not need.
fn unused(report: &Report) -> String {
    if report.unused.is_empty() {
        return String::new();
    }
    format!(
        "lockdep: note: unused entry: {} matched no finding of this run\n",
        report.unused.join(", ")
    )
}

/// Lists the kinds that a bug was found as besides the one in the report:
/// `` `single_thread_inversion` ``.
pub(super) fn also(judged: &Judged) -> Option<String> {
    let kinds: Vec<_> = judged.also.iter().map(|kind| format!("`{kind}`")).collect();
    (!kinds.is_empty()).then(|| kinds.join(", "))
}

/// Names the explanation of the worst finding.
fn hint(report: &Report) -> String {
    let worst = report.told().next();
    worst.map_or_else(String::new, |judged| {
        format!("lockdep: see also `cargo lockdep explain {}`\n", judged.finding.kind)
    })
}

/// Returns one line with what was checked and the number of findings.
pub(crate) fn summary(report: &Report) -> String {
    let Counts { processes, locks, edges } = report.counts;
    let text = format!(
        "lockdep: {}, {}, {}: ",
        count(locks, "lock", "locks"),
        count(edges, "edge", "edges"),
        count(processes, "process", "processes"),
    );
    let mut parts = Vec::new();
    for (verdict, what) in [(Verdict::Denied, "denied"), (Verdict::Warned, "warned")] {
        let number = report.with(verdict).count();
        if number > 0 {
            parts.push(format!("{number} {what} ({})", by_kind(report, verdict)));
        }
    }
    for (verdict, what) in [
        (Verdict::Allowed, "allowed"),
        (Verdict::Silenced, "silenced"),
        (Verdict::Expected, "expected by tests"),
    ] {
        let number = report.with(verdict).count();
        if number > 0 {
            parts.push(format!("{number} {what}"));
        }
    }
    if parts.is_empty() {
        parts.push(match &report.nothing {
            Some(why) => format!("nothing was checked: {why}"),
            None => "nothing found".to_owned(),
        });
    }
    let until = report.ended_by.map(|signal| format!(", until {signal} ended the run"));
    text + &parts.join(", ") + &until.unwrap_or_default() + "\n"
}

/// ``2 `inversion`, 1 `recursive_read` ``
fn by_kind(report: &Report, verdict: Verdict) -> String {
    let mut kinds = BTreeMap::<_, usize>::new();
    for finding in report.with(verdict) {
        *kinds.entry(finding.kind.name()).or_default() += 1;
    }
    let kinds = kinds.into_iter().map(|(kind, count)| format!("{count} `{kind}`"));
    kinds.collect::<Vec<_>>().join(", ")
}

pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{number} {}", if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use lockdep::record::MergedGraph;

    use super::*;
    use crate::{report::levels::Levels, rustc::sources::Sources};

    #[test]
    fn the_summary_without_findings_says_nothing_found() {
        let counts = Counts { processes: 1, locks: 2, edges: 0 };
        let report = Report::new(
            counts,
            Vec::new(),
            MergedGraph::default(),
            &Levels::new(Vec::new()),
            BTreeSet::new(),
            Sources::default(),
        );
        assert!(!report.is_denied());
        assert_eq!(text(&report), "\nlockdep: 2 locks, 0 edges, 1 process: nothing found\n");
    }
}
