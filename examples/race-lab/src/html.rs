//! The report as a self-contained HTML page.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::{
    report::{Report, Row, THEORY},
    text::percent,
};

const STYLE: &str = "
:root { color-scheme: light dark; --page: light-dark(#fff, #16181d); --ink: light-dark(#1c1e21, #e4e6ea);
  --quiet: light-dark(#5f6570, #9aa1ad); --line: light-dark(#e2e4e8, #2d3139);
  --lost: light-dark(#c62f3b, #f0626c); --refused: light-dark(#c98a00, #e0ad3c); }
body { font: 16px/1.5 system-ui, sans-serif; background: var(--page); color: var(--ink);
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2.2rem 0 .4rem; }
p, caption { color: var(--quiet); text-align: left; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .6rem; border-bottom: 1px solid var(--line); text-align: right; white-space: nowrap; }
th { font-weight: 600; color: var(--quiet); }
th:first-child, td:first-child { text-align: left; white-space: normal; padding-left: 0; }
th:first-child { width: 36%; min-width: 7rem; }
.bar { width: 14rem; min-width: 8rem; } .bar div { display: flex; height: .8rem; background: var(--line);
  border-radius: 3px; overflow: hidden; }
.lost { background: var(--lost); } .refused { background: var(--refused); }
.key { display: inline-block; width: .8rem; height: .8rem; border-radius: 3px; margin: 0 .3rem 0 0; }
";

/// Renders the page.
pub(crate) fn render(report: &Report) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "Lost updates" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { "Lost updates" }
                p { (report.intro()) "." }
                p {
                    span.key.lost {} "lost: reported as done, but gone"
                    " \u{2003} "
                    span.key.refused {} "refused: reported as failed"
                }
                (ways(&report.ways))
                @for factor in &report.factors {
                    h2 { "The factor “" (factor.name) "” decides " (factor.decides) }
                    (factor_rows(&factor.rows))
                }
                p { (THEORY) "." }
            }
        }
    };
    page.into_string()
}

fn ways(rows: &[Row]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr {
                th { "way" } th { "asked" } th { "refused" } th { "expected" } th { "found" }
                th { "lost" } th {}
            } }
            tbody { @for row in rows { tr {
                td { (row.name) }
                td { (row.tally.asked) }
                td { (row.tally.refused) }
                td { (row.tally.expected()) }
                td { (row.tally.found) }
                td { (percent(row.tally.lost_share())) }
                (bar(row))
            } } }
        } }
    }
}

fn factor_rows(rows: &[Row]) -> Markup {
    html! {
        div.scroll { table {
            thead { tr { th {} th { "lost" } th { "theory" } th {} } }
            tbody { @for row in rows { tr {
                td { (row.name) }
                td { (percent(row.tally.lost_share())) }
                td { (percent(row.theory)) }
                (bar(row))
            } } }
        } }
    }
}

fn bar(row: &Row) -> Markup {
    let width = |share: f64| format!("width: {:.1}%", share * 100.0);
    html! {
        td.bar { div {
            span.lost style=(width(row.tally.lost_share())) {}
            span.refused style=(width(row.tally.refused_share())) {}
        } }
    }
}
