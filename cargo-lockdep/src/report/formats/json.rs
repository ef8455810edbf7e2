//! The whole report as JSON. `docs/reports.md` describes the schema.

use lockdep::{
    WaitKind,
    record::{MergedEdge, MergedGraph},
};
use serde::Serialize;

use super::drawn::ends;
use crate::{
    Result, cannot,
    outcomes::Outcome,
    report::{Counts, Judged, Report, Verdict, coverage},
};

/// Incremented whenever an existing reader would misunderstand a document.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: Tool,
    counts: Counts,
    findings: Vec<Finding<'a>>,
    graph: &'a MergedGraph,
    unseen: Vec<Unseen<'a>>,
    /// Why nothing was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing_checked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_entries: Option<&'a [String]>,
}

#[derive(Serialize)]
struct Tool {
    name: &'static str,
    version: &'static str,
}

#[derive(Serialize)]
struct Finding<'a> {
    verdict: Verdict,
    kind: &'static str,
    /// What else the bug was found as.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    wait: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    silenced: Option<&'a str>,
    title: &'a str,
    help: &'a str,
    across_runs: bool,
    processes: usize,
    tests: &'a [String],
    cycle: Vec<EdgeInGraph<'a>>,
    report: &'a str,
}

#[derive(Serialize)]
struct EdgeInGraph<'a> {
    #[serde(flatten)]
    edge: &'a MergedEdge,
    /// The indices of its locks in the graph.
    held_lock: Option<usize>,
    wanted_lock: Option<usize>,
}

/// A crate whose locks were not checked.
#[derive(Serialize)]
struct Unseen<'a> {
    package: &'a str,
    #[serde(rename = "crate")]
    crate_name: &'a str,
    why: String,
    /// rustc's error, if the crate does not compile with checked locks.
    error: Option<&'a str>,
}

pub(super) fn text(report: &Report) -> Result<String> {
    let unseen = report.notes.iter().filter_map(|note| {
        let error = match &note.outcome {
            Outcome::FellBack(error) => Some(&**error),
            _ => None,
        };
        let why = coverage::why(note)?;
        Some(Unseen { package: &note.package, crate_name: &note.crate_name, why, error })
    });
    let document = Document {
        schema: SCHEMA,
        tool: Tool { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") },
        counts: report.counts,
        findings: report.findings.iter().map(|judged| finding(judged, &report.graph)).collect(),
        graph: &report.graph,
        unseen: unseen.collect(),
        nothing_checked: report.nothing.as_deref(),
        ended_by: report.ended_by,
        unused_entries: Some(&*report.unused).filter(|it| !it.is_empty()),
    };
    let text = serde_json::to_string_pretty(&document).map_err(cannot("write JSON"))?;
    Ok(text + "\n")
}

fn finding<'a>(judged: &'a Judged, graph: &MergedGraph) -> Finding<'a> {
    let finding = &judged.finding;
    let edge = |edge| {
        let ends = ends(graph, edge);
        EdgeInGraph { edge, held_lock: ends.map(|it| it.0), wanted_lock: ends.map(|it| it.1) }
    };
    Finding {
        verdict: judged.verdict,
        kind: finding.kind.name(),
        also: judged.also.iter().map(|kind| kind.name()).collect(),
        wait: finding.wait.map(WaitKind::name),
        silenced: finding.silenced.as_deref(),
        title: &finding.title,
        help: &finding.help,
        across_runs: finding.across_runs,
        processes: finding.processes,
        tests: &finding.tests,
        cycle: finding.cycle.iter().map(edge).collect(),
        report: &finding.report,
    }
}
