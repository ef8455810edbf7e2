//! What comes of an attempt to make a deadlock happen.

use std::{fmt, str::FromStr, sync::Arc};

use crate::finding::{Edge, Finding, FindingKind, Site};

/// Whether a predicted deadlock has happened.
#[derive(Clone, Debug)]
#[must_use = "this may be the answer that it cannot happen"]
pub enum Confirmation {
    /// It has.
    Confirmed(Confirmed),
    /// The threads did not come together.
    NotReached(NotReached),
}

impl Confirmation {
    /// Whether it has happened.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        matches!(self, Self::Confirmed(_))
    }

    /// The deadlock, if it has happened.
    #[must_use]
    pub fn confirmed(&self) -> Option<&Confirmed> {
        match self {
            Self::Confirmed(confirmed) => Some(confirmed),
            Self::NotReached(_) => None,
        }
    }

    /// What kept the threads apart, if it has not happened.
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
#[derive(Clone, Debug)]
pub struct Confirmed {
    pub(super) deadlock: Finding,
    pub(super) replay: Replay,
}

impl Confirmed {
    /// The deadlock, as it was when a panic broke it.
    #[must_use]
    pub fn deadlock(&self) -> &Finding {
        &self.deadlock
    }

    /// The schedule that made it happen.
    #[must_use]
    pub fn schedule(&self) -> &Replay {
        &self.replay
    }
}

impl fmt::Display for Confirmed {
    /// What was done, thread by thread.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "confirmed: the deadlock has happened, by this schedule:")?;
        for edge in self.deadlock.cycle() {
            let (thread, held_at, wanted_at) = (edge.thread(), edge.held_at(), edge.acquired_at());
            write!(
                f,
                "\n    thread `{thread}` took a lock at {held_at}, and stopped at {wanted_at}"
            )?;
        }
        write!(f, "\n    then all went on")
    }
}

/// A schedule that made a deadlock happen, to be [run](Self::run) again.
///
/// As text, which can be [parsed](FromStr), it is one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    pub(super) parts: Arc<[Part]>,
    pub(super) attempt: u32,
    pub(super) seed: u64,
}

/// What one thread does in a deadlock: it holds a lock, and wants another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) held_at: Place,
    pub(super) wanted_at: Place,
}

/// A place in the source, which can be made from text.
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
    pub(super) fn is(&self, site: &std::panic::Location<'_>) -> bool {
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
    /// attempt, then for each thread where it holds a lock and where it wants one.
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
    /// If this is not what [`Display`](fmt::Display) makes: names the part.
    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |part: &str, wanted: &str| format!("`{part}` is not {wanted}");
        let (first, parts) = text.trim().split_once(' ').ok_or_else(|| bad(text, "a schedule"))?;
        let numbers = first
            .split_once('/')
            .and_then(|(seed, attempt)| Some((seed.parse().ok()?, attempt.parse().ok()?)));
        let (seed, attempt) = numbers.ok_or_else(|| bad(first, "a seed and an attempt, `0/0`"))?;
        // A path may have blanks in it, but not before a number.
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
    pub(super) why: Why,
    /// Where each thread's part is, and whether it was ever taken.
    pub(super) parts: Vec<(Part, Option<String>)>,
}

/// What kept the threads of a predicted deadlock apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Why {
    /// One held a lock that another needs before it comes to its part.
    Gate {
        /// The lock, as a report calls it.
        lock: String,
        /// Who held it, stopped at its part.
        holder: String,
        /// Who waited for it.
        waiter: String,
    },
    /// One had ended before another came to its part.
    Ended {
        /// The thread that had ended.
        thread: String,
        /// The thread that came then.
        late: String,
    },
    /// No thread came to one of the places, holding what it should.
    NotPassed {
        /// Where it would have taken the second lock: `src/main.rs:3:5`.
        place: String,
    },
    /// Each place was passed, but not at the same time, or not with these locks.
    NotTogether,
    /// All came together and were let go, but one got its lock: readers wait for each other only
    /// behind a writer.
    WentOn,
    /// One takes its second lock again for a guard that lives on (`MutexGuard::unlocked` of
    /// `lock_api`): nothing can be thrown there, and so the deadlock not be broken.
    Unbreakable {
        /// Where it takes it.
        place: String,
    },
    /// It is no cycle of several threads.
    NoCycle(FindingKind),
    /// Locks are not checked in this build, or by `LOCKDEP=off`.
    NotChecked,
    /// No attempt was asked for.
    NoAttempt,
}

impl NotReached {
    pub(super) fn because(why: Why) -> Self {
        Self { why, parts: Vec::new() }
    }

    /// What kept the threads apart, in the last attempt.
    #[must_use]
    pub fn why(&self) -> &Why {
        &self.why
    }
}

impl fmt::Display for NotReached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "not reached: {}", self.why)?;
        for (Part { wanted_at, .. }, thread) in &self.parts {
            match thread {
                Some(thread) => write!(f, "\n    {wanted_at}: thread `{thread}` stopped there")?,
                None => write!(f, "\n    {wanted_at}: no thread came there with its lock")?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for Why {
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
                    "at {place} a lock is taken for a guard that lives on: a deadlock there \
                     could not be broken"
                )
            }
            Self::NoCycle(kind) => {
                write!(f, "`{}` is no cycle of several threads", kind.name())
            }
            Self::NotChecked => f.write_str("locks are not checked"),
            Self::NoAttempt => f.write_str("no attempt was asked for"),
        }
    }
}
