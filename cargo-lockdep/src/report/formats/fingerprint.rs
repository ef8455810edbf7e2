//! What code hosts know a finding by in every run.

use std::{collections::HashMap, hash::Hasher, iter::once};

use fnv::FnvHasher;
use lockdep::record::{MergedEdge, MergedFinding};

use crate::rustc::sources::Place;

/// The fingerprints of one report. Equal ones are numbered.
#[derive(Default)]
pub(super) struct Fingerprints(HashMap<String, usize>);

impl Fingerprints {
    /// Returns the fingerprint of the next finding.
    pub(super) fn next(&mut self, finding: &MergedFinding) -> String {
        let fingerprint = fingerprint(finding);
        let count = self.0.entry(fingerprint.clone()).or_default();
        *count += 1;
        format!("{fingerprint}:{count}")
    }
}

/// Identifies a finding across runs: by its kind, and by the files and names of its cycle. Lines
/// are left out because they move.
fn fingerprint(finding: &MergedFinding) -> String {
    fn file(place: &str) -> &str {
        Place::parse(place).map_or("", |place| place.file)
    }
    let edge = |edge: &MergedEdge| {
        [file(&edge.held_at), &*edge.held, file(&edge.acquired_at), &*edge.wanted].join("\0")
    };
    // Processes may start the same cycle at different edges.
    let mut edges: Vec<_> = finding.cycle.iter().map(edge).collect();
    edges.sort_unstable();
    let mut hasher = FnvHasher::default();
    for part in once(finding.kind.name()).chain(edges.iter().map(String::as_str)) {
        hasher.write(part.as_bytes());
        hasher.write_u8(0);
    }
    format!("{:016x}", hasher.finish())
}
