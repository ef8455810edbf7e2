//! The lock order as a drawing: one arrow per ordered pair of locks, with its findings.

use std::collections::BTreeMap;

use lockdep::record::{MergedEdge, MergedGraph, MergedOrder};

use crate::report::{Judged, Report, Verdict};

/// An arrow between two locks of the graph.
#[derive(Debug, Default)]
pub(super) struct Arrow<'a> {
    /// One per pair of modes. Empty if only a finding has this arrow: a thread acquired a lock
    /// twice, or waited.
    pub(super) orders: Vec<&'a MergedOrder>,
    /// The indices of its findings in the report, worst first.
    pub(super) findings: Vec<usize>,
    /// The verdict of the worst of them.
    pub(super) verdict: Option<Verdict>,
}

/// Returns all arrows, by the indices of their two locks.
pub(super) fn arrows(report: &Report) -> BTreeMap<(usize, usize), Arrow<'_>> {
    let mut arrows = BTreeMap::<_, Arrow<'_>>::new();
    for order in &report.graph.edges {
        arrows.entry((order.held, order.wanted)).or_default().orders.push(order);
    }
    for (number, Judged { verdict, finding, .. }) in report.findings.iter().enumerate() {
        for (held, wanted) in finding.cycle.iter().filter_map(|edge| ends(&report.graph, edge)) {
            let arrow = arrows.entry((held, wanted)).or_default();
            if !arrow.findings.contains(&number) {
                arrow.findings.push(number);
            }
            arrow.verdict = Some(arrow.verdict.map_or(*verdict, |known| known.min(*verdict)));
        }
    }
    arrows
}

/// Returns the indices of an edge's locks in the graph.
pub(super) fn ends(graph: &MergedGraph, edge: &MergedEdge) -> Option<(usize, usize)> {
    let place = |class: &str, name: &String| {
        graph.locks.iter().position(|lock| match &lock.class {
            Some(known) => known == class,
            None => lock.type_name == class && lock.names.contains(name),
        })
    };
    Some((place(&edge.held_class, &edge.held)?, place(&edge.wanted_class, &edge.wanted)?))
}

/// Returns the name under which a lock is drawn: its first name, or else its type.
pub(super) fn name(graph: &MergedGraph, lock: usize) -> &str {
    let lock = &graph.locks[lock];
    lock.names.first().unwrap_or(&lock.type_name)
}
