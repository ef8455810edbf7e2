//! The lock order in the DOT language of Graphviz.

use std::{collections::HashSet, fmt::Write};

use petgraph::{
    dot::{Config, Dot},
    stable_graph::{EdgeReference, StableDiGraph},
};

use super::lock_names::Names;
use crate::{
    finding::{Edge, LockInfo, OrderGraph},
    source::Sources,
};

/// A graph with more arrows than this has no labels on them: they cover each other, and take minutes to lay out.
pub const MAX_LABELLED: usize = 60;

impl OrderGraph {
    /// Returns the graph in the DOT language of Graphviz: `dot -Tsvg` draws it. A box is a lock,
    /// with its type and where it was created; an arrow leads to the lock that is acquired second,
    /// and has the thread and the place.
    ///
    /// At most 5,000 arrows are drawn, and no more than two for each lock and 500 on top: Graphviz takes minutes to lay
    /// out more. The label of the graph says how many are left out. The arrows of a graph with more than 60 have the
    /// thread and the place as a tooltip.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let (graph, left_out) = self.reduced(max_arrows(self.graph.node_count()));
        let mut sources = Sources::default();
        let names = Names::new(&mut sources, graph.node_weights().copied(), []);
        let lock = |_: &_, (_, lock): (_, &&LockInfo)| {
            let mention = names.of(lock);
            // A thread without a name stands in no backticks.
            let parts = mention.strip_prefix('`').and_then(|it| it.rsplit_once('`'));
            let (name, number) = parts.unwrap_or((&mention, ""));
            let made = lock.created_at().map_or_else(String::new, |site| format!("\n{site}"));
            let label = format!("{name}{number}\n{}{made}", lock.type_name());
            format!("label = {} shape = box", quoted(&label))
        };
        let attribute = if graph.edge_count() <= MAX_LABELLED { "label" } else { "tooltip" };
        let edge = |_: &_, edge: EdgeReference<'_, &Edge>| {
            let edge = edge.weight();
            let label = format!("{}\n{}", edge.thread, edge.acquired_at);
            format!("{attribute} = {}", quoted(&label))
        };
        let style = [Config::NodeNoLabel, Config::EdgeNoLabel];
        let text = format!("{:?}", Dot::with_attr_getters(&graph, &style, &edge, &lock));
        if left_out == 0 {
            return text;
        }
        let label = not_drawn(left_out, self.graph.node_count() - graph.node_count());
        text.replacen("{\n", &format!("{{\n    label = {}\n", quoted(&label)), 1)
    }

    /// Returns the graph with its first edges and, if that is not all, without locks that have none; and the number of edges
    /// that are left out.
    fn reduced(&self, most: usize) -> (StableDiGraph<&LockInfo, &Edge>, usize) {
        let left_out = self.graph.edge_count().saturating_sub(most);
        let (mut locks, mut edges) = (HashSet::new(), HashSet::new());
        for edge in self.graph.edge_indices().take(most) {
            edges.insert(edge);
            locks.extend(self.graph.edge_endpoints(edge).into_iter().flat_map(<[_; 2]>::from));
        }
        let graph = self.graph.filter_map(
            |at, lock| (left_out == 0 || locks.contains(&at)).then_some(lock),
            |at, edge| edges.contains(&at).then_some(edge),
        );
        (graph, left_out)
    }
}

/// Returns how many arrows to draw between some locks. Graphviz lays them out in seconds, and no reader can follow more.
#[must_use]
pub fn max_arrows(locks: usize) -> usize {
    (500 + 2 * locks).min(5_000)
}

/// Says how many arrows and locks are left out. There is at least one arrow.
#[must_use]
pub fn not_drawn(arrows: usize, locks: usize) -> String {
    let many = |number: usize| if number == 1 { "" } else { "s" };
    let arrows_left = format!("{arrows} more arrow{}", many(arrows));
    match locks {
        0 if arrows == 1 => format!("{arrows_left} is not drawn"),
        0 => format!("{arrows_left} are not drawn"),
        _ => format!("{arrows_left} and {locks} more lock{} are not drawn", many(locks)),
    }
}

/// Quotes a text for Graphviz, so that it is shown literally, without escapes and entities. A
/// control character, which cannot be drawn, is shown as a Rust escape.
#[must_use]
pub fn quoted(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for character in text.chars() {
        match character {
            '\n' => quoted += "\\n",
            '"' => quoted += "\\\"",
            '\\' => quoted += "\\\\",
            '&' => quoted += "&amp;",
            // The escape starts with a backslash, which must itself be escaped.
            _ if character.is_control() => _ = write!(quoted, "\\{}", character.escape_default()),
            _ => quoted.push(character),
        }
    }
    quoted + "\""
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quoted_text_is_shown_literally() {
        assert_eq!(quoted("a\nb"), r#""a\nb""#);
        assert_eq!(quoted(r#"\N"], "#), r#""\\N\"], ""#);
        assert_eq!(quoted("&lt;\0\t"), r#""&amp;lt;\\u{0}\\t""#);
        assert_eq!(quoted("e\u{301}"), "\"e\u{301}\"");
    }
}
