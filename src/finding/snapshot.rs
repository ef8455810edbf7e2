//! What the threads hold and wait for, at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, Site, ThreadInfo, WaitKind};

/// One thread that holds or waits for something.
#[derive(Clone, Debug)]
pub(crate) struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// It has ended, and left behind what it holds.
    pub(crate) has_ended: bool,
    /// In the order of acquisition.
    pub(crate) held: Vec<HeldLock>,
    pub(crate) waiting: Option<(HeldLock, Until)>,
}

/// A lock that is held, or waited for.
#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) lock: LockInfo,
    pub(crate) mode: Mode,
    pub(crate) since: Site,
    /// For how long, if that is known.
    pub(crate) age: Option<Duration>,
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

/// A wait that lasts too long.
#[derive(Clone, Debug)]
pub(crate) struct LongWait {
    pub(crate) thread: ThreadInfo,
    pub(crate) wanted: HeldLock,
    pub(crate) more_than: Duration,
    pub(crate) cause: Cause,
}

/// Why a thread waits: what stands at the end of the chain of threads that wait for each other.
#[derive(Clone, Debug)]
pub(crate) enum Cause {
    /// These threads wait for each other.
    Deadlock(Vec<ThreadInfo>),
    /// A thread that holds the lock and waits for none.
    Holder(ThreadInfo),
    /// A thread that holds the lock and waits for something that is no lock.
    Event(ThreadInfo, WaitKind),
    /// A thread that ended.
    Ended(ThreadInfo),
    /// Nobody is known to hold the lock.
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
