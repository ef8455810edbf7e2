//! The tables in Markdown: our flavours with their goals, the other peers, and builds and programs.

use comfy_table::{Table, presets};

use crate::{
    plan::{PEERS, Peer, ROWS, Row},
    results::{Program, Results, median, spread},
    show::{Shown, number, shown},
};

/// All tables.
pub(crate) fn render(results: &Results) -> String {
    let tables = [ours(results), others(results), builds(results), programs(results)];
    let tables: Vec<_> = tables.iter().flatten().map(Table::trim_fmt).collect();
    format!("{}\n\n{}\n", results.machine, tables.join("\n\n"))
}

fn table<const N: usize>(header: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    table
}

fn cell(results: &Results, row: &Row, peer: &Peer) -> String {
    match shown(results, row, peer) {
        Shown::Dash => "-".to_owned(),
        Shown::Trouble(trouble) => trouble,
        Shown::Measured(measured) => {
            let text = measured.text(&row.figure);
            let missed = row.aims.iter().any(|aim| measured.meets(aim) == Some(false));
            if peer.is_ours() && missed { format!("**{text}**") } else { text }
        }
    }
}

/// Returns a table with a column for each of our flavours next to the raw lock. Missed goals are
/// bold.
fn ours(results: &Results) -> Option<Table> {
    if results.rounds.is_empty() {
        return None;
    }
    let mut table = Table::new();
    let columns: Vec<_> = PEERS.iter().filter(|peer| peer.is_raw() || peer.is_ours()).collect();
    let header = ["", "aim"].into_iter().chain(columns.iter().map(|peer| peer.name));
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for row in &ROWS {
        let aims: Vec<_> = row.aims.iter().map(super::plan::Aim::text).collect();
        let cells = columns.iter().map(|peer| cell(results, row, peer));
        table.add_row([row.title.to_owned(), aims.join(", ")].into_iter().chain(cells));
    }
    Some(table)
}

fn others(results: &Results) -> Option<Table> {
    if results.rounds.is_empty() {
        return None;
    }
    let mut table = Table::new();
    let columns: Vec<_> = PEERS.iter().filter(|peer| !peer.is_raw() && !peer.is_ours()).collect();
    let header = [""].into_iter().chain(columns.iter().map(|peer| peer.name));
    table.load_style(presets::ASCII_MARKDOWN).set_header(header);
    for row in &ROWS {
        let cells = columns.iter().map(|peer| cell(results, row, peer));
        table.add_row([row.title.to_owned()].into_iter().chain(cells));
    }
    Some(table)
}

/// Returns what each peer adds to a clean debug build of a program with std's locks.
fn builds(results: &Results) -> Option<Table> {
    let without = median(results.builds.get(PEERS[0].package)?)?;
    let mut table = table(["a clean debug build takes longer by", "seconds of all cores"]);
    for peer in &PEERS[1..] {
        let Some(builds) = results.builds.get(peer.package) else { continue };
        let (Some(with), Some(spread)) = (median(builds), spread(builds)) else { continue };
        table.add_row([peer.name.to_owned(), format!("{:.1} ± {spread:.1}", with - without)]);
    }
    Some(table)
}

fn programs(results: &Results) -> Option<Table> {
    if results.programs.is_empty() && results.suites.is_empty() {
        return None;
    }
    let mut table = table(["test suite", "wall, plain", "checked", "CPU, plain", "checked"]);
    for Program { name, plain, checked } in results.programs.iter().chain(&results.suites) {
        let time = |runs| Some(format!("{} s", number(median(runs)?)));
        let against =
            |runs, plain| Some(format!("{}, × {:.2}", time(runs)?, median(runs)? / median(plain)?));
        table.add_row([
            name.clone(),
            time(&plain.wall)?,
            against(&checked.wall, &plain.wall)?,
            time(&plain.cpu)?,
            against(&checked.cpu, &plain.cpu)?,
        ]);
    }
    Some(table)
}
