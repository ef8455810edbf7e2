//! Groups the findings of a merge by bug.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{MAX_NAMED, Merge, MergedEdge, MergedFinding, RecordId};
use crate::finding::Bug;

/// Findings about the same kinds of locks at the same places: a cycle that was first found as a
/// [`SingleThreadInversion`](crate::FindingKind::SingleThreadInversion), then as an
/// [`Inversion`](crate::FindingKind::Inversion).
///
/// ```
/// # use lockdep::record::Merge;
/// # let mut merge = Merge::default();
/// merge.read_folder("docs/records")?;
/// for bug in merge.bugs() {
///     println!("{}\nfound by {} processes", bug.findings[0].title, bug.processes);
/// }
/// # std::io::Result::Ok(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct MergedBug {
    /// The findings, the worst kind first. All of them are [silenced](MergedFinding::silenced), or
    /// none is; likewise for [`in_scope`](MergedFinding::in_scope). Never empty.
    pub findings: Vec<MergedFinding>,
    /// The number of processes that have found it.
    pub processes: usize,
    /// The tests in which it was found, or the programs if these are unknown. At most 16.
    pub tests: Vec<String>,
}

/// What the findings of a bug have in common: whether a test looks at them, whether they are
/// silenced, and what identifies the bug.
type Key = (bool, bool, Bug<[String; 4]>);

impl Merge {
    /// Returns all [findings](Self::findings), those of one bug together, the worst kinds first.
    #[must_use]
    pub fn bugs(&self) -> Vec<MergedBug> {
        let mut groups = BTreeMap::<Key, (MergedBug, BTreeSet<RecordId>)>::new();
        for observations in self.findings.values() {
            let finding = observations.finding();
            let (bug, records) = groups.entry(key(&finding)).or_default();
            records.extend(&observations.records);
            bug.add(finding);
            bug.processes = records.len();
        }
        for finding in self.across_runs() {
            let (bug, _) = groups.entry(key(&finding)).or_default();
            bug.processes = bug.processes.max(finding.processes);
            bug.add(finding);
        }
        let mut bugs: Vec<_> = groups.into_values().map(|(bug, _)| bug).collect();
        bugs.sort_by_key(|bug| bug.findings.first().map(|worst| worst.kind.rank()));
        bugs
    }
}

impl MergedBug {
    fn add(&mut self, finding: MergedFinding) {
        self.tests.extend_from_slice(&finding.tests);
        self.tests.sort_unstable();
        self.tests.dedup();
        self.tests.truncate(MAX_NAMED);
        let place = self.findings.partition_point(|known| known.kind.rank() <= finding.kind.rank());
        self.findings.insert(place, finding);
    }
}

fn key(finding: &MergedFinding) -> Key {
    let edge = |edge: &MergedEdge| {
        let MergedEdge { held_class, held_at, wanted_class, acquired_at, .. } = edge;
        [held_class, held_at, wanted_class, acquired_at].map(Clone::clone)
    };
    let bug = Bug::new(finding.kind, finding.wait, finding.cycle.iter().map(edge));
    (finding.in_scope, finding.silenced.is_some(), bug)
}
