//! The lock order in the DOT language of Graphviz.

use std::fmt::Write;

use petgraph::{
    dot::{Config, Dot},
    stable_graph::EdgeReference,
};

use super::lock_names::Names;
use crate::{
    finding::{Edge, LockInfo, OrderGraph},
    source::Sources,
};

impl OrderGraph {
    /// Returns the graph in the DOT language of Graphviz: `dot -Tsvg` draws it. A box is a lock,
    /// with its type and where it was created; an arrow leads to the lock that is acquired second,
    /// and has the thread and the place.
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut sources = Sources::default();
        let names = Names::new(&mut sources, self.graph.node_weights(), []);
        let lock = |_: &_, (_, lock): (_, &LockInfo)| {
            let mention = names.of(lock);
            let (name, number) = mention[1..].rsplit_once('`').expect("it stands in backticks");
            let made = lock.created_at().map_or_else(String::new, |site| format!("\n{site}"));
            let label = format!("{name}{number}\n{}{made}", lock.type_name());
            format!("label = {} shape = box", quoted(&label))
        };
        let edge = |_: &_, edge: EdgeReference<'_, Edge>| {
            let edge = edge.weight();
            let label = format!("{}\n{}", edge.thread, edge.acquired_at);
            format!("label = {}", quoted(&label))
        };
        let style = [Config::NodeNoLabel, Config::EdgeNoLabel];
        format!("{:?}", Dot::with_attr_getters(&self.graph, &style, &edge, &lock))
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
