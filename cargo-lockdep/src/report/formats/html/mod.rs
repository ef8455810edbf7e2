//! A self-contained page for a browser: the findings with excerpts of their sources, and the lock
//! order as a drawing.
//!
//! The findings are readable without scripts. The scripts of `assets/page` draw the lock order;
//! dagre lays it out and d3-zoom moves it.

mod data;
mod excerpt;
mod explained;
mod finding;
mod highlight;
mod lanes;
mod nestings;
mod order;

use lockdep::__private::render::not_drawn;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::{
    drawn::{Arrows, arrows},
    human::{count, summary},
};
use crate::report::{Report, Verdict, coverage};

const STYLE: &str = include_str!("../../../../assets/page/page.css");
const LICENSES: &str = include_str!("../../../../assets/vendor/LICENSES.txt");

/// In dependency order.
const VENDOR: [&str; 10] = [
    include_str!("../../../../assets/vendor/dagre.min.js"),
    include_str!("../../../../assets/vendor/d3-color.min.js"),
    include_str!("../../../../assets/vendor/d3-dispatch.min.js"),
    include_str!("../../../../assets/vendor/d3-ease.min.js"),
    include_str!("../../../../assets/vendor/d3-timer.min.js"),
    include_str!("../../../../assets/vendor/d3-selection.min.js"),
    include_str!("../../../../assets/vendor/d3-interpolate.min.js"),
    include_str!("../../../../assets/vendor/d3-drag.min.js"),
    include_str!("../../../../assets/vendor/d3-transition.min.js"),
    include_str!("../../../../assets/vendor/d3-zoom.min.js"),
];

/// In dependency order.
const SCRIPTS: [&str; 7] = [
    include_str!("../../../../assets/page/locks.js"),
    include_str!("../../../../assets/page/scopes.js"),
    include_str!("../../../../assets/page/layout.js"),
    include_str!("../../../../assets/page/picture.js"),
    include_str!("../../../../assets/page/choice.js"),
    include_str!("../../../../assets/page/details.js"),
    include_str!("../../../../assets/page/keys.js"),
];

/// The number of arrows on the page. No reader can follow more.
pub(super) const MAX_ARROWS: usize = 5_000;

/// The number of findings on the page: some 6 MB.
const MAX_FINDINGS: usize = 500;

/// The page loads nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'";

pub(super) fn text(report: &Report) -> String {
    let arrows = arrows(report, MAX_ARROWS);
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                title { "lockdep: " (verdict(report)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                a.skip href="#graph" { "Skip to the lock order" }
                (heading(report))
                main {
                    (findings(report))
                    (graph(report, &arrows))
                    (order::order(report))
                    (quiet(report))
                    (explained::kinds(report))
                    (unseen(report))
                }
                footer { (summary(report)) }
                @if !report.graph.locks.is_empty() { (scripts(report, &arrows)) }
            }
        }
    };
    page.into_string()
}

fn scripts(report: &Report, arrows: &Arrows<'_>) -> Markup {
    // The source maps are not included.
    let without_map = |script: &'static str| script.split("//# sourceMappingURL").next();
    html! {
        (PreEscaped("<!--\n")) (PreEscaped(LICENSES)) (PreEscaped("-->\n"))
        script #data type="application/json" { (PreEscaped(data::data(report, arrows))) }
        @for script in VENDOR.into_iter().filter_map(without_map).chain(SCRIPTS) {
            script { (PreEscaped(script)) }
        }
    }
}

fn verdict(report: &Report) -> String {
    match report.told().count() as u64 {
        0 if report.nothing.is_some() => "nothing was checked".to_owned(),
        0 if report.findings.is_empty() => "nothing found".to_owned(),
        0 => "nothing denied".to_owned(),
        number => count(number, "finding", "findings"),
    }
}

fn heading(report: &Report) -> Markup {
    let (denied, warned) =
        (report.with(Verdict::Denied).count(), report.with(Verdict::Warned).count());
    let counts = report.counts;
    html! {
        header {
            p.product { "lockdep" }
            h1 { (verdict(report)) }
            ul.counts {
                @if denied > 0 { li.denied { b { (denied) } " denied" } }
                @if warned > 0 { li.warned { b { (warned) } " warned of" } }
                @for (number, one, many) in [
                    (counts.locks, "lock", "locks"),
                    (counts.edges, "edge", "edges"),
                    (counts.processes, "process", "processes"),
                ] {
                    li { b { (number) } " " (if number == 1 { one } else { many }) }
                }
            }
        }
    }
}

fn findings(report: &Report) -> Markup {
    html! {
        section #findings aria-label="Findings" {
            @if let Some(why) = &report.nothing {
                p.nothing { "Nothing was checked: " (why) "." }
            } @else if report.findings.is_empty() {
                p.nothing { "No lock order was seen in which threads can deadlock." }
            } @else if report.told().next().is_none() {
                p.nothing { "All findings are allowed, silenced or expected. They stand below." }
            }
            @for (number, judged) in report.findings.iter().enumerate().take(MAX_FINDINGS) {
                @if judged.verdict <= Verdict::Warned {
                    (finding::finding(number, judged, &report.sources))
                }
            }
            @if let Some(more @ 1..) = report.told().count().checked_sub(MAX_FINDINGS) {
                p.nothing { (count(more as u64, "more finding is", "more findings are")) " in the other formats." }
            }
        }
    }
}

/// Renders the findings that are allowed, silenced or expected, folded away.
fn quiet(report: &Report) -> Markup {
    let told = report.told().count();
    let quiet = &report.findings[told..];
    html! {
        @if !quiet.is_empty() {
            details.quiet {
                summary { (count(quiet.len() as u64, "finding", "findings")) " allowed, silenced or expected" }
                @for (number, judged) in report.findings.iter().enumerate().skip(told).take(MAX_FINDINGS) {
                    (finding::finding(number, judged, &report.sources))
                }
                @if let Some(more @ 1..) = quiet.len().checked_sub(MAX_FINDINGS) {
                    p { (count(more as u64, "more is", "more are")) " in the other formats." }
                }
            }
        }
    }
}

fn graph(report: &Report, arrows: &Arrows<'_>) -> Markup {
    let graph = &report.graph;
    html! {
        section #graph aria-labelledby="order" {
            h2 #order { "Lock order" }
            @if graph.locks.is_empty() {
                p.nothing { "No thread held one lock while it acquired another." }
            } @else {
                p.hint {
                    "An arrow leads from a lock to one that was acquired while it was held. "
                    "Locks that were created in the same place are shown as one."
                    @if arrows.left_out > 0 { " " (not_drawn(arrows.left_out, 0)) "." }
                }
                noscript { p { "The picture is drawn by a script. The list below says the same." } }
                div #viewer hidden {
                    div.bar role="toolbar" aria-label="What is shown" {
                        div.selection #scopes {}
                        div.selection {
                            button type="button" #closer aria-label="Zoom in" title="Zoom in (+)" { "+" }
                            button type="button" #farther aria-label="Zoom out" title="Zoom out (-)" { "−" }
                            button type="button" #fit title="Show all (0)" { "Fit" }
                        }
                    }
                    div.stage {
                        svg #picture role="application" aria-roledescription="lock order"
                            aria-label="Lock order: arrow keys go from lock to lock, Enter selects, Escape goes back" {}
                        p #shown aria-live="polite" {}
                    }
                    aside #panel aria-label="Details" {
                        input #search type="search" placeholder="Search locks" autocomplete="off"
                            spellcheck="false" aria-label="Search locks" aria-controls="details"
                            aria-keyshortcuts="/";
                        div #details {}
                    }
                }
                (nestings::nestings(report, arrows))
            }
        }
    }
}

/// Renders the crates whose locks were not checked.
fn unseen(report: &Report) -> Markup {
    let unseen = report.notes.iter().filter_map(|note| Some((note, coverage::why(note)?)));
    let unseen: Vec<_> = unseen.collect();
    html! {
        @if !unseen.is_empty() {
            section.unseen {
                h2 { "Not checked" }
                ul {
                    @for (note, why) in unseen {
                        li { code { (note.package) } " " (why) }
                    }
                }
            }
        }
    }
}
