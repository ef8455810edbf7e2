//! A snapshot of what one thread holds and waits for, while it runs.
//!
//! Runs [`InValidator`](super::ThreadState::InValidator), to look up the names of locks.

use super::{
    clock::Moment,
    context::{Context, held::Entry},
    graph,
};
use crate::finding::{LockUse, ThreadSnapshot};

/// Describes a thread, or a task that is being polled.
pub(in crate::validator) fn of(context: &Context) -> ThreadSnapshot {
    let held = context.holds().into_iter().map(|(entry, since)| held_lock(&entry, since));
    let wait = context.waiting.read();
    let waiting = wait.map(|wait| (held_lock(&wait.wanted, wait.since), wait.until));
    ThreadSnapshot {
        thread: context.info(),
        has_ended: false,
        held: held.collect(),
        waiting: waiting.into_iter().collect(),
        granted: Vec::new(),
        os: None,
    }
}

/// Describes a lock that is held or waited for.
pub(in crate::validator) fn held_lock(entry: &Entry, since: Moment) -> LockUse {
    LockUse {
        lock: graph::lock().lock_of(entry, entry.site),
        mode: entry.tag.mode(),
        since: entry.site.into(),
        age: since.age(),
        may_be_elsewhere: false,
    }
}
