//! A thread or a task, as reports identify it.

use std::{
    fmt,
    num::{NonZeroU32, NonZeroU64},
    panic::Location,
    sync::Arc,
};

use super::Site;

/// The number of a scope of [`testing`](crate::testing), never reused.
pub(crate) type ScopeId = NonZeroU64;

/// What std calls a thread without a name.
pub(crate) const UNNAMED: &str = "<unnamed>";

/// A thread of the program, or a task that its threads poll.
///
/// [`Display`](fmt::Display) writes a thread's name; for a thread without one, `thread spawned at
/// src/main.rs:12` if [`lockdep::thread`](crate::thread) spawned it, or else `<unnamed> (25340)`, as
/// std calls it in the message of its panic. It writes `task 7` for a task. If a finding has several
/// threads of one name, it writes `worker #4`.
#[derive(Clone, Debug, Default)]
pub struct ThreadInfo {
    pub(crate) number: u64,
    pub(crate) name: Option<Arc<str>>,
    /// The innermost scope of the thread.
    pub(crate) scope: Option<ScopeId>,
    /// Where it was spawned, if that is known.
    pub(crate) spawned_at: Option<Site>,
    pub(crate) is_task: bool,
    /// The operating system's id of the thread, if known.
    pub(crate) os_id: Option<NonZeroU32>,
    /// Another thread in the same finding has the same name, or none and the same spawn site.
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
        // All workers of rayon are spawned at one place of lockdep.
        self.spawned_at()
            .filter(|site| self.is_task || self.name.is_none() && !site.is_of_our_rayon())
    }

    /// Returns `true` for a thread that is called by its spawn site.
    pub(crate) fn is_called_by_site(&self) -> bool {
        !self.is_task && self.spawn_site().is_some()
    }

    /// Returns ` #4` if another thread in the same finding is called the same.
    pub(crate) fn number_if_shared(&self) -> String {
        if self.shares_name { format!(" #{}", self.number) } else { String::new() }
    }
}

/// Marks the threads that are called the same as another of them.
pub(crate) fn tell_apart<'a>(threads: impl Iterator<Item = &'a mut ThreadInfo>) {
    // One that has never taken a lock has no number.
    let threads = threads.filter(|it| !it.is_task && it.number > 0);
    let mut threads: Vec<_> = threads.map(|it| (it.to_string(), it)).collect();
    threads.sort_by(|(one, a), (other, b)| (one, a.number).cmp(&(other, b.number)));
    for same in threads.chunk_by_mut(|(one, _), (other, _)| one == other) {
        let are_several = same[0].1.number != same[same.len() - 1].1.number;
        for (_, thread) in same {
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
        let number = self.number_if_shared();
        match (&self.name, self.spawn_site(), self.os_id) {
            (Some(name), ..) => write!(f, "{name}{number}"),
            _ if self.is_task() => write!(f, "task {}", self.number),
            (None, Some(site), _) => {
                write!(f, "thread{number} spawned at {}:{}", site.file(), site.line())
            }
            (None, None, Some(id)) => write!(f, "{UNNAMED} ({id}){number}"),
            (None, None, None) => write!(f, "{UNNAMED}{number}"),
        }
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn thread(number: u64, name: Option<&str>) -> ThreadInfo {
        ThreadInfo { number, name: name.map(Into::into), ..ThreadInfo::default() }
    }

    #[test]
    fn a_thread_without_a_name_is_called_as_in_a_panic() {
        let std_s = ThreadInfo { os_id: NonZeroU32::new(25340), ..thread(4, None) };
        assert_eq!(std_s.to_string(), "<unnamed> (25340)");
        let site = Site::new("src/main.rs".to_owned(), 12, 5);
        let mirrored = ThreadInfo { spawned_at: Some(site), ..std_s };
        assert_eq!(mirrored.to_string(), "thread spawned at src/main.rs:12");
        assert_eq!(thread(4, None).to_string(), "<unnamed>");
    }

    #[test]
    fn threads_of_one_name_are_told_apart() {
        let worker = Some("worker");
        let at = |line| Some(Site::new("src/main.rs".to_owned(), line, 5));
        let spawned = |number, line| ThreadInfo { spawned_at: at(line), ..thread(number, None) };
        let std_s = |number, id| ThreadInfo { os_id: NonZeroU32::new(id), ..thread(number, None) };
        let mut all = [
            thread(3, worker),
            thread(1, Some("main")),
            thread(4, None),
            thread(5, worker),
            thread(3, worker),
            thread(1, Some("main")),
            thread(0, worker),
            spawned(6, 12),
            spawned(7, 12),
            spawned(8, 14),
            std_s(9, 25340),
            // The system has used the id of a thread that has ended again.
            std_s(10, 25341),
            std_s(11, 25341),
        ];
        tell_apart(all.iter_mut());
        let names = all.map(|it| it.to_string());
        assert_eq!(
            names,
            [
                "worker #3",
                "main",
                "<unnamed>",
                "worker #5",
                "worker #3",
                "main",
                "worker",
                "thread #6 spawned at src/main.rs:12",
                "thread #7 spawned at src/main.rs:12",
                "thread spawned at src/main.rs:14",
                "<unnamed> (25340)",
                "<unnamed> (25341) #10",
                "<unnamed> (25341) #11",
            ]
        );
    }
}
