//! A thread or a task, as reports identify it.

use std::{fmt, num::NonZeroU64, panic::Location, sync::Arc};

use super::Site;

/// The number of a scope of [`testing`](crate::testing), never reused.
pub(crate) type ScopeId = NonZeroU64;

/// A thread of the program, or a task that its threads poll.
///
/// [`Display`](fmt::Display) writes a thread's name, `#4` for a thread without one, and `task 7`
/// for a task.
#[derive(Clone, Debug, Default)]
pub struct ThreadInfo {
    pub(crate) number: u64,
    pub(crate) name: Option<Arc<str>>,
    /// The innermost scope of the thread.
    pub(crate) scope: Option<ScopeId>,
    /// Where the task was spawned; `None` for a thread.
    pub(crate) spawned_at: Option<Site>,
}

impl ThreadInfo {
    /// Describes a task.
    pub(crate) fn of_task(
        number: u64,
        spawned_at: &'static Location<'static>,
        scope: Option<ScopeId>,
    ) -> Self {
        Self { number, name: None, scope, spawned_at: Some(spawned_at.into()) }
    }

    /// Returns the number of this thread or task, never reused in this process. A thread gets it
    /// when it first acquires a lock, a task when it is spawned.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// Returns the name that the thread had when it first acquired a lock. A task has none.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Returns `true` if it is a task: one of `lockdep::tokio`, or of a program under `cargo
    /// lockdep`.
    #[must_use]
    pub fn is_task(&self) -> bool {
        self.spawned_at.is_some()
    }

    /// Returns where the task was spawned; `None` for a thread.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&Site> {
        self.spawned_at.as_ref()
    }
}

impl PartialEq for ThreadInfo {
    /// Compares the identity of the threads or tasks.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ThreadInfo {}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None if self.is_task() => write!(f, "task {}", self.number),
            None => write!(f, "#{}", self.number),
        }
    }
}
