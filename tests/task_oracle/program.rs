//! Programs of tasks, and their text.

use std::fmt;

/// The locks: mutexes, followed by locks that have readers.
pub(crate) const LOCKS: usize = 5;
pub(crate) const MUTEXES: usize = 3;
pub(crate) const EVENTS: usize = 2;

/// The semaphore, which stands after the locks.
pub(crate) const POOL: usize = LOCKS;
pub(crate) const PERMITS: u32 = 2;

/// A step of a task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    /// Exclusively.
    Lock(usize),
    /// Shared.
    Read(usize),
    /// With an owned guard, which can be sent.
    LockOwned(usize),
    TryLock(usize),
    /// Acquires permits of the semaphore, all in one guard.
    Acquire(u32),
    /// Drops the branch's guard of a lock, if it has one.
    Unlock(usize),
    /// Acquires one of std's locks, and releases it at once.
    Std(usize),
    Sleep(u64),
    /// Wakes the task by reference to its waker, and yields.
    Yield,
    Signal(usize),
    /// Waits for a signal.
    Wait(usize),
    /// Starts a task of the program.
    Spawn(usize),
    /// Sends an owned guard to a receiver, if the branch has one.
    Send,
    Receive,
    /// Cancels the steps after a time.
    Timeout(u64, Vec<Step>),
    Join([Vec<Step>; 2]),
    /// Two branches, until one of them is done. The other is not polled during further steps, and
    /// then continues or is dropped.
    Select {
        branches: [Vec<Step>; 2],
        then: Vec<Step>,
        resumes: bool,
    },
    /// The steps are those of a boxed future.
    Boxed(Vec<Step>),
}

/// The first task runs from the start, as do all others that no task spawns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) tasks: Vec<Vec<Step>>,
}

impl Step {
    /// Returns the parts of a block.
    fn parts(&self) -> Vec<&Vec<Step>> {
        match self {
            Self::Timeout(_, steps) | Self::Boxed(steps) => vec![steps],
            Self::Join(branches) => branches.iter().collect(),
            Self::Select { branches, then, .. } => branches.iter().chain([then]).collect(),
            _ => Vec::new(),
        }
    }

    /// Returns `true` if a condition holds for this step, or for one within.
    pub(crate) fn any(&self, is_so: &impl Fn(&Step) -> bool) -> bool {
        is_so(self) || self.parts().into_iter().flatten().any(|step| step.any(is_so))
    }
}

impl Program {
    pub(crate) fn any(&self, is_so: impl Fn(&Step) -> bool) -> bool {
        self.tasks.iter().flatten().any(|step| step.any(&is_so))
    }

    /// Returns `true` if one of its guards or futures may leave its task.
    pub(crate) fn is_loose(&self) -> bool {
        use Step::{Boxed, LockOwned, Receive, Send, Spawn, TryLock};
        self.any(|step| {
            matches!(step, LockOwned(_) | TryLock(_) | Spawn(_) | Send | Receive | Boxed(_))
        })
    }

    /// Returns `true` if another task spawns this one.
    pub(crate) fn is_spawned(&self, task: usize) -> bool {
        self.any(|step| *step == Step::Spawn(task))
    }

    /// Returns the same program, but with a yield before each lock.
    pub(crate) fn yielding(&self) -> Self {
        fn all(steps: &[Step]) -> Vec<Step> {
            steps.iter().flat_map(one).collect()
        }
        fn one(step: &Step) -> Vec<Step> {
            let [a, b] = match step {
                Step::Join([a, b]) | Step::Select { branches: [a, b], .. } => [all(a), all(b)],
                _ => [Vec::new(), Vec::new()],
            };
            match step {
                Step::Lock(_)
                | Step::Read(_)
                | Step::LockOwned(_)
                | Step::TryLock(_)
                | Step::Acquire(_) => vec![Step::Yield, step.clone()],
                Step::Timeout(time, steps) => vec![Step::Timeout(*time, all(steps))],
                Step::Boxed(steps) => vec![Step::Boxed(all(steps))],
                Step::Join(_) => vec![Step::Join([a, b])],
                Step::Select { then, resumes, .. } => {
                    let then = all(then);
                    vec![Step::Select { branches: [a, b], then, resumes: *resumes }]
                }
                other => vec![other.clone()],
            }
        }
        Self { tasks: self.tasks.iter().map(|steps| all(steps)).collect() }
    }
}

pub(crate) fn name(lock: usize) -> char {
    char::from(b'A' + u8::try_from(lock).expect("there are few locks"))
}

fn list(steps: &[Step]) -> String {
    let texts: Vec<_> = steps.iter().map(Step::to_string).collect();
    texts.join(", ")
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Lock(lock) => write!(f, "lock {}", name(*lock)),
            Self::Read(lock) => write!(f, "read {}", name(*lock)),
            Self::LockOwned(lock) => write!(f, "lock_owned {}", name(*lock)),
            Self::TryLock(lock) => write!(f, "try_lock {}", name(*lock)),
            Self::Acquire(permits) => write!(f, "acquire {permits} of {}", name(POOL)),
            Self::Unlock(lock) => write!(f, "unlock {}", name(*lock)),
            Self::Std(lock) => write!(f, "std {}", name(*lock)),
            Self::Sleep(time) => write!(f, "sleep {time}"),
            Self::Yield => write!(f, "yield"),
            Self::Signal(event) => write!(f, "signal {event}"),
            Self::Wait(event) => write!(f, "wait {event}"),
            Self::Spawn(task) => write!(f, "spawn {task}"),
            Self::Send => write!(f, "send"),
            Self::Receive => write!(f, "receive"),
            Self::Timeout(time, steps) => write!(f, "timeout {time} {{ {} }}", list(steps)),
            Self::Join([a, b]) => write!(f, "join {{ {} | {} }}", list(a), list(b)),
            Self::Select { branches: [a, b], then, resumes } => {
                let end = if *resumes { "resume" } else { "drop" };
                write!(f, "select {{ {} | {} }} then {{ {} }} {end}", list(a), list(b), list(then))
            }
            Self::Boxed(steps) => write!(f, "boxed {{ {} }}", list(steps)),
        }
    }
}

impl fmt::Display for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (task, steps) in self.tasks.iter().enumerate() {
            writeln!(f, "task {task}: {}", list(steps))?;
        }
        Ok(())
    }
}
