//! The lock order as a list, for readers without scripts, on paper, or of names that the picture cannot show.

use std::collections::BTreeMap;

use lockdep::__private::render::not_drawn;
use maud::{Markup, html};

use super::MAX_FINDINGS;
use crate::report::{
    Report, Verdict,
    formats::{
        drawn::{Arrow, Arrows},
        human::count,
    },
};

/// The number of locks that are listed.
const MAX_LOCKS: usize = 500;

/// Renders each lock with those that were acquired while it was held.
pub(super) fn nestings(report: &Report, arrows: &Arrows<'_>) -> Markup {
    let mut by_held = BTreeMap::<_, Vec<_>>::new();
    for (&(held, wanted), arrow) in &arrows.drawn {
        by_held.entry(held).or_default().push((wanted, arrow));
    }
    html! {
        @if !by_held.is_empty() {
            details #nestings {
                summary { "The same as a list" }
                ul {
                    @for (&held, wanted) in by_held.iter().take(MAX_LOCKS) {
                        li {
                            code { (report.name(held)) } ", then "
                            @for (at, (lock, arrow)) in wanted.iter().enumerate() {
                                @if at > 0 { ", " }
                                (linked(report.name(*lock), arrow))
                            }
                        }
                    }
                }
                @if let Some(more @ 1..) = by_held.len().checked_sub(MAX_LOCKS) {
                    p.nothing { (count(more as u64, "more lock is", "more locks are")) " in the other formats." }
                }
                @if arrows.left_out > 0 { p.nothing { (not_drawn(arrows.left_out, 0)) "." } }
            }
        }
    }
}

/// Renders the name of a lock, with a link to the worst finding about its acquisition.
fn linked(name: &str, arrow: &Arrow<'_>) -> Markup {
    let class = match arrow.verdict {
        Some(Verdict::Denied) => "denied",
        Some(Verdict::Warned) => "warned",
        _ => "quiet",
    };
    let finding = arrow.findings.first().filter(|&&it| it < MAX_FINDINGS);
    html! {
        @match finding {
            Some(finding) => a class=(class) href={ "#finding-" (finding) } { code { (name) } },
            None => code { (name) },
        }
    }
}
