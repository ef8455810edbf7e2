//! A finding: both locks, all places with the source, the threads or tasks, how to fix it, and the call stacks.

use lockdep::record::{Acquisition, Call, MergedEdge, MergedFinding, Shown};
use maud::{Markup, html};

use super::{
    excerpt::{Note, excerpt},
    lanes::lanes,
};
use crate::{
    report::{
        Judged, Verdict,
        formats::{
            human::{also, count},
            spans::{Part, Span, parts},
            steps::{Did, steps},
        },
    },
    rustc::sources::Sources,
};

/// Renders a finding. `number` is its index in the report.
pub(super) fn finding(number: usize, judged: &Judged, sources: &Sources) -> Markup {
    let finding = &judged.finding;
    let (class, verdict) = match judged.verdict {
        Verdict::Denied => ("denied", "denied"),
        Verdict::Warned => ("warned", "warned"),
        Verdict::Allowed => ("quiet", "allowed"),
        Verdict::Silenced => ("quiet", "silenced"),
        Verdict::Expected => ("quiet", "expected by a test"),
    };
    let (edges, notes): (Vec<_>, Vec<_>) =
        parts(finding).into_iter().partition(|part| !part.is_note);
    let title = format!("finding-{number}-title");
    html! {
        article.finding.(class) #{ "finding-" (number) } aria-labelledby=(title) {
            p.kind {
                b { (verdict) } " "
                a href={ "#" (finding.kind) } title="What this means" { code { (finding.kind) } }
            }
            h2 #(title) { (ticked(&finding.title)) }
            @if !finding.help.is_empty() { p.help { (ticked(finding.help.trim_end_matches('.'))) "." } }
            @if let Some(reason) = &finding.silenced { p.help { "Silenced: " (code(reason)) } }
            (lanes(&finding.cycle))
            ol.threads {
                @for (at, part) in edges.iter().enumerate() {
                    li {
                        @if let Some(heading) = heading(finding, at, part) { h3 { (ticked(&heading)) } }
                        (excerpt(&noted(part), sources))
                    }
                }
            }
            (notes_of(&notes, sources))
            p.actions {
                button type="button" data-finding=(number) hidden { "Show in the lock order" }
            }
            (stacks(finding))
            details.report { summary { "Full report, as text" } pre tabindex="0" { (finding.report) } }
            p.found { (found(judged)) }
        }
    }
}

/// Says which thread or task a part is about. The title introduces the first one, whose labels have no subject but
/// the thread. That of a process whose threads all sleep is about all of them.
fn heading(finding: &MergedFinding, at: usize, part: &Part<'_>) -> Option<String> {
    let Some(edge) = finding.cycle.get(at) else {
        return Some(part.text.clone().into_owned()).filter(|text| !text.is_empty());
    };
    let heading = if part.text.is_empty() { &*who(finding, edge) } else { &*part.text };
    // Otherwise a note says it, or the name does.
    let is_said = finding.shown.get(at).is_some() || finding.across_runs && !edge.is_task();
    let spawned_at = edge.spawned_at.as_ref().filter(|_| !is_said);
    let spawned = spawned_at.map(|site| format!(", spawned at `{site}`"));
    Some(heading.to_owned() + &spawned.unwrap_or_default())
}

/// Returns the thread or task of an edge, with its process if edges have different ones.
fn who(finding: &MergedFinding, edge: &MergedEdge) -> String {
    if finding.across_runs { edge.who_of_process() } else { edge.who() }
}

/// Returns the places of a part with their labels. The acquisition that the part is about is the last one.
fn noted<'a>(part: &'a Part<'_>) -> Vec<Note<'a>> {
    let note = |span: &'a Span<'_>| {
        let class = match (part.is_note, span.is_primary) {
            (true, _) => "noted",
            (_, true) => "acquired",
            _ => "held",
        };
        Note { place: span.place, text: (&*span.label).into(), class }
    };
    let (acquired, held): (Vec<_>, Vec<_>) = part.spans.iter().partition(|span| span.is_primary);
    held.into_iter().chain(acquired).map(note).collect()
}

/// Renders what a report says besides its edges: where the locks are made, and the like.
fn notes_of(notes: &[Part<'_>], sources: &Sources) -> Markup {
    let (to_copy, notes): (Vec<_>, Vec<_>) =
        notes.iter().partition(|part| introduces(part).is_some());
    html! {
        @if !notes.is_empty() {
            ul.notes {
                @for part in notes { li { p { (ticked(&part.text)) } (excerpt(&noted(part), sources)) } }
            }
        }
        @for (introduction, lines) in to_copy.into_iter().filter_map(introduces) {
            details { summary { (ticked(introduction)) } pre tabindex="0" { (lines) } }
        }
    }
}

/// Splits a note that introduces lines to copy.
fn introduces<'a>(part: &'a Part<'_>) -> Option<(&'a str, &'a str)> {
    part.text.split_once(":\n")
}

/// Renders the call stacks of all acquisitions, if any was captured.
fn stacks(finding: &MergedFinding) -> Markup {
    let edges = finding.shown.iter().zip(&finding.cycle).enumerate();
    let edges: Vec<_> = edges
        .map(|(index, (shown, edge))| (edge, acquisitions(finding, index, shown)))
        .filter(|(_, acquisitions)| acquisitions.iter().any(|(_, stack)| !stack.is_empty()))
        .collect();
    html! {
        @if !edges.is_empty() {
            details.stacks {
                summary { "Call stacks" }
                @for (edge, acquisitions) in &edges {
                    h3 { (ticked(&who(finding, edge))) }
                    (stacks_of(acquisitions))
                }
            }
        }
    }
}

/// Returns the labels and stacks of an edge's acquisitions: two, or one if they are the same.
fn acquisitions<'a>(
    finding: &'a MergedFinding,
    index: usize,
    shown: &'a Shown<'_>,
) -> Vec<(String, &'a [Call<'a>])> {
    let who = finding.cycle[index].who();
    let end = |end: &'a Acquisition<'_>| (&*end.label, &*end.stack);
    let wanted = end(&shown.wanted);
    let ends = match &shown.held {
        None => vec![wanted],
        // A guard that was never released was acquired once.
        Some(held) if held.at == shown.wanted.at && held.label.is_empty() => {
            vec![(wanted.0, if wanted.1.is_empty() { &*held.stack } else { wanted.1 })]
        }
        Some(held) => vec![end(held), wanted],
    };
    let steps = steps(finding, index).into_iter().filter(|step| !matches!(step.did, Did::Spawn));
    let unshown = steps.map(|step| step.did.past(&who)).chain(std::iter::repeat(who.clone()));
    let label = |((label, stack), unshown): ((&str, _), String)| {
        // A report may not show where the lock has been held since.
        let label = if label.is_empty() { &unshown } else { label };
        // The heading names the thread.
        let label = label.strip_prefix(&format!("{who} ")).unwrap_or(label);
        (label.strip_prefix("and ").unwrap_or(label).to_owned(), stack)
    };
    ends.into_iter().zip(unshown).map(label).collect()
}

/// Renders the call stacks of an edge. What they have in common stands below.
fn stacks_of(acquisitions: &[(String, &[Call<'_>])]) -> Markup {
    let common = match acquisitions {
        [(_, held), (_, wanted)] => common(held, wanted),
        _ => 0,
    };
    let longest = acquisitions.iter().map(|(_, calls)| *calls).max_by_key(|calls| calls.len());
    html! {
        @for (label, calls) in acquisitions {
            p { (ticked(label)) @if calls.is_empty() { ": no call stack was captured" } }
            (stack(&calls[..calls.len() - common], 0))
        }
        @if let (Some(calls), 1..) = (longest, common) {
            p { "Both called from" }
            (stack(&calls[calls.len() - common..], calls.len() - common))
        }
    }
}

/// Returns how many outer calls two stacks have in common. At least one of each remains.
fn common(one: &[Call<'_>], other: &[Call<'_>]) -> usize {
    let common = one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other);
    common.count().min(one.len().saturating_sub(1)).min(other.len().saturating_sub(1))
}

/// Renders calls, innermost first. `start` is the number of the first one.
fn stack(calls: &[Call<'_>], start: usize) -> Markup {
    html! {
        @if !calls.is_empty() {
            ol.stack start=(start) {
                @for call in calls {
                    li { code { (call.function) } @if let Some(at) = &call.at { " at " code { (at) } } }
                }
            }
        }
    }
}

/// Says how often the bug was found, and where.
fn found(judged: &Judged) -> Markup {
    let finding = &judged.finding;
    html! {
        @if finding.across_runs {
            "Seen in different processes, none of which has taken both orders: "
        } @else {
            "Found by " (count(finding.processes as u64, "process", "processes")) ": "
        }
        @for (at, test) in finding.tests.iter().enumerate() {
            @if at > 0 { ", " }
            code { (test) }
        }
        @if finding.processes > finding.tests.len() && finding.tests.len() > 1 { ", …" }
        @if let Some(also) = also(judged) { "; also found as " (code(&also)) }
    }
}

/// Returns the text with a capital first letter.
pub(super) fn capitalized(text: &str) -> String {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    text
}

/// Renders a sentence, with parts between backticks as code.
pub(super) fn ticked(text: &str) -> Markup {
    code(&capitalized(text))
}

/// Renders parts between backticks as code.
pub(super) fn code(text: &str) -> Markup {
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
