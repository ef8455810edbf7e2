//! The lock order in Graphviz's language.

use petgraph::{
    dot::{Config, Dot},
    stable_graph::EdgeReference,
};

use super::{names::Names, source::Sources};
use crate::finding::{Edge, LockInfo, OrderGraph};

impl OrderGraph {
    /// The graph in Graphviz's language: `dot -Tsvg` draws it. A box is a lock,
    /// with its type and where it was made; an arrow leads to the lock acquired
    /// second, with the thread and the place.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// let dot = lockdep::order_graph().to_dot();
    /// assert_eq!(dot.contains("->"), lockdep::ENABLED);
    /// ```
    #[must_use]
    pub fn to_dot(&self) -> String {
        let mut sources = Sources::default();
        let names = Names::new(&mut sources, self.graph.node_weights(), []);
        let lock = |_: &_, (_, lock): (_, &LockInfo)| {
            let name = names.of(lock).replace('`', "");
            let made = lock.created_at().map_or_else(String::new, |site| format!("\n{site}"));
            let label = format!("{name}\n{}{made}", lock.type_name());
            format!("label = {label:?} shape = box")
        };
        let edge = |_: &_, edge: EdgeReference<'_, Edge>| {
            let edge = edge.weight();
            let label = format!("{}\n{}", edge.thread, edge.acquired_at);
            format!("label = {label:?}")
        };
        let style = [Config::NodeNoLabel, Config::EdgeNoLabel];
        format!("{:?}", Dot::with_attr_getters(&self.graph, &style, &edge, &lock))
    }
}
