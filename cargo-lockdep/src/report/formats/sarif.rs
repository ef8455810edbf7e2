//! SARIF 2.1.0, which code hosts use to show findings at their lines.
//!
//! A finding is a result, located at the acquisition that was about to happen; its kind is the
//! rule. Each thread or task of its cycle is a thread flow: where a task was spawned, where it
//! acquired the lock that it held, and where it acquired the other one. All of these are the places
//! that the report shows; the call stacks from there to the locks are stacks of the result.

use std::path::Path;

use lockdep::record::{Acquisition, Call, MergedFinding};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};

use super::{fingerprint::Fingerprints, steps::steps};
use crate::{
    Result, cannot,
    cmd::explain::{self, Explanation},
    outcomes::Outcome,
    report::{Judged, Report, Verdict, coverage},
    rustc::sources::{Place, Sources},
};

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The base of relative paths.
const ROOT: &str = "%SRCROOT%";

/// Characters that are percent-encoded in a segment of a path.
const PART: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

pub(super) fn text(report: &Report) -> Result<String> {
    let mut fingerprints = Fingerprints::default();
    // Silenced findings are results as well, so that code hosts show them as suppressed.
    let silenced = report.findings.iter().filter(|judged| judged.verdict == Verdict::Silenced);
    let results: Vec<_> = report
        .told()
        .chain(silenced)
        .map(|judged| result(judged, &report.sources, &mut fingerprints))
        .collect();
    let mut run = json!({
        "tool": {"driver": {
            "name": "cargo-lockdep",
            "semanticVersion": env!("CARGO_PKG_VERSION"),
            "rules": explain::ALL.iter().map(rule).collect::<Vec<_>>(),
        }},
        "automationDetails": {"id": "lockdep/"},
        "columnKind": "unicodeCodePoints",
        "invocations": [{"executionSuccessful": true, "toolExecutionNotifications": unseen(report)}],
        "results": results,
    });
    if let Some(root) = report.sources.repository() {
        run["originalUriBaseIds"] = json!({ROOT: {"uri": format!("{}/", file_uri(root))}});
    }
    let document = json!({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]});
    let text = serde_json::to_string_pretty(&document).map_err(cannot("write SARIF"))?;
    Ok(text + "\n")
}

fn rule(explanation: &Explanation) -> Value {
    json!({
        "id": rule_id(explanation.kind.name()),
        "name": explanation.kind.name(),
        "shortDescription": {"text": explanation.title()},
        "fullDescription": {"text": explanation.summary()},
        "help": {"text": explanation.text, "markdown": explanation.text},
        "defaultConfiguration": {"level": match explanation.kind.default_level() {
            lockdep::Level::Allow => "none",
            lockdep::Level::Warn => "warning",
            _ => "error",
        }},
        "properties": {"tags": ["concurrency", "deadlock"]},
    })
}

fn rule_id(kind: &str) -> String {
    format!("lockdep::{kind}")
}

fn result(judged: &Judged, sources: &Sources, fingerprints: &mut Fingerprints) -> Value {
    let finding = &judged.finding;
    let sites = || (0..finding.cycle.len()).flat_map(|index| sentences(finding, index));
    let shown = shown(finding, sources);
    let numbered = |(number, (message, place)): (usize, (String, &str))| {
        let mut location = location(&message, place, sources)?;
        location["id"] = number.into();
        Some(location)
    };
    let message = match &*finding.help {
        "" => finding.title.clone(),
        help => format!("{}\n\n{help}", finding.title),
    };
    let mut result = json!({
        "ruleId": rule_id(finding.kind.name()),
        "level": match judged.verdict {
            Verdict::Denied => "error",
            Verdict::Warned => "warning",
            _ => "note",
        },
        "message": {"text": message},
        "locations": shown.and_then(|(message, place)| location(&message, place, sources))
            .into_iter().collect::<Vec<_>>(),
        "relatedLocations": sites().enumerate().filter_map(numbered).collect::<Vec<_>>(),
        "codeFlows": code_flows(finding, sources),
        "stacks": stacks(finding, sources),
        "partialFingerprints": {"lockdep/v1": fingerprints.next(finding)},
        "properties": {"processes": finding.processes, "tests": finding.tests},
    });
    if let Some(reason) = &finding.silenced {
        result["suppressions"] = json!([{"kind": "external", "justification": reason}]);
    }
    result
}

/// Returns where a code host shows a finding: the last step of an edge, or else the step before it,
/// that is in the repository, because code hosts show no others. If none is, the last step.
fn shown<'a>(finding: &'a MergedFinding, sources: &Sources) -> Option<(String, &'a str)> {
    let done = |index| sentences(finding, index).collect::<Vec<_>>().into_iter().rev();
    let last_but = |count| (0..finding.cycle.len()).filter_map(move |index| done(index).nth(count));
    let is_here = |(_, place): &(String, &str)| {
        Place::parse(place).is_some_and(|place| sources.in_repository(place.file).is_some())
    };
    let here = last_but(0).chain(last_but(1)).find(is_here);
    here.or_else(|| last_but(0).next())
}

fn sentences(finding: &MergedFinding, index: usize) -> impl Iterator<Item = (String, &str)> {
    let who = finding.cycle[index].who();
    steps(finding, index).into_iter().map(move |step| (step.did.past(&who), step.place))
}

/// Returns one flow with all threads. Returns nothing if no place is known, because SARIF does not
/// allow an empty flow.
fn code_flows(finding: &MergedFinding, sources: &Sources) -> Vec<Value> {
    let edges = 0..finding.cycle.len();
    let threads: Vec<_> = edges.filter_map(|index| thread_flow(finding, index, sources)).collect();
    if threads.is_empty() {
        return Vec::new();
    }
    vec![json!({"message": {"text": "the steps of each thread or task"}, "threadFlows": threads})]
}

fn thread_flow(finding: &MergedFinding, index: usize, sources: &Sources) -> Option<Value> {
    let edge = &finding.cycle[index];
    let steps = sentences(finding, index);
    let steps = steps.filter_map(|(message, place)| location(&message, place, sources));
    let steps: Vec<_> = steps.map(|step| json!({"location": step})).collect();
    (!steps.is_empty()).then(|| {
        json!({
            "id": format!("{index}: {}", edge.thread),
            "message": {"text": edge.who_of_process()},
            "locations": steps,
        })
    })
}

/// Returns the call stacks of all acquisitions that have one.
fn stacks(finding: &MergedFinding, sources: &Sources) -> Vec<Value> {
    let edges = finding.cycle.iter().zip(&finding.shown);
    let ends = edges.flat_map(|(edge, shown)| {
        let who = edge.who();
        let held =
            shown.held.as_ref().map(|end| (format!("{who}, acquiring `{}`", edge.held), end));
        let wanted = format!("{who}, acquiring `{}` with `{}` held", edge.wanted, edge.held);
        held.into_iter().chain([(wanted, &shown.wanted)])
    });
    let frame = |call: &Call<'_>| {
        let physical = call.at.as_deref().and_then(|place| physical_location(place, sources));
        let mut location = json!({"logicalLocations": [{"fullyQualifiedName": call.function}]});
        if let Some(physical) = physical {
            location["physicalLocation"] = physical;
        }
        json!({"location": location})
    };
    let stack = |(message, end): (String, &Acquisition<'_>)| {
        let frames: Vec<_> = end.stack.iter().map(frame).collect();
        json!({"message": {"text": message}, "frames": frames})
    };
    ends.filter(|(_, end)| !end.stack.is_empty()).map(stack).collect()
}

fn location(message: &str, place: &str, sources: &Sources) -> Option<Value> {
    let physical = physical_location(place, sources)?;
    Some(json!({"message": {"text": message}, "physicalLocation": physical}))
}

fn physical_location(place: &str, sources: &Sources) -> Option<Value> {
    let place = Place::parse(place)?;
    let artifact = match sources.in_repository(place.file) {
        Some(path) => json!({"uri": encoded(&path), "uriBaseId": ROOT}),
        None => json!({"uri": file_uri(Path::new(place.file))}),
    };
    let region = json!({"startLine": place.line.max(1), "startColumn": place.column.max(1)});
    Some(json!({"artifactLocation": artifact, "region": region}))
}

fn encoded(path: &str) -> String {
    let part = |part| utf8_percent_encode(part, PART).to_string();
    path.split('/').map(part).collect::<Vec<_>>().join("/")
}

fn file_uri(path: &Path) -> String {
    let path = path.to_string_lossy().replace('\\', "/");
    format!("file:///{}", encoded(path.trim_start_matches('/')))
}

/// Returns the crates whose locks were not checked because they do not compile with checked locks.
fn unseen(report: &Report) -> Vec<Value> {
    let fell_back = report.notes.iter().filter(|note| matches!(note.outcome, Outcome::FellBack(_)));
    let notes = fell_back
        .filter_map(|note| Some(format!("unchecked: {} {}", note.package, coverage::why(note)?)));
    notes.map(|text| json!({"level": "note", "message": {"text": text}})).collect()
}
