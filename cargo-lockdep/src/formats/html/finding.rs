//! A finding: what each thread did, in the source, and what to do.

use lockdep::record::MergedEdge;
use maud::{Markup, html};

use super::excerpt::{Note, excerpt};
use crate::{
    formats::human::count,
    report::{Judged, Verdict},
    sources::Sources,
};

/// `number`: its place in the report.
pub(super) fn finding(number: usize, judged: &Judged, sources: &Sources) -> Markup {
    let finding = &judged.finding;
    let (class, verdict) = match judged.verdict {
        Verdict::Denied => ("denied", "denied"),
        Verdict::Warned => ("warned", "warned of"),
        Verdict::Allowed => ("quiet", "allowed"),
        Verdict::Silenced => ("quiet", "silenced"),
        Verdict::Expected => ("quiet", "looked at by a test"),
    };
    html! {
        article.finding.(class) #{ "finding-" (number) } {
            p.kind {
                b { (verdict) } " "
                a href={ "#" (finding.kind) } title="What this means" { code { (finding.kind) } }
            }
            h2 { (ticked(judged.title())) }
            @if let Some(help) = judged.help() { p.help { (ticked(&help)) } }
            ol.threads {
                @for edge in &finding.cycle { li { (thread(edge, sources)) } }
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
            }
        }
    }
}

fn thread(edge: &MergedEdge, sources: &Sources) -> Markup {
    let notes = [
        Note {
            place: &edge.held_at,
            text: format!("holds {} since here", edge.held),
            class: "held",
        },
        Note {
            place: &edge.acquired_at,
            text: format!("acquires {} here", edge.wanted),
            class: "acquired",
        },
    ];
    html! {
        h3 { "Thread " code { (edge.thread) } }
        (excerpt(&notes, sources))
    }
}

/// A sentence, with what stands between backticks as code.
fn ticked(text: &str) -> Markup {
    let mut text = text.to_owned();
    if let Some(first) = text.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    html! {
        @for (at, part) in text.split('`').enumerate() {
            @if at % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
