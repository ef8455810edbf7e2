//! The outcome of `confirm`: the deadlock and its schedule, or why it was not reached.

use std::{error::Error, fmt, panic::Location, str::FromStr, sync::Arc};

use crate::finding::{Edge, Finding, FindingKind, Site};

/// The outcome of an attempt to confirm a predicted deadlock.
///
/// ```
/// # use lockdep::{interleave::{self, Confirmation}, sync::RwLock, testing};
/// # let rates = RwLock::new(());
/// # let program = || drop((rates.read(), rates.read()));
/// for finding in testing::collect(program) {
///     match interleave::confirm(&finding, program) {
///         Confirmation::Confirmed(confirmed) => println!("{}", confirmed.deadlock()),
///         Confirmation::NotReached(not_reached) => println!("{not_reached}"),
///     }
/// }
/// ```
#[allow(clippy::large_enum_variant, reason = "there are few")]
#[derive(Clone, Debug)]
#[must_use = "this may be the answer that it cannot happen"]
pub enum Confirmation {
    /// The deadlock has happened.
    Confirmed(Confirmed),
    /// The threads did not meet.
    NotReached(NotReached),
}

impl Confirmation {
    /// Returns `true` if the deadlock has happened.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }

    /// Returns the deadlock and its schedule, if it has happened.
    #[must_use]
    pub fn confirmed(&self) -> Option<&Confirmed> {
        match self {
            Self::Confirmed(confirmed) => Some(confirmed),
            Self::NotReached(_) => None,
        }
    }

    /// Returns what kept the threads apart, if the deadlock has not happened.
    #[must_use]
    pub fn not_reached(&self) -> Option<&NotReached> {
        match self {
            Self::Confirmed(_) => None,
            Self::NotReached(not_reached) => Some(not_reached),
        }
    }
}

impl From<Confirmed> for Confirmation {
    fn from(confirmed: Confirmed) -> Self {
        Self::Confirmed(confirmed)
    }
}

impl From<NotReached> for Confirmation {
    fn from(not_reached: NotReached) -> Self {
        Self::NotReached(not_reached)
    }
}

impl fmt::Display for Confirmation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Confirmed(confirmed) => confirmed.fmt(f),
            Self::NotReached(not_reached) => not_reached.fmt(f),
        }
    }
}

/// A predicted deadlock that has happened.
///
/// ```
/// # use std::thread;
/// # use lockdep::{interleave::{self, Confirmation}, sync::Mutex, testing};
/// # fn program() {
/// #     let (a, b) = (Mutex::new(()), Mutex::new(()));
/// #     thread::scope(|scope| {
/// #         scope.spawn(|| drop((a.lock(), b.lock())));
/// #         drop((b.lock(), a.lock()));
/// #     });
/// # }
/// for inversion in testing::collect(program) {
///     if let Confirmation::Confirmed(confirmed) = interleave::confirm(&inversion, program) {
///         println!("{confirmed}\nagain: {}", confirmed.schedule());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct Confirmed {
    pub(super) deadlock: Finding,
    pub(super) replay: Replay,
}

impl Confirmed {
    /// Returns the deadlock as it was before a panic broke it.
    #[must_use]
    pub fn deadlock(&self) -> &Finding {
        &self.deadlock
    }

    /// Returns the schedule that led to the deadlock.
    #[must_use]
    pub fn schedule(&self) -> &Replay {
        &self.replay
    }
}

impl fmt::Display for Confirmed {
    /// Lists what each thread did.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confirmed: the deadlock has happened with this schedule:")?;
        for edge in self.deadlock.cycle() {
            let (thread, held_at, wanted_at) = (edge.thread(), edge.held_at(), edge.acquired_at());
            write!(
                f,
                "\n    thread `{thread}` acquired a lock at {held_at} and stopped at {wanted_at}"
            )?;
        }
        write!(f, "\n    then all continued")
    }
}

/// A schedule that led to a deadlock, to be [run](Self::run) again.
///
/// Its text is one line, which can be [parsed](FromStr).
///
/// ```
/// use lockdep::interleave::Replay;
///
/// // From the log of a run that failed.
/// let line = "0/0 src/pay.rs:3:5>src/pay.rs:4:9 src/rent.rs:7:5>src/rent.rs:8:9";
/// let schedule: Replay = line.parse()?;
/// assert_eq!(schedule.to_string(), line);
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub(super) parts: Arc<[Part]>,
    pub(super) attempt: u32,
    pub(super) seed: u64,
}

/// The part of one thread in a deadlock: it holds a lock and wants another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) held_at: Place,
    pub(super) wanted_at: Place,
}

/// A place in the source that can be parsed from text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    file: Box<str>,
    line: u32,
    column: u32,
}

impl From<&Edge> for Part {
    fn from(edge: &Edge) -> Self {
        Self { held_at: edge.held_at().into(), wanted_at: edge.acquired_at().into() }
    }
}

impl From<&Site> for Place {
    fn from(site: &Site) -> Self {
        Self { file: site.file().into(), line: site.line(), column: site.column() }
    }
}

impl Place {
    pub(super) fn is(&self, location: &'static Location<'static>) -> bool {
        // In a doctest, a finding has the lines of the documentation.
        let site = Site::from(location);
        self.line == site.line() && self.column == site.column() && *self.file == *site.file()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

impl fmt::Display for Replay {
    /// `0/0 src/a.rs:3:5>src/a.rs:4:9 src/b.rs:7:5>src/b.rs:8:9`: the seed and the number of the
    /// attempt, then for each thread where it acquired its first lock and where it wants the
    /// second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.seed, self.attempt)?;
        for Part { held_at, wanted_at } in &*self.parts {
            write!(f, " {held_at}>{wanted_at}")?;
        }
        Ok(())
    }
}

impl FromStr for Replay {
    type Err = String;

    /// # Errors
    ///
    /// Returns a message with the first part that [`Display`](fmt::Display) would not have written.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |part: &str, wanted: &str| format!("`{part}` is not {wanted}");
        let (first, parts) = text.trim().split_once(' ').ok_or_else(|| bad(text, "a schedule"))?;
        let numbers = first
            .split_once('/')
            .and_then(|(seed, attempt)| Some((seed.parse().ok()?, attempt.parse().ok()?)));
        let (seed, attempt) = numbers.ok_or_else(|| bad(first, "a seed and an attempt, `0/0`"))?;
        // A path may contain spaces, but not before a number.
        let place = |text: &str| {
            let mut fields = text.rsplitn(3, ':');
            let column = fields.next()?.parse().ok()?;
            let line = fields.next()?.parse().ok()?;
            Some(Place { file: fields.next()?.into(), line, column })
        };
        let part = |text: &str| {
            let (held_at, wanted_at) = text.split_once('>')?;
            Some(Part { held_at: place(held_at)?, wanted_at: place(wanted_at)? })
        };
        let mut read = Vec::new();
        let mut pending = String::new();
        for word in parts.split(' ') {
            pending.push_str(word);
            match part(&pending) {
                Some(part) => {
                    read.push(part);
                    pending.clear();
                }
                None => pending.push(' '),
            }
        }
        if !pending.trim().is_empty() {
            return Err(bad(pending.trim(), "`file:line:column>file:line:column`"));
        }
        Ok(Self { parts: read.into(), attempt, seed })
    }
}

/// A predicted deadlock that did not happen.
#[derive(Clone, Debug)]
pub struct NotReached {
    pub(super) obstacle: Obstacle,
    /// Each part, with a thread that came to it, if any did.
    pub(super) parts: Vec<(Part, Option<String>)>,
}

/// What kept the threads of a predicted deadlock apart.
///
/// ```
/// # use lockdep::interleave::{Confirmation, Obstacle};
/// fn is_worth_another_attempt(confirmation: &Confirmation) -> bool {
///     confirmation.not_reached().is_some_and(|it| matches!(it.obstacle(), Obstacle::NotTogether))
/// }
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Obstacle {
    /// A thread held a lock that another one needs before it reaches its part.
    Gate {
        /// The lock, as reports name it.
        lock: String,
        /// The thread that held it, stopped at its part.
        holder: String,
        /// The thread that waited for it.
        waiter: String,
    },
    /// A thread had ended before another one reached its part.
    Ended {
        /// The thread that had ended.
        thread: String,
        /// The thread that arrived afterwards.
        late: String,
    },
    /// No thread reached one of the places with the right lock held.
    NotPassed {
        /// The place of the second acquisition: `src/main.rs:3:5`.
        place: String,
    },
    /// Threads reached every place, but not at the same time, or with other locks.
    NotTogether,
    /// All threads met and were released, but one acquired its lock: readers wait for each other
    /// only if a writer is queued between them.
    WentOn,
    /// A thread acquires its second lock again for an existing guard (`MutexGuard::unlocked` of
    /// `lock_api`). The deadlock could not be broken, because a panic there would leave the guard
    /// without its lock.
    Unbreakable {
        /// The place of that acquisition.
        place: String,
    },
    /// The finding is not a cycle of several threads.
    NoCycle(FindingKind),
    /// Locks are not checked in this build, or `LOCKDEP=off` is set.
    NotChecked,
    /// The number of attempts is 0.
    NoAttempt,
}

impl NotReached {
    pub(super) fn because(obstacle: Obstacle) -> Self {
        Self { obstacle, parts: Vec::new() }
    }

    /// Returns what kept the threads apart in the last attempt.
    #[must_use]
    pub fn obstacle(&self) -> &Obstacle {
        &self.obstacle
    }
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not reached: {}", self.obstacle)?;
        for (Part { wanted_at, .. }, thread) in &self.parts {
            match thread {
                Some(thread) => write!(f, "\n    {wanted_at}: thread `{thread}` stopped there")?,
                None => write!(f, "\n    {wanted_at}: no thread came there with its lock")?,
            }
        }
        Ok(())
    }
}

impl Error for NotReached {}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gate { lock, holder, waiter } => {
                write!(
                    f,
                    "thread `{holder}` held {lock}, which `{waiter}` needs to get to its part"
                )
            }
            Self::Ended { thread, late } => {
                write!(f, "thread `{thread}` had ended when `{late}` came")
            }
            Self::NotPassed { place } => {
                write!(f, "no thread came to {place} with the lock that it should hold")
            }
            Self::NotTogether => f.write_str(
                "the threads were not at their places at the same time, or with other locks",
            ),
            Self::WentOn => f.write_str(
                "all threads were at their places together, and one got its lock: readers wait for \
                 each other only behind a writer",
            ),
            Self::Unbreakable { place } => {
                write!(
                    f,
                    "a lock is acquired again for an existing guard at {place}: a deadlock there \
                     could not be broken"
                )
            }
            Self::NoCycle(kind) => {
                write!(f, "`{}` is not a cycle of several threads", kind.name())
            }
            Self::NotChecked => f.write_str("locks are not checked"),
            Self::NoAttempt => f.write_str("the number of attempts is 0"),
        }
    }
}
