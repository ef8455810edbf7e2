//! The steps of a thread or task at the places of an edge.

use lockdep::{
    FindingKind,
    record::{MergedEdge, MergedFinding},
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

    /// Returns a note to put at the line.
    pub(super) fn present(self) -> String {
        match self {
            Self::Spawn => "spawned here".to_owned(),
            Self::Hold(lock) => format!("has held {lock} since here"),
            Self::Request(lock) => format!("requests {lock} here and is granted it"),
            Self::Acquire(lock) => format!("acquires {lock} here"),
            Self::Wait(lock) => format!("waits for {lock} here"),
        }
    }
}

/// Returns the steps of an edge in order. A guard that is held across an await has no second place.
pub(super) fn steps<'a>(finding: &MergedFinding, edge: &'a MergedEdge) -> Vec<Step<'a>> {
    let spawn = edge.spawned_at.iter().map(|place| Step { place, did: Did::Spawn });
    let held = if edge.is_granted { Did::Request(&edge.held) } else { Did::Hold(&edge.held) };
    let wanted = match finding.kind {
        FindingKind::HeldAcrossAwait => None,
        FindingKind::Deadlock | FindingKind::Futurelock => Some(Did::Wait(&edge.wanted)),
        _ => Some(Did::Acquire(&edge.wanted)),
    };
    let held = Step { place: &edge.held_at, did: held };
    let wanted = wanted.map(|did| Step { place: &edge.acquired_at, did });
    spawn.chain([held]).chain(wanted).collect()
}
