//! The report as text.

use std::fmt::Write;

use comfy_table::{CellAlignment, Table};

use crate::{
    experiment::Tally,
    report::{Report, Row, THEORY},
};

/// Renders the report.
pub(crate) fn render(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |what: &str| writeln!(text, "{what}").expect("writing to a string");
    line(&format!("{}.\n", report.intro()));

    let mut table = table(&["way", "asked", "refused", "expected", "found", "lost", ""]);
    for Row { name, tally, .. } in &report.ways {
        table.add_row([
            name.clone(),
            tally.asked.to_string(),
            tally.refused.to_string(),
            tally.expected().to_string(),
            tally.found.to_string(),
            percent(tally.lost_share()),
            bar(*tally),
        ]);
    }
    align(&mut table, 1..6);
    line(&table.trim_fmt());
    line("\n█ lost: reported as done, but gone   ▒ refused: reported as failed");

    for factor in &report.factors {
        line(&format!("\nThe factor \"{}\" decides {}:", factor.name, factor.decides));
        let mut table = self::table(&["", "lost", "theory", ""]);
        for Row { name, tally, theory } in &factor.rows {
            table.add_row([
                name.clone(),
                percent(tally.lost_share()),
                percent(*theory),
                bar(*tally),
            ]);
        }
        align(&mut table, 1..3);
        line(&table.trim_fmt());
    }
    line(&format!("\n{THEORY}."));
    text
}

fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING).set_header(header);
    table
}

fn align(table: &mut Table, right: std::ops::Range<usize>) {
    for column in right {
        let column = table.column_mut(column).expect("a column of the header");
        column.set_cell_alignment(CellAlignment::Right);
    }
}

/// Formats a share as a percentage.
pub(crate) fn percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to 20")]
fn bar(tally: Tally) -> String {
    let cells = |share: f64| (share * 20.0).round() as usize;
    let lost = cells(tally.lost_share());
    let refused = cells(tally.refused_share()).min(20 - lost);
    "█".repeat(lost) + &"▒".repeat(refused) + &"·".repeat(20 - lost - refused)
}
