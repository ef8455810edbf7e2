//! What the threads and tasks hold and wait for, at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, OsThread, Site, ThreadInfo, WaitKind};

/// One thread or task: what it holds and waits for.
#[derive(Clone, Debug)]
pub(crate) struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// It has ended, and left behind what it holds.
    pub(crate) has_ended: bool,
    /// In the order of acquisition.
    pub(crate) held: Vec<HeldLock>,
    /// At most one wait, if it is a thread. Each future of a task may have one.
    pub(crate) waiting: Vec<(HeldLock, Until)>,
    /// Of a task: what its futures were granted, if they have not been polled since.
    pub(crate) granted: Vec<HeldLock>,
    /// What the operating system says of it, if it was asked and knows.
    pub(crate) os: Option<OsThread>,
}

/// A lock that is held, or waited for.
#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) lock: LockInfo,
    pub(crate) mode: Mode,
    pub(crate) since: Site,
    /// For how long, if that is known.
    pub(crate) age: Option<Duration>,
    /// Its guard may have been sent to another task or thread.
    pub(crate) may_be_elsewhere: bool,
}

/// How long a thread waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it has the lock.
    Acquired,
    /// Until it has the lock, or loses patience.
    TimedOut,
    /// Until it is notified, or loses patience; and then until it has the lock.
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
    pub(crate) wanted: HeldLock,
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
