//! What the threads hold and wait for, at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, Site, ThreadInfo};

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

/// How long a thread waits for a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Until {
    /// Until it has the lock.
    Acquired,
    /// Until it has the lock, or loses patience.
    TimedOut,
    /// Until it is notified, or loses patience; and then until it has the lock.
    Notified,
}

impl Until {
    pub(crate) const ALL: [Self; 3] = [Self::Acquired, Self::TimedOut, Self::Notified];
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
    /// A thread that waits to be notified.
    Notification(ThreadInfo),
    /// A thread that ended.
    Ended(ThreadInfo),
    /// Nobody is known to hold the lock.
    Nobody,
}
