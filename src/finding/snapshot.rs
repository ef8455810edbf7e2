//! The locks that threads and tasks hold and wait for at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, OsThread, Site, ThreadInfo, WaitKind};

/// The locks that each thread and task holds and waits for: the result of
/// [`lockdep::held`](crate::held).
///
/// [`Display`](std::fmt::Display) prints a table for people. It reads the names of locks from the
/// source, which takes milliseconds.
///
/// ```
/// # use lockdep::sync::Mutex;
/// let accounts = Mutex::new(vec![1, 2]);
/// let _guard = accounts.lock().unwrap();
/// for thread in lockdep::held().threads() {
///     for held in thread.held() {
///         println!("{} holds {} since {}", thread.thread(), held.lock().id(), held.since());
///     }
/// }
/// ```
#[derive(Clone, Debug)]
pub struct HeldLocks {
    pub(crate) threads: Vec<ThreadSnapshot>,
}

impl HeldLocks {
    /// Returns the threads and tasks that hold or wait for a lock, or wait for a message, for space
    /// in a channel or at a barrier. On 64-bit Linux, all other threads are included. Empty in an
    /// unchecked build.
    #[must_use]
    pub fn threads(&self) -> &[ThreadSnapshot] {
        &self.threads
    }
}

/// A thread or task with the locks that it holds and waits for.
#[derive(Clone, Debug)]
pub struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// The thread has ended without releasing the locks.
    pub(crate) has_ended: bool,
    /// In the order of acquisition.
    pub(crate) held: Vec<LockUse>,
    /// At most one wait for a thread. Each future of a task may have one.
    pub(crate) waiting: Vec<(LockUse, Until)>,
    /// Locks that futures of the task were granted and that have not been polled since.
    pub(crate) granted: Vec<LockUse>,
    /// What the operating system knows about the thread, if it was queried.
    pub(crate) os: Option<OsThread>,
}

impl ThreadSnapshot {
    /// Returns the thread or task.
    #[must_use]
    pub fn thread(&self) -> &ThreadInfo {
        &self.thread
    }

    /// Returns `true` if the thread has ended without releasing the locks that it holds.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Returns the locks that it holds, in the order of acquisition.
    #[must_use]
    pub fn held(&self) -> &[LockUse] {
        &self.held
    }

    /// Returns the locks that it waits for, with the kind of wait if it waits for something other
    /// than a lock. In that case, the [lock](LockUse::lock) is the mutex that a condition
    /// variable's wait has released, or else the channel or barrier. A thread has at most one wait,
    /// a task one for each of its futures.
    pub fn waits(&self) -> impl Iterator<Item = (&LockUse, Option<WaitKind>)> {
        self.waiting.iter().map(|(wanted, until)| (wanted, until.event()))
    }

    /// Returns the locks that were granted to futures of a task that have not been polled since.
    #[must_use]
    pub fn granted(&self) -> &[LockUse] {
        &self.granted
    }
}

/// A lock that a thread or task holds or waits for.
#[derive(Clone, Debug)]
pub struct LockUse {
    pub(crate) lock: LockInfo,
    pub(crate) mode: Mode,
    pub(crate) since: Site,
    /// How long, if known.
    pub(crate) age: Option<Duration>,
    /// Its guard may have been sent to another task or thread.
    pub(crate) may_be_elsewhere: bool,
}

impl LockUse {
    /// Returns the lock.
    #[must_use]
    pub fn lock(&self) -> &LockInfo {
        &self.lock
    }

    /// Returns the mode in which it is held or wanted.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Returns where it was acquired, or where the wait is.
    #[must_use]
    pub fn since(&self) -> &Site {
        &self.since
    }

    /// Returns how long it has been held or waited for. Known only while the
    /// [watchdog](crate::watchdog) runs, to the precision of its polling interval.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.age
    }

    /// Returns `true` if the guard may have been sent to another thread or task, which then holds
    /// the lock.
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.may_be_elsewhere
    }
}

/// When a wait ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// When the lock is acquired.
    Acquired,
    /// When the lock is acquired, or after a timeout.
    TimedOut,
    /// On a notification or after a timeout, once the lock is acquired again.
    Notified,
    /// When an event other than the release of a lock happens.
    Happened(WaitKind),
    /// As `Happened`, or after a timeout.
    HappenedInTime(WaitKind),
}

impl Until {
    /// Returns the event for which the thread waits, if it is not a lock.
    pub(crate) fn event(self) -> Option<WaitKind> {
        match self {
            Self::Acquired | Self::TimedOut => None,
            Self::Notified => Some(WaitKind::Condvar),
            Self::Happened(kind) | Self::HappenedInTime(kind) => Some(kind),
        }
    }

    /// Encodes this as a number, which [`from_number`](Self::from_number) decodes.
    pub(crate) fn number(self) -> usize {
        match self {
            Self::Acquired => 0,
            Self::TimedOut => 1,
            Self::Notified => 2,
            Self::Happened(kind) => 3 + 2 * kind as usize,
            Self::HappenedInTime(kind) => 4 + 2 * kind as usize,
        }
    }

    pub(crate) fn from_number(number: usize) -> Self {
        match number {
            0 => Self::Acquired,
            1 => Self::TimedOut,
            2 => Self::Notified,
            event => {
                let kind = WaitKind::ALL[(event - 3) / 2 % WaitKind::ALL.len()];
                if event % 2 == 1 { Self::Happened(kind) } else { Self::HappenedInTime(kind) }
            }
        }
    }
}

/// Why a thread or task waits: the holder of the lock, what that waits for, and so on.
#[derive(Clone, Debug)]
pub(crate) struct WaitChain {
    /// Never empty. The waiter of each link is the holder of the previous one, or the thread that
    /// the holder joins.
    pub(crate) links: Vec<WaitLink>,
    pub(crate) end: ChainEnd,
}

/// A thread or task that waits for a lock, and the holder of the lock.
#[derive(Clone, Debug)]
pub(crate) struct WaitLink {
    pub(crate) waiter: ThreadInfo,
    pub(crate) wanted: LockUse,
    /// The thread or task that holds the lock, and where it acquired it, if known.
    pub(crate) holder: Option<(ThreadInfo, Site)>,
    /// A future of the holder requested the lock there, was granted it, and has not been polled
    /// since.
    pub(crate) is_granted: bool,
    /// The thread that the holder joins, according to the system.
    pub(crate) joined: Option<ThreadInfo>,
}

/// The end of a chain of waits.
#[derive(Clone, Debug)]
pub(crate) enum ChainEnd {
    /// These threads and tasks wait for each other.
    Deadlock(Vec<ThreadInfo>),
    /// The last holder waits for no checked lock. Contains what it does, if the system tells.
    Holder(Option<OsThread>),
    /// The last holder joins a thread that waits for no checked lock, or that is part of the chain.
    /// Contains what that does, if the system tells.
    Joined(Option<OsThread>),
    /// The last holder's guard may have been sent to another task or thread.
    Sent,
    /// The last holder is a task that waits for no lock, but is not polled now.
    AtRest,
    /// The last holder waits for an event other than the release of a lock, for that long if it is
    /// known.
    Event(WaitKind, Option<Duration>),
    /// The last holder has ended.
    Ended,
    /// The holder of the last lock is unknown.
    Nobody,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn how_long_survives_as_a_number() {
        let events = WaitKind::ALL.map(|kind| [Until::Happened(kind), Until::HappenedInTime(kind)]);
        let all = [Until::Acquired, Until::TimedOut, Until::Notified];
        for (number, until) in all.into_iter().chain(events.into_iter().flatten()).enumerate() {
            assert_eq!((until.number(), Until::from_number(number)), (number, until));
        }
    }
}
