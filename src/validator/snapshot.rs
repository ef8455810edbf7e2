//! What the threads hold and wait for: a glance, thread by thread.
//!
//! Runs [`Inside`](super::ThreadState::Inside), for the locks' names.

use super::{
    clock::Moment,
    context::Context,
    held::Entry,
    knowledge,
    leaks::{self, Leak},
    threads,
};
use crate::finding::{HeldLock, ThreadSnapshot};

/// Every thread that holds or waits for a lock, and those that ended with one.
pub(super) fn all() -> Vec<ThreadSnapshot> {
    let mut threads: Vec<_> = threads::all().map(of).chain(left_behind()).collect();
    threads.retain(|thread| !thread.held.is_empty() || thread.waiting.is_some());
    threads.sort_by_key(|thread| thread.thread.number);
    threads
}

/// One thread.
pub(super) fn of(context: &Context) -> ThreadSnapshot {
    let held = context.holds().into_iter().map(|(entry, since)| held_lock(&entry, since));
    let wait = context.waiting.read();
    ThreadSnapshot {
        thread: context.info(),
        has_ended: false,
        held: held.collect(),
        waiting: wait.map(|wait| (held_lock(&wait.wanted, wait.since), wait.until)),
    }
}

/// The threads that have ended, each as often as it left a lock.
fn left_behind() -> impl Iterator<Item = ThreadSnapshot> {
    leaks::all().into_iter().map(|Leak { held, thread }| ThreadSnapshot {
        thread,
        has_ended: true,
        held: vec![held_lock(&held, Moment::UNKNOWN)],
        waiting: None,
    })
}

/// A lock that is held, or waited for.
pub(super) fn held_lock(entry: &Entry, since: Moment) -> HeldLock {
    HeldLock {
        lock: knowledge::lock().lock_of(entry, entry.site),
        mode: entry.tag.mode(),
        since: entry.site.into(),
        age: since.age(),
    }
}
