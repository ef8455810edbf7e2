//! A finding: what each thread or task did, with the source, and how to fix it.

use lockdep::record::MergedFinding;
use maud::{Markup, html};

use super::excerpt::{Note, excerpt};
use crate::{
    report::{
        Judged, Verdict,
        formats::{
            human::{also, count},
            steps::{Did, Step, steps},
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
    html! {
        article.finding.(class) #{ "finding-" (number) } {
            p.kind {
                b { (verdict) } " "
                a href={ "#" (finding.kind) } title="What this means" { code { (finding.kind) } }
            }
            h2 { (ticked(&finding.title)) }
            @if !finding.help.is_empty() { p.help { (ticked(&finding.help)) } }
            @if let Some(reason) = &finding.silenced { p.help { "Silenced: " (reason) } }
            ol.threads {
                @for index in 0..finding.cycle.len() { li { (thread(finding, index, sources)) } }
            }
            p.actions {
                button type="button" data-finding=(number) hidden { "Show in the lock order" }
            }
            details { summary { "Full report" } pre tabindex="0" { (finding.report) } }
            p.found {
                "Found by " (count(finding.processes as u64, "process", "processes")) ": "
                @for (at, test) in finding.tests.iter().enumerate() {
                    @if at > 0 { ", " }
                    code { (test) }
                }
                @if finding.processes > finding.tests.len() && finding.tests.len() > 1 { ", …" }
                @if let Some(also) = also(judged) { "; also found as " (code(&also)) }
            }
        }
    }
}

/// Returns a step as a note, in the style of the held or of the acquired lock.
fn note(Step { place, did }: Step<'_>) -> Note<'_> {
    let class = match did {
        Did::Spawn | Did::Hold(_) | Did::Request(_) => "held",
        Did::Acquire(_) | Did::Wait(_) => "acquired",
    };
    Note { place, text: did.present(), class }
}

fn thread(finding: &MergedFinding, index: usize, sources: &Sources) -> Markup {
    let edge = &finding.cycle[index];
    let is_of_lock = |step: &Step<'_>| !matches!(step.did, Did::Spawn);
    let notes: Vec<_> = steps(finding, index).into_iter().filter(is_of_lock).map(note).collect();
    html! {
        h3 {
            @if edge.is_task() { (capitalized(&edge.thread)) } @else { "Thread " code { (edge.thread) } }
            @if let Some(site) = &edge.spawned_at { ", spawned at " code { (site) } }
        }
        (excerpt(&notes, sources))
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
