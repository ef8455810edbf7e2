//! The lock order in the DOT language of Graphviz.

use std::fmt::Write;

use lockdep::__private;

use super::drawn::{Arrows, arrows, name};
use crate::report::{Report, Verdict};

/// A graph with more arrows than this has no labels on them.
const MAX_LABELLED: usize = 60;

/// Renders the graph. A box is a lock, with its type and where it was created; an arrow leads to
/// the lock that is acquired second. Arrows of findings are coloured.
pub(super) fn text(report: &Report) -> String {
    let mut text = "digraph lock_order {\n    rankdir = LR;\n    node [shape = box, style = rounded, \
                    fontname = \"sans-serif\", fontsize = 11];\n    edge [fontname = \"sans-serif\", \
                    fontsize = 9, color = \"#6b7280\"];\n"
        .to_owned();
    for (number, lock) in report.graph.locks.iter().enumerate() {
        let made = lock.created_at.iter().map(String::as_str);
        let lines = [name(&report.graph, number), &lock.type_name].into_iter().chain(made);
        let _ = writeln!(text, "    {number} [label = {}];", quoted(lines));
    }
    let Arrows { drawn: arrows, left_out } = arrows(report);
    if left_out > 0 {
        let _ = writeln!(text, "    label = {};", quoted([&*not_drawn(left_out)].into_iter()));
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

/// Says how many arrows are left out.
pub(super) fn not_drawn(arrows: usize) -> String {
    format!("{arrows} more arrows are not drawn")
}

/// Returns lines as one quoted string of DOT.
fn quoted<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    __private::render::quoted(&lines.collect::<Vec<_>>().join("\n"))
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
