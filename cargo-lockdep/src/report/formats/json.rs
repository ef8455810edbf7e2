//! The whole report as JSON. `docs/reports.md` describes the schema.

use std::borrow::Cow;

use lockdep::{
    WaitKind,
    record::{self, MergedEdge, MergedFinding, MergedGraph, MergedOrder},
};
use serde::Serialize;

use super::{
    drawn::ends,
    lock::Lock,
    spans::{self, parts},
};
use crate::{
    Result, cannot,
    outcomes::Outcome,
    report::{Counts, Judged, Report, Verdict, coverage},
    rustc::sources::Place,
};

/// Incremented whenever an existing reader would misunderstand a document.
const SCHEMA: u32 = 1;

#[derive(Serialize)]
struct Document<'a> {
    schema: u32,
    tool: Tool,
    counts: Counts,
    findings: Vec<Finding<'a>>,
    graph: Graph<'a>,
    unseen: Vec<Unseen<'a>>,
    /// Why nothing was checked.
    #[serde(skip_serializing_if = "Option::is_none")]
    nothing_checked: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_by: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    unused_entries: Option<&'a [String]>,
}

/// This program.
#[derive(Serialize)]
pub(super) struct Tool {
    name: &'static str,
    version: &'static str,
}

impl Tool {
    pub(super) fn this() -> Self {
        Self { name: env!("CARGO_PKG_NAME"), version: env!("CARGO_PKG_VERSION") }
    }
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
    spans: Vec<Span<'a>>,
    notes: Vec<Note<'a>>,
    cycle: Vec<EdgeInGraph<'a>>,
    report: &'a str,
}

/// A place that the report shows.
#[derive(Serialize)]
struct Span<'a> {
    #[serde(flatten)]
    place: Place<'a>,
    label: Cow<'a, str>,
    /// A place that the title is about.
    primary: bool,
}

/// A note of the report.
#[derive(Serialize)]
struct Note<'a> {
    text: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    span: Option<Span<'a>>,
}

#[derive(Serialize)]
struct EdgeInGraph<'a> {
    #[serde(flatten)]
    edge: &'a MergedEdge,
    /// The indices of its locks in the graph.
    held_lock: Option<usize>,
    wanted_lock: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shown: Option<Shown<'a>>,
}

/// An edge as the report shows it.
#[derive(Serialize)]
struct Shown<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    note: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    held: Option<Acquisition<'a>>,
    wanted: Acquisition<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    call: Option<Acquisition<'a>>,
}

/// An acquisition, or a call that leads to it.
#[derive(Serialize)]
struct Acquisition<'a> {
    #[serde(flatten)]
    place: Option<Place<'a>>,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stack: Vec<Frame<'a>>,
}

#[derive(Serialize)]
struct Frame<'a> {
    function: &'a str,
    #[serde(flatten)]
    place: Option<Place<'a>>,
}

#[derive(Serialize)]
struct Graph<'a> {
    locks: Vec<Lock<'a>>,
    edges: &'a [MergedOrder],
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
        tool: Tool::this(),
        counts: report.counts,
        findings: report.findings.iter().map(|judged| finding(judged, &report.graph)).collect(),
        graph: graph(report),
        unseen: unseen.collect(),
        nothing_checked: report.nothing.as_deref(),
        ended_by: report.ended_by,
        unused_entries: Some(&*report.unused).filter(|it| !it.is_empty()),
    };
    let text = serde_json::to_string_pretty(&document).map_err(cannot("write JSON"))?;
    Ok(text + "\n")
}

fn graph(report: &Report) -> Graph<'_> {
    let graph = &report.graph;
    let locks = (0..graph.locks.len()).map(|number| Lock::new(report, number));
    Graph { locks: locks.collect(), edges: &graph.edges }
}

fn finding<'a>(judged: &'a Judged, graph: &MergedGraph) -> Finding<'a> {
    let finding = &judged.finding;
    let edge = |(index, edge): (usize, &'a MergedEdge)| {
        let ends = ends(graph, edge);
        EdgeInGraph {
            edge,
            held_lock: ends.map(|it| it.0),
            wanted_lock: ends.map(|it| it.1),
            shown: finding.shown.get(index).map(shown),
        }
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
        spans: spans(finding),
        notes: finding.notes.iter().map(note).collect(),
        cycle: finding.cycle.iter().enumerate().map(edge).collect(),
        report: &finding.report,
    }
}

fn spans(finding: &MergedFinding) -> Vec<Span<'_>> {
    let parts = parts(finding).into_iter().enumerate();
    let spans = parts.flat_map(|(index, part)| part.spans.into_iter().map(move |it| (index, it)));
    spans.map(|(index, it)| span(it, index == 0)).collect()
}

fn span(span: spans::Span<'_>, is_of_title: bool) -> Span<'_> {
    let spans::Span { place, label, is_primary } = span;
    Span { place, label, primary: is_primary && is_of_title }
}

fn note<'a>(note: &'a record::Note<'_>) -> Note<'a> {
    let place = note.label.as_ref().and_then(|label| spans::Span::of(label, false));
    Note { text: &note.text, span: place.map(|it| span(it, false)) }
}

fn shown<'a>(shown: &'a record::Shown<'_>) -> Shown<'a> {
    let call = |call: &'a record::Label<'_>| Acquisition {
        place: Place::parse(&call.at),
        label: &call.text,
        stack: Vec::new(),
    };
    Shown {
        note: &shown.note,
        held: shown.held.as_ref().map(acquisition),
        wanted: acquisition(&shown.wanted),
        call: shown.call.as_ref().map(call),
    }
}

fn acquisition<'a>(acquisition: &'a record::Acquisition<'_>) -> Acquisition<'a> {
    let frame = |call: &'a record::Call<'_>| Frame {
        function: &call.function,
        place: call.at.as_deref().and_then(Place::parse),
    };
    Acquisition {
        place: Place::parse(&acquisition.at),
        label: &acquisition.label,
        stack: acquisition.stack.iter().map(frame).collect(),
    }
}
