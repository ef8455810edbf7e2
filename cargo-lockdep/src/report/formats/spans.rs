//! The places of a finding with their labels, as its report shows them: for formats that put a finding at its lines.

use std::borrow::Cow;

use lockdep::record::{Label, MergedFinding, Note, Shown};

use super::steps::{Did, steps};
use crate::rustc::sources::{Place, Sources};

/// A sentence of a report, with the places below it.
pub(super) struct Part<'a> {
    /// Empty for the first part, which the finding's title introduces.
    pub(super) text: Cow<'a, str>,
    /// If there are any, the first one is primary.
    pub(super) spans: Vec<Span<'a>>,
    /// It is about no edge.
    pub(super) is_note: bool,
}

/// A place, and what happened there.
pub(super) struct Span<'a> {
    pub(super) place: Place<'a>,
    pub(super) label: Cow<'a, str>,
    /// The place that its part is about. Others came before it.
    pub(super) is_primary: bool,
}

impl<'a> Span<'a> {
    /// Returns `None` if the place is unknown.
    fn new(at: &'a str, label: impl Into<Cow<'a, str>>, is_primary: bool) -> Option<Self> {
        Some(Self { place: Place::parse(at)?, label: label.into(), is_primary })
    }

    pub(super) fn of(label: &'a Label<'_>, is_primary: bool) -> Option<Self> {
        Self::new(&label.at, &*label.text, is_primary)
    }
}

/// Returns the edges of a finding, then its notes.
pub(super) fn parts(finding: &MergedFinding) -> Vec<Part<'_>> {
    let mut parts: Vec<Part<'_>> = Vec::new();
    for shown in &finding.shown {
        let part = edge(shown);
        match parts.last_mut() {
            // The threads of a process that all sleep are in one part.
            Some(last) if part.text.is_empty() => last.spans.extend(part.spans),
            _ => parts.push(part),
        }
    }
    for index in finding.shown.len()..finding.cycle.len() {
        parts.push(unshown(finding, index));
    }
    // A report shows the first edges only. Its first note says how many others there are, which are all here.
    let is_cut = (1..finding.cycle.len()).contains(&finding.shown.len());
    parts.extend(finding.notes.iter().skip(usize::from(is_cut)).map(note));
    for part in &mut parts {
        // Where the primary place is unknown.
        if let Some(first) = part.spans.first_mut() {
            first.is_primary = true;
        }
    }
    parts
}

/// Returns a finding's place in the repository, with the path from its root: the one that the report is about or
/// else, because code hosts show no others, the first one that is there.
pub(super) fn in_repository(
    finding: &MergedFinding,
    sources: &Sources,
) -> Option<(String, u32, u32)> {
    let parts = parts(finding);
    let spans = || parts.iter().flat_map(|part| &part.spans);
    let (primary, others): (Vec<_>, Vec<_>) = spans().partition(|span| span.is_primary);
    primary.into_iter().chain(others).find_map(|Span { place, .. }| {
        Some((sources.in_repository(place.file)?, place.line, place.column))
    })
}

fn edge<'a>(shown: &'a Shown<'_>) -> Part<'a> {
    let held = shown.held.as_ref().filter(|held| !held.label.is_empty());
    let spans = [
        Span::new(&shown.wanted.at, &*shown.wanted.label, true),
        held.and_then(|held| Span::new(&held.at, &*held.label, false)),
        shown.call.as_ref().and_then(|call| Span::of(call, false)),
    ];
    Part {
        text: (&*shown.note).into(),
        spans: spans.into_iter().flatten().collect(),
        is_note: false,
    }
}

/// Returns an edge of a record that does not say how its report shows it, or of two records.
fn unshown(finding: &MergedFinding, index: usize) -> Part<'_> {
    let edge = &finding.cycle[index];
    let who = edge.who();
    let steps = steps(finding, index).into_iter().rev();
    let steps = steps.filter(|step| !matches!(step.did, Did::Spawn)).enumerate();
    let spans = steps.filter_map(|(at, step)| Span::new(step.place, step.did.past(&who), at == 0));
    let text = match index {
        0 => "".into(),
        _ => edge.who_of_process().into(),
    };
    Part { text, spans: spans.collect(), is_note: false }
}

fn note<'a>(note: &'a Note<'_>) -> Part<'a> {
    let span = note.label.as_ref().and_then(|label| Span::of(label, true));
    Part { text: (&*note.text).into(), spans: span.into_iter().collect(), is_note: true }
}
