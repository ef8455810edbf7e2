//! Who takes part in a schedule, and what each is doing.

use std::sync::Weak;

use super::plan::At;
use crate::{
    finding::ThreadInfo,
    validator::{Tag, tasks::Task},
};

/// A thread of the schedule, or several that came in one role.
pub(super) struct Role {
    pub(super) name: Box<str>,
    /// The threads that are there.
    pub(super) actors: Vec<Actor>,
    /// How many were announced and have not ended.
    pub(super) expected: usize,
    pub(super) has_begun: bool,
    /// The numbers of all its threads, as the validator has them.
    pub(super) numbers: Vec<u64>,
    pub(super) last: Option<String>,
}

/// What a thread is doing.
pub(super) struct Actor {
    pub(super) key: u64,
    /// The events before which it waits.
    pub(super) waits: Vec<At>,
    /// The lock that it waits for, and the wait in words.
    pub(super) blocked: Option<(Tag, String)>,
    pub(super) holds: Vec<Tag>,
    /// It does neither: a thread that runs, or a task that is being polled.
    pub(super) is_moving: bool,
    /// If it is a task, which something else may wake.
    pub(super) task: Option<Weak<Task>>,
    /// It is a task, and waits where it cannot be suspended.
    pub(super) blocks_thread: bool,
}

impl Role {
    /// Whether there were threads in it, and no longer are.
    pub(super) fn is_over(&self) -> bool {
        self.has_begun && self.actors.is_empty() && self.expected == 0
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun
    }

    pub(super) fn has(&self, thread: &ThreadInfo) -> bool {
        self.numbers.contains(&thread.number())
    }

    /// The events before which its threads wait.
    pub(super) fn waits(&self) -> impl Iterator<Item = At> {
        self.actors.iter().flat_map(|actor| &actor.waits).copied()
    }

    /// Returns `true` if a task in this role waits for its turn and blocks its thread.
    pub(super) fn blocks_thread(&self) -> bool {
        self.actors.iter().any(|actor| actor.blocks_thread && !actor.waits.is_empty())
    }

    /// The wait for a lock that keeps one of its threads, in words.
    pub(super) fn blocked(&self) -> Option<&str> {
        self.actors.iter().find_map(|actor| Some(&*actor.blocked.as_ref()?.1))
    }
}
