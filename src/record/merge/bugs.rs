//! Groups the findings of a merge by bug.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::{MAX_NAMED, Merge, MergedFinding, RecordId};
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
type Key = (bool, bool, Bug<[String; 4], [String; 2]>);

/// A bug, and the records that have it.
type Group = (MergedBug, BTreeSet<RecordId>);

impl Merge {
    /// Returns all [findings](Self::findings), those of one bug together, the worst kinds first.
    #[must_use]
    pub fn bugs(&self) -> Vec<MergedBug> {
        let mut groups = BTreeMap::<Key, Group>::new();
        let findings = self.findings.values().map(|it| (it, it.finding()));
        let findings = findings.map(|(it, finding)| (key(&finding), it, finding));
        let (shown, unshown): (Vec<_>, Vec<_>) =
            findings.partition(|((.., bug), ..)| bug.is_shown());
        // Those of which it is not known where they are shown belong to the first of the others.
        let mut first = BTreeMap::<Key, Key>::new();
        for (key, ..) in &shown {
            let known = first.entry(unshown_key(key)).or_insert_with(|| key.clone());
            *known = key.min(known).clone();
        }
        let group_of = |key: Key| first.get(&key).cloned().unwrap_or(key);
        for (key, observations, finding) in shown.into_iter().chain(unshown) {
            add(groups.entry(group_of(key)).or_default(), finding, &observations.records);
        }
        for finding in self.across_runs() {
            let (bug, _) = groups.entry(group_of(key(&finding))).or_default();
            bug.processes = bug.processes.max(finding.processes);
            bug.add(finding);
        }
        join_nestings(&mut groups);
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

fn add((bug, records): &mut Group, finding: MergedFinding, of: &BTreeSet<RecordId>) {
    records.extend(of);
    bug.add(finding);
    bug.processes = records.len();
}

/// Adds nestings of a class to the bug that is an inversion of two of its locks, if there is one. It may have been found
/// in another process.
fn join_nestings(groups: &mut BTreeMap<Key, Group>) {
    let place = |nesting: &Key, groups: &BTreeMap<Key, Group>| {
        let class = groups[nesting].0.findings.first()?.nested_class()?;
        let is_same = |(key, (bug, _)): &(&Key, &Group)| {
            let is_inversion = |it: &MergedFinding| it.inverts_within(class);
            (key.0, key.1) == (nesting.0, nesting.1) && bug.findings.iter().any(is_inversion)
        };
        groups.iter().find(is_same).map(|(key, _)| key.clone())
    };
    let keys: Vec<_> = groups.keys().cloned().collect();
    for nesting in keys {
        let Some(inversion) = place(&nesting, groups) else { continue };
        let (bug, records) = groups.remove(&nesting).unwrap_or_default();
        let group = groups.entry(inversion).or_default();
        bug.findings.into_iter().for_each(|finding| add(group, finding, &records));
    }
}

fn key(finding: &MergedFinding) -> Key {
    let edges = finding.places().map(|edge| edge.map(str::to_owned));
    let shown = finding.shown_at().map(|edges| edges.map(|ends| ends.map(str::to_owned)));
    let bug = Bug::new(finding.kind, finding.wait, edges, shown);
    (finding.in_scope, finding.silenced.is_some(), bug)
}

fn unshown_key((in_scope, is_silenced, bug): &Key) -> Key {
    (*in_scope, *is_silenced, bug.clone().unshown())
}
