//! A thread or a task, as reports identify it.

use std::{fmt, num::NonZeroU64, panic::Location, sync::Arc};

use super::Site;

/// The number of a scope of [`testing`](crate::testing), never reused.
pub(crate) type ScopeId = NonZeroU64;

/// A thread of the program, or a task that its threads poll.
///
/// [`Display`](fmt::Display) writes a thread's name, `#4` for a thread without one, and `task 7`
/// for a task. If a finding has several threads of one name, it writes `worker #4`.
#[derive(Clone, Debug, Default)]
pub struct ThreadInfo {
    pub(crate) number: u64,
    pub(crate) name: Option<Arc<str>>,
    /// The innermost scope of the thread.
    pub(crate) scope: Option<ScopeId>,
    /// Where it was spawned, if that is known.
    pub(crate) spawned_at: Option<Site>,
    pub(crate) is_task: bool,
    /// Another thread in the same finding has the same name.
    pub(crate) shares_name: bool,
}

impl ThreadInfo {
    /// Describes a task.
    pub(crate) fn of_task(
        number: u64,
        spawned_at: &'static Location<'static>,
        scope: Option<ScopeId>,
    ) -> Self {
        let spawned_at = Some(spawned_at.into());
        Self { number, scope, spawned_at, is_task: true, ..Self::default() }
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
        self.is_task
    }

    /// Returns where the task, or a thread of [`lockdep::thread`](crate::thread), was spawned. `None`
    /// for another thread.
    #[must_use]
    pub fn spawned_at(&self) -> Option<&Site> {
        self.spawned_at.as_ref()
    }

    /// Returns where it was spawned, unless its name says more.
    pub(crate) fn spawn_site(&self) -> Option<&Site> {
        self.spawned_at().filter(|_| self.is_task || self.name.is_none())
    }
}

/// Marks the threads that have the same name as another of them.
pub(crate) fn tell_apart<'a>(threads: impl Iterator<Item = &'a mut ThreadInfo>) {
    // One that has never taken a lock has no number.
    let mut threads: Vec<_> = threads.filter(|it| it.name.is_some() && it.number > 0).collect();
    threads.sort_by(|one, other| (&one.name, one.number).cmp(&(&other.name, other.number)));
    for same in threads.chunk_by_mut(|one, other| one.name == other.name) {
        let are_several = same[0].number != same[same.len() - 1].number;
        for thread in same {
            thread.shares_name = are_several;
        }
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
            Some(name) if self.shares_name => write!(f, "{name} #{}", self.number),
            Some(name) => f.write_str(name),
            None if self.is_task() => write!(f, "task {}", self.number),
            None => write!(f, "#{}", self.number),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn threads_of_one_name_are_told_apart() {
        let thread = |number, name: Option<&str>| ThreadInfo {
            number,
            name: name.map(Into::into),
            ..ThreadInfo::default()
        };
        let worker = Some("worker");
        let mut all = [
            thread(3, worker),
            thread(1, Some("main")),
            thread(4, None),
            thread(5, worker),
            thread(3, worker),
            thread(1, Some("main")),
            thread(0, worker),
        ];
        tell_apart(all.iter_mut());
        let names = all.map(|it| it.to_string());
        assert_eq!(names, ["worker #3", "main", "#4", "worker #5", "worker #3", "main", "worker"]);
    }
}
