//! What the threads and tasks hold and wait for, at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, OsThread, Site, ThreadInfo, WaitKind};

/// What every thread and task holds and waits for: [`lockdep::held`](crate::held).
///
/// [`Display`](std::fmt::Display) is a table for people. It reads the source for the names of locks, which takes
/// milliseconds.
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
    /// The threads and tasks that hold or wait for a lock, or wait for a message, for space in a channel or at a
    /// barrier. On 64-bit Linux all other threads too. Empty in a build that is not checked.
    #[must_use]
    pub fn threads(&self) -> &[ThreadSnapshot] {
        &self.threads
    }
}

/// What one thread or task holds and waits for.
#[derive(Clone, Debug)]
pub struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// It has ended, and left behind what it holds.
    pub(crate) has_ended: bool,
    /// In the order of acquisition.
    pub(crate) held: Vec<LockUse>,
    /// At most one wait, if it is a thread. Each future of a task may have one.
    pub(crate) waiting: Vec<(LockUse, Until)>,
    /// Of a task: what its futures were granted, if they have not been polled since.
    pub(crate) granted: Vec<LockUse>,
    /// What the operating system says of it, if it was asked and knows.
    pub(crate) os: Option<OsThread>,
}

impl ThreadSnapshot {
    /// The thread or task.
    #[must_use]
    pub fn thread(&self) -> &ThreadInfo {
        &self.thread
    }

    /// Returns `true` if the thread has ended without releasing the locks that it holds.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// The locks that it holds, in the order of acquisition.
    #[must_use]
    pub fn held(&self) -> &[LockUse] {
        &self.held
    }

    /// The locks that it waits for, and the kind of wait if it waits for something that is no lock: the
    /// [lock](LockUse::lock) is the mutex that a condition variable's wait has released, or else the channel or
    /// barrier. A thread has at most one wait, a task one for each of its futures.
    pub fn waits(&self) -> impl Iterator<Item = (&LockUse, Option<WaitKind>)> {
        self.waiting.iter().map(|(wanted, until)| (wanted, until.event()))
    }

    /// The locks that the futures of a task were granted and have not noticed, because they were not polled since.
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
    /// For how long, if that is known.
    pub(crate) age: Option<Duration>,
    /// Its guard may have been sent to another task or thread.
    pub(crate) may_be_elsewhere: bool,
}

impl LockUse {
    /// The lock.
    #[must_use]
    pub fn lock(&self) -> &LockInfo {
        &self.lock
    }

    /// How it was or is to be acquired.
    #[must_use]
    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// Where it was acquired, or is waited for.
    #[must_use]
    pub fn since(&self) -> &Site {
        &self.since
    }

    /// For how long it has been held or waited for. Known while the [watchdog](crate::watchdog) runs, to the
    /// precision of its looks.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.age
    }

    /// Returns `true` if the guard may have been sent to another thread or task, which holds the lock then.
    #[must_use]
    pub fn may_be_elsewhere(&self) -> bool {
        self.may_be_elsewhere
    }
}

/// How long a thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it has the lock.
    Acquired,
    /// Until it has the lock, or times out.
    TimedOut,
    /// Until it is notified, or times out; and then until it has the lock.
    Notified,
    /// Until something happens that is no lock's release.
    Happened(WaitKind),
    /// The same, for some time at most.
    HappenedInTime(WaitKind),
}

impl Until {
    /// What is waited for, if that is no lock.
    pub(crate) fn event(self) -> Option<WaitKind> {
        match self {
            Self::Acquired | Self::TimedOut => None,
            Self::Notified => Some(WaitKind::Condvar),
            Self::Happened(kind) | Self::HappenedInTime(kind) => Some(kind),
        }
    }

    /// Returns a number for it, which [`from_number`](Self::from_number) turns back.
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

/// Why a thread or task waits: who keeps it waiting, who keeps that one, and so on to the end.
#[derive(Clone, Debug)]
pub(crate) struct WaitChain {
    /// Never empty. Each holder but the last, or else the thread that it joins, is the next one's waiter.
    pub(crate) links: Vec<WaitLink>,
    pub(crate) end: ChainEnd,
}

/// A thread or task that waits for a lock, and who holds it.
#[derive(Clone, Debug)]
pub(crate) struct WaitLink {
    pub(crate) waiter: ThreadInfo,
    pub(crate) wanted: LockUse,
    /// The thread or task that holds it, and since where, if that is known.
    pub(crate) holder: Option<(ThreadInfo, Site)>,
    /// A future of that task was granted the lock, which it requested there, and has not been polled since.
    pub(crate) is_granted: bool,
    /// The thread whose end the holder waits for, as the system says.
    pub(crate) joined: Option<ThreadInfo>,
}

/// What stands at the end of a chain.
#[derive(Clone, Debug)]
pub(crate) enum ChainEnd {
    /// These threads and tasks wait for each other.
    Deadlock(Vec<ThreadInfo>),
    /// The last holder waits for no lock. What it does, if the system tells.
    Holder(Option<OsThread>),
    /// The last holder joins a thread that waits for no lock, or that the chain has led through. What
    /// that does, if the system tells.
    Joined(Option<OsThread>),
    /// The last holder's guard may have been sent to another task or thread.
    Sent,
    /// The last holder is a task that waits for no lock, but is not polled now.
    AtRest,
    /// The last holder waits for something that is no lock.
    Event(WaitKind),
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
