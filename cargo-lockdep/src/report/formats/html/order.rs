//! The proposed order: the locks, what contradicts it, and the lines that declare it.

use maud::{Markup, html};

use super::{
    MAX_FINDINGS,
    excerpt::{Note, excerpt},
    finding::{code, ticked},
};
use crate::report::{
    Report, Verdict,
    formats::{
        human::count,
        order::{
            ALIKE, DECLARE, MAX_AGAINST, MAX_PLACES, advice, comments, headline, legend, mark,
            sentence, verdict,
        },
    },
    order::{Acquisition, Against, ProposedOrder, declarations::Declarations},
};

/// The number of locks that are listed.
const MAX_LOCKS: usize = 500;

pub(super) fn order(report: &Report) -> Markup {
    let order = ProposedOrder::new(report);
    let declarations = Declarations::new(&order);
    html! {
        @if !report.graph.edges.is_empty() {
            section #proposed aria-labelledby="proposed-order" {
                h2 #proposed-order { "Proposed order" }
                p.hint { (headline(&order)) }
                (locks(&order))
                @for note in legend(&order) { p.hint { (code(note)) } }
                @for &pair in order.against.iter().take(MAX_AGAINST) { (against(&order, pair, report)) }
                @if let Some(more @ 1..) = order.against.len().checked_sub(MAX_AGAINST) {
                    p.nothing {
                        (count(more as u64, "more pair of locks is", "more pairs of locks are"))
                        " against the order: see " code { "cargo lockdep order --format json" } "."
                    }
                }
                @for name in order.names_alike() {
                    p.hint { "Two locks " code { (name) } " were nested. " (code(ALIKE)) }
                }
                @if !declarations.is_empty() {
                    details {
                        summary { "Lines that declare this order" }
                        p.hint { (code(DECLARE)) }
                        pre tabindex="0" {
                            @for (at, (comment, lines)) in comments(&declarations).enumerate() {
                                @if at > 0 { "\n" }
                                "// " (comment) "\n" (lines)
                            }
                        }
                    }
                }
            }
        }
    }
}

fn locks(order: &ProposedOrder<'_>) -> Markup {
    let group = |place: usize| order.locks[place].group;
    let places: Vec<_> = (0..order.locks.len().min(MAX_LOCKS)).collect();
    html! {
        @for places in places.chunk_by(|&a, &b| group(a) == group(b)) {
            ol.order start=(places[0] + 1) {
                @for &place in places {
                    @let lock = order.lock(place);
                    li {
                        code { (order.name(place)) }
                        span { code { (lock.type_name) } @if let Some(made) = &lock.created_at { " made at " code { (made) } } }
                        @if let Some(mark) = mark(order, place) { b { (mark) } }
                    }
                }
            }
        }
        @if let Some(more @ 1..) = order.locks.len().checked_sub(MAX_LOCKS) {
            p.nothing { (count(more as u64, "more lock follows", "more locks follow")) " in the other formats." }
        }
    }
}

fn against(order: &ProposedOrder<'_>, pair: Against, report: &Report) -> Markup {
    let acquisitions = order.acquisitions(pair.held, pair.wanted);
    let class = match pair.verdict {
        Some(Verdict::Denied) => "denied",
        Some(Verdict::Warned) => "warned",
        _ => "quiet",
    };
    let finding = acquisitions.iter().find_map(|it| it.finding).filter(|&it| it < MAX_FINDINGS);
    html! {
        article.contradiction.finding.(class) {
            p.kind {
                b { "against the order" } " " (code(&verdict(order, pair)))
                @if let Some(finding) = finding { ", " a href={ "#finding-" (finding) } { "see the finding" } }
            }
            h3.pair { (code(&sentence(order, pair))) }
            p.help { (ticked(&advice(order, pair))) }
            ol.threads {
                @for it in acquisitions.iter().take(MAX_PLACES) { li { (places(order, pair, it, report)) } }
            }
            @if let Some(more @ 1..) = acquisitions.len().checked_sub(MAX_PLACES) {
                p.found { (count(more as u64, "more place", "more places")) " in the other formats." }
            }
            @if let Some(first) = order.acquisitions(pair.wanted, pair.held).first() {
                details {
                    summary { "For comparison, in the order" }
                    (places(order, Against { held: pair.wanted, wanted: pair.held, verdict: None }, first, report))
                }
            }
        }
    }
}

fn places(
    order: &ProposedOrder<'_>,
    pair: Against,
    it: &Acquisition<'_>,
    report: &Report,
) -> Markup {
    let held = format!("has held `{}` since here", order.name(pair.held));
    let acquires = format!("acquires `{}` here", order.name(pair.wanted));
    let notes =
        [Note::at(it.held_at, held, "held"), Note::at(it.acquired_at, acquires, "acquired")];
    let notes: Vec<_> = notes.into_iter().flatten().collect();
    html! {
        @if let Some((who, test)) = &it.who { h4 { (ticked(who)) " of " code { (test) } } }
        (excerpt(&notes, &report.sources))
    }
}
