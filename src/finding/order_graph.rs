//! A snapshot of the lock order.

use std::fmt;

use petgraph::stable_graph::StableDiGraph;

use super::{Edge, LockInfo};

/// A snapshot of the lock order seen so far: an edge from each lock to those that were acquired
/// while it was held. Later acquisitions do not change it.
///
/// Contains only locks that still exist and were nested with another lock, or [named](crate::name).
///
/// ```
/// # use lockdep::sync::Mutex;
/// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
/// drop((accounts.lock(), ledger.lock()));
/// let graph = lockdep::order_graph();
/// println!("{}", graph.to_dot());
/// ```
#[derive(Clone)]
pub struct OrderGraph {
    pub(crate) graph: StableDiGraph<LockInfo, Edge>,
}

impl OrderGraph {
    /// Returns the graph itself, for petgraph's algorithms.
    ///
    /// ```
    /// # use lockdep::sync::Mutex;
    /// # let (accounts, ledger) = (Mutex::new(()), Mutex::new(()));
    /// drop((accounts.lock(), ledger.lock()));
    /// let order = lockdep::order_graph();
    /// assert!(!petgraph::algo::is_cyclic_directed(order.as_petgraph()));
    /// ```
    #[must_use]
    pub fn as_petgraph(&self) -> &StableDiGraph<LockInfo, Edge> {
        &self.graph
    }
}

impl fmt::Debug for OrderGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OrderGraph")
            .field("locks", &self.graph.node_count())
            .field("edges", &self.graph.edge_count())
            .finish()
    }
}
