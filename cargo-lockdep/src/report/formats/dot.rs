//! The lock order in the DOT language of Graphviz.

use std::{borrow::Cow, collections::BTreeSet, fmt::Write};

use lockdep::__private::render::{self, MAX_LABELLED, max_arrows, not_drawn};

use super::drawn::{Arrows, arrows};
use crate::report::{Report, Verdict};

/// The number of characters of a type that are shown.
const MAX_TYPE: usize = 60;

/// Renders the graph. A box is a lock, with its type and where it was created; an arrow leads to
/// the lock that is acquired second. Arrows of findings are coloured.
pub(super) fn text(report: &Report) -> String {
    let mut text = "digraph lock_order {\n    rankdir = LR;\n    node [shape = box, style = rounded, \
                    fontname = \"sans-serif\", fontsize = 11];\n    edge [fontname = \"sans-serif\", \
                    fontsize = 9, color = \"#6b7280\"];\n"
        .to_owned();
    let locks = &report.graph.locks;
    let Arrows { drawn: arrows, left_out } = arrows(report, max_arrows(locks.len()));
    let has_arrow: BTreeSet<_> = arrows.keys().flat_map(|&(held, wanted)| [held, wanted]).collect();
    let is_drawn = |number: &usize| left_out == 0 || has_arrow.contains(number);
    for number in (0..locks.len()).filter(is_drawn) {
        let lock = &locks[number];
        let type_name = shortened(&lock.type_name);
        let made = lock.created_at.as_deref();
        let lines = [report.name(number), &type_name].into_iter().chain(made);
        let _ = writeln!(text, "    {number} [label = {}];", quoted(lines));
    }
    if left_out > 0 {
        let label = not_drawn(left_out, locks.len() - has_arrow.len());
        let _ = writeln!(text, "    label = {};", render::quoted(&label));
    }
    for ((held, wanted), arrow) in &arrows {
        let places = arrow.orders.iter().flat_map(|order| &order.places);
        let places: Vec<_> =
            places.map(|place| format!("{} then {}", place.held_at, place.acquired_at)).collect();
        let mut attributes = format!("tooltip = {}", quoted(places.iter().map(String::as_str)));
        if let (Some(order), true) = (arrow.orders.first(), arrows.len() <= MAX_LABELLED) {
            let lines = order.threads.iter().take(1).map(String::as_str);
            let lines = lines.chain(order.places.iter().take(1).map(|place| &*place.acquired_at));
            let _ = write!(attributes, ", label = {}", quoted(lines));
        }
        attributes += match arrow.verdict {
            Some(Verdict::Denied) => ", color = \"#c81e1e\", fontcolor = \"#c81e1e\", penwidth = 2",
            Some(Verdict::Warned) => ", color = \"#b45309\", fontcolor = \"#b45309\", penwidth = 2",
            _ => "",
        };
        let _ = writeln!(text, "    {held} -> {wanted} [{attributes}];");
    }
    text + "}\n"
}

/// Cuts off the end of a long type.
fn shortened(type_name: &str) -> Cow<'_, str> {
    match type_name.char_indices().nth(MAX_TYPE) {
        Some((end, _)) => format!("{}…", &type_name[..end]).into(),
        None => type_name.into(),
    }
}

/// Returns lines as one quoted string of DOT.
fn quoted<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    render::quoted(&lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_strings_are_escaped() {
        assert_eq!(quoted(["a", "b"].into_iter()), r#""a\nb""#);
        assert_eq!(quoted([r#"\N"], "#].into_iter()), r#""\\N\"], ""#);
        assert_eq!(quoted(["&lt;\0\t"].into_iter()), r#""&amp;lt;\\u{0}\\t""#);
    }
}
