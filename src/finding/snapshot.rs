//! What the threads hold and wait for, at one moment.

use super::{LockInfo, Mode, Site, ThreadInfo};

/// One thread that holds or waits for something.
#[derive(Clone, Debug)]
pub(crate) struct ThreadSnapshot {
    pub(crate) thread: ThreadInfo,
    /// In the order of acquisition.
    pub(crate) held: Vec<HeldLock>,
    pub(crate) waiting: Option<Waiting>,
}

/// A lock that is held.
#[derive(Clone, Debug)]
pub(crate) struct HeldLock {
    pub(crate) lock: LockInfo,
    pub(crate) mode: Mode,
    pub(crate) since: Site,
}

/// What a thread waits for.
#[derive(Clone, Debug)]
pub(crate) enum Waiting {
    /// Somebody else holds the lock.
    Lock(HeldLock),
    /// To be notified; then it takes this mutex back.
    Notification(HeldLock),
}
