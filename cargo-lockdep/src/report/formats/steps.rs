//! The steps of a thread or task at the places of an edge.

use lockdep::{
    FindingKind,
    record::{MergedFinding, Shown},
};

/// What was done at a place.
pub(super) struct Step<'a> {
    pub(super) place: &'a str,
    pub(super) did: Did<'a>,
}

/// What was done, with the name of the lock.
#[derive(Clone, Copy)]
pub(super) enum Did<'a> {
    Spawn,
    Hold(&'a str),
    /// It requested the lock, and was granted it later without being polled.
    Request(&'a str),
    Acquire(&'a str),
    /// It had not acquired the lock when the finding was made.
    Wait(&'a str),
}

impl Did<'_> {
    /// Returns a sentence with the subject `who`.
    pub(super) fn past(self, who: &str) -> String {
        match self {
            Self::Spawn => format!("{who} was spawned here"),
            Self::Hold(lock) => format!("{who} had held `{lock}` since here"),
            Self::Request(lock) => format!("{who} requested `{lock}` here and was granted it"),
            Self::Acquire(lock) => format!("{who} acquired `{lock}` here"),
            Self::Wait(lock) => format!("{who} waited for `{lock}` here"),
        }
    }
}

/// Returns where the acquisitions of an edge are shown: where the report shows them, or else at the calls of
/// `lock()`. `index` is the edge's, in the cycle.
pub(crate) fn places(finding: &MergedFinding, index: usize) -> [&str; 2] {
    match finding.shown.get(index) {
        Some(Shown { held: Some(held), wanted, .. }) => [&held.at, &wanted.at],
        _ => [&finding.cycle[index].held_at, &finding.cycle[index].acquired_at],
    }
}

/// Returns the steps of an edge in order. A guard that is held across an await has no second place.
pub(super) fn steps(finding: &MergedFinding, index: usize) -> Vec<Step<'_>> {
    let edge = &finding.cycle[index];
    let [held_at, acquired_at] = places(finding, index);
    let spawn = edge.spawned_at.iter().map(|place| Step { place, did: Did::Spawn });
    let held = if edge.is_granted { Did::Request(&edge.held) } else { Did::Hold(&edge.held) };
    let wanted = match finding.kind {
        FindingKind::HeldAcrossAwait => None,
        FindingKind::Deadlock | FindingKind::Futurelock => Some(Did::Wait(&edge.wanted)),
        _ => Some(Did::Acquire(&edge.wanted)),
    };
    let held = Step { place: held_at, did: held };
    let wanted = wanted.map(|did| Step { place: acquired_at, did });
    spawn.chain([held]).chain(wanted).collect()
}
