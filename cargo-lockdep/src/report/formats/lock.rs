//! A lock of the graph as JSON.

use lockdep::record::MergedLock;
use serde::Serialize;

use crate::report::Report;

#[derive(Serialize)]
pub(super) struct Lock<'a> {
    /// The name that tells it apart.
    name: &'a str,
    #[serde(flatten)]
    lock: &'a MergedLock,
}

impl<'a> Lock<'a> {
    pub(super) fn new(report: &'a Report, number: usize) -> Self {
        Self { name: report.name(number), lock: &report.graph.locks[number] }
    }
}
