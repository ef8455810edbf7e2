//! The lock order as it is drawn: one arrow from each lock to each, and which findings it is in.

use std::collections::BTreeMap;

use lockdep::record::{MergedEdge, MergedGraph, MergedOrder};

use crate::report::{Judged, Report, Verdict};

/// An arrow between two locks of the graph.
#[derive(Debug, Default)]
pub(super) struct Arrow<'a> {
    /// In all modes. None, if only a finding has it: a thread took a lock twice, or waited.
    pub(super) orders: Vec<&'a MergedOrder>,
    /// The places of its findings in the report, the worst first.
    pub(super) findings: Vec<usize>,
    /// What the worst of them means.
    pub(super) verdict: Option<Verdict>,
}

/// All arrows, by the places of their two locks.
pub(super) fn arrows(report: &Report) -> BTreeMap<(usize, usize), Arrow<'_>> {
    let mut arrows = BTreeMap::<_, Arrow<'_>>::new();
    for order in &report.graph.edges {
        arrows.entry((order.held, order.wanted)).or_default().orders.push(order);
    }
    for (number, Judged { verdict, finding }) in report.findings.iter().enumerate() {
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

/// The places of an edge's locks in the graph.
pub(super) fn ends(graph: &MergedGraph, edge: &MergedEdge) -> Option<(usize, usize)> {
    let place = |class: &str, name: &String| {
        graph.locks.iter().position(|lock| match &lock.class {
            Some(known) => known == class,
            None => lock.type_name == class && lock.names.contains(name),
        })
    };
    Some((place(&edge.held_class, &edge.held)?, place(&edge.wanted_class, &edge.wanted)?))
}

/// What a lock of the graph is called: by its first name.
pub(super) fn name(graph: &MergedGraph, lock: usize) -> &str {
    let lock = &graph.locks[lock];
    lock.names.first().unwrap_or(&lock.type_name)
}
