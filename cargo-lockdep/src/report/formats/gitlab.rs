//! The Code Quality report of GitLab, which a merge request shows.

use serde::Serialize;

use super::{fingerprint::Fingerprints, spans::in_repository};
use crate::{
    Result, cannot,
    report::{Judged, Report, Verdict},
};

#[derive(Serialize)]
struct Issue<'a> {
    description: &'a str,
    check_name: String,
    fingerprint: String,
    severity: &'static str,
    location: Location,
}

#[derive(Serialize)]
struct Location {
    /// From the root of the repository.
    path: String,
    lines: Lines,
}

#[derive(Serialize)]
struct Lines {
    begin: u32,
}

pub(super) fn text(report: &Report) -> Result<String> {
    let mut fingerprints = Fingerprints::default();
    let issues: Vec<_> =
        report.told().map(|judged| issue(judged, report, &mut fingerprints)).collect();
    let text = serde_json::to_string_pretty(&issues).map_err(cannot("write JSON"))?;
    Ok(text + "\n")
}

fn issue<'a>(judged: &'a Judged, report: &Report, fingerprints: &mut Fingerprints) -> Issue<'a> {
    let finding = &judged.finding;
    // GitLab rejects an issue without a file.
    let unknown = || ("Cargo.toml".to_owned(), 1, 1);
    let (path, line, _) = in_repository(finding, &report.sources).unwrap_or_else(unknown);
    Issue {
        description: &finding.title,
        check_name: format!("lockdep::{}", finding.kind),
        fingerprint: fingerprints.next(finding),
        severity: match judged.verdict {
            Verdict::Denied => "critical",
            _ => "minor",
        },
        location: Location { path, lines: Lines { begin: line.max(1) } },
    }
}
