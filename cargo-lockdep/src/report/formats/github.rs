//! Workflow commands of GitHub Actions, each of which puts an annotation at a finding's line.

use std::fmt::Write;

use super::spans::{in_repository, parts};
use crate::report::{Judged, Report, Verdict};

/// Returns a command for each denied or warned finding. GitHub shows the first ten of each level.
pub(super) fn text(report: &Report) -> String {
    report.told().map(|judged| command(judged, report)).collect()
}

fn command(judged: &Judged, report: &Report) -> String {
    let finding = &judged.finding;
    let level = match judged.verdict {
        Verdict::Denied => "error",
        _ => "warning",
    };
    let mut properties = Vec::new();
    if let Some((file, line, column)) = in_repository(finding, &report.sources) {
        properties.push(("file", file));
        properties.push(("line", line.max(1).to_string()));
        if column > 0 {
            properties.push(("col", column.to_string()));
        }
    }
    properties.push(("title", format!("lockdep::{}", finding.kind)));
    let properties = properties.iter().map(|(name, value)| format!("{name}={}", property(value)));
    let properties = properties.collect::<Vec<_>>().join(",");
    format!("::{level} {properties}::{}\n", data(&message(judged)))
}

/// Returns the report without its excerpts, which need a fixed width.
fn message(judged: &Judged) -> String {
    let finding = &judged.finding;
    let mut text = finding.title.clone();
    for part in parts(finding) {
        if !part.text.is_empty() {
            let _ = write!(text, "\nnote: {}", part.text);
        }
        // In the order of events: the primary place comes last.
        for span in part.spans.iter().rev() {
            let _ = write!(text, "\n{}:{}: {}", span.place.file, span.place.line, span.label);
        }
    }
    if !finding.help.is_empty() {
        let _ = write!(text, "\nhelp: {}", finding.help);
    }
    text
}

/// Escapes the text of a command.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// Escapes the value of a property.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
