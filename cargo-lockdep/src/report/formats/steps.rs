//! What a thread or task did in the places of an edge.

use lockdep::{
    FindingKind,
    record::{MergedEdge, MergedFinding},
};

/// A place, and what was done there.
pub(super) struct Step<'a> {
    pub(super) place: &'a str,
    pub(super) did: Did<'a>,
}

/// What was done, with a lock by its name.
#[derive(Clone, Copy)]
pub(super) enum Did<'a> {
    Spawn,
    Hold(&'a str),
    /// It was granted the lock later, and did not notice.
    Request(&'a str),
    Acquire(&'a str),
    /// It had not acquired the lock when the finding was made.
    Wait(&'a str),
}

impl Did<'_> {
    /// As a sentence about somebody.
    pub(super) fn past(self, who: &str) -> String {
        match self {
            Self::Spawn => format!("{who} was spawned here"),
            Self::Hold(lock) => format!("{who} held `{lock}` since here"),
            Self::Request(lock) => format!("{who} requested `{lock}` here, and was granted it"),
            Self::Acquire(lock) => format!("{who} acquired `{lock}` here"),
            Self::Wait(lock) => format!("{who} waited for `{lock}` here"),
        }
    }

    /// As a note at the line.
    pub(super) fn present(self) -> String {
        match self {
            Self::Spawn => "spawned here".to_owned(),
            Self::Hold(lock) => format!("holds {lock} since here"),
            Self::Request(lock) => format!("requests {lock} here, and is granted it"),
            Self::Acquire(lock) => format!("acquires {lock} here"),
            Self::Wait(lock) => format!("waits for {lock} here"),
        }
    }
}

/// The steps of an edge, in their order. A guard that is held over an await has one place alone.
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
