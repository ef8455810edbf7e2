//! The roles of a schedule, and what the threads in each are doing.

use std::sync::Weak;

use super::plan::At;
use crate::{
    finding::ThreadInfo,
    validator::{Tag, tasks::Task},
};

/// A role and the threads that have come in it.
pub(super) struct Role {
    pub(super) name: Box<str>,
    /// The threads that are present.
    pub(super) actors: Vec<Actor>,
    /// How many threads were announced by `inside` and have not ended.
    pub(super) expected: usize,
    pub(super) has_begun: bool,
    /// The validator's numbers of all its threads.
    pub(super) numbers: Vec<u64>,
    pub(super) last: Option<String>,
}

/// The state of a thread in a role.
pub(super) struct Actor {
    pub(super) key: u64,
    /// The events before which it waits.
    pub(super) waits: Vec<At>,
    /// The lock for which it waits, with a description of the wait.
    pub(super) blocked: Option<(Tag, String)>,
    pub(super) holds: Vec<Tag>,
    /// Neither of these: a thread that runs, or a task that is being polled.
    pub(super) is_moving: bool,
    /// Set for a task, which something outside the schedule may wake.
    pub(super) task: Option<Weak<Task>>,
    /// It is a task and waits where it cannot be suspended.
    pub(super) blocks_thread: bool,
}

impl Role {
    /// Returns `true` if all threads of this role have ended.
    pub(super) fn is_over(&self) -> bool {
        self.has_begun && self.actors.is_empty() && self.expected == 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn has(&self, thread: &ThreadInfo) -> bool {
        self.numbers.contains(&thread.number())
    }

    /// Returns the events before which its threads wait.
    pub(super) fn waits(&self) -> impl Iterator<Item = At> {
        self.actors.iter().flat_map(|actor| &actor.waits).copied()
    }

    /// Returns `true` if a task in this role waits for its turn and blocks its thread.
    pub(super) fn blocks_thread(&self) -> bool {
        self.actors.iter().any(|actor| actor.blocks_thread && !actor.waits.is_empty())
    }

    /// Describes the wait for a lock that blocks one of its threads.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.actors.iter().find_map(|actor| Some(&*actor.blocked.as_ref()?.1))
    }
}
