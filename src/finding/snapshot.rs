//! What the threads hold and wait for, at one moment.

use std::time::Duration;

use super::{LockInfo, Mode, OsThread, Site, ThreadInfo};

/// One thread: what it holds and waits for.
#[derive(Clone, Debug)]
pub(crate) struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// It has ended, and left behind what it holds.
    pub(crate) has_ended: bool,
    /// In the order of acquisition.
    pub(crate) held: Vec<HeldLock>,
    pub(crate) waiting: Option<(HeldLock, Until)>,
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

/// Why a thread waits: who keeps it waiting, who keeps that one, and so on to the end.
#[derive(Clone, Debug)]
pub(crate) struct WaitChain {
    /// Never empty. Each holder but the last, or else the thread that it joins, is the next one's waiter.
    pub(crate) links: Vec<WaitLink>,
    pub(crate) end: ChainEnd,
}

/// A thread that waits for a lock, and who holds it.
#[derive(Clone, Debug)]
pub(crate) struct WaitLink {
    pub(crate) waiter: ThreadInfo,
    pub(crate) wanted: HeldLock,
    /// The thread that holds it, and since where, if that is known.
    pub(crate) holder: Option<(ThreadInfo, Site)>,
    /// The thread whose end the holder waits for, as the system says.
    pub(crate) joined: Option<ThreadInfo>,
}

/// What stands at the end of a chain.
#[derive(Clone, Debug)]
pub(crate) enum ChainEnd {
    /// These threads wait for each other.
    Deadlock(Vec<ThreadInfo>),
    /// The last holder waits for no lock. What it does, if the system tells.
    Holder(Option<OsThread>),
    /// The last holder joins a thread that waits for no lock, or that the chain has led through. What
    /// that does, if the system tells.
    Joined(Option<OsThread>),
    /// The last holder waits to be notified.
    Notification,
    /// The last holder has ended.
    Ended,
    /// The holder of the last lock is unknown.
    Nobody,
}
