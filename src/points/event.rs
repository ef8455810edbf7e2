//! What happens at a point.

use crate::{finding::Until, validator::Entry};

/// An event at a point: an action that a thread or task is about to take or has completed.
#[derive(Clone, Copy)]
pub(crate) enum SyncEvent<'a> {
    /// The thread reaches a `point!`.
    Point(&'a str),
    /// An acquisition, from before the request until the lock is acquired or the attempt abandoned.
    Acquire(Entry),
    /// The thread is about to block, on a lock held by another thread or for a notification.
    Wait(Entry, Until),
    /// A release, from before the unlock until other threads can take the lock.
    Release(Entry),
}
