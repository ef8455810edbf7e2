//! What the threads hold and wait for: a glance, thread by thread.
//!
//! Runs [`Inside`](super::ThreadState::Inside), for the locks' names.

use super::{
    clock::Moment,
    context::Context,
    held::Entry,
    helpers, knowledge,
    leaks::{self, Leak},
    threads,
};
use crate::{
    finding::{HeldLock, OsThread, ThreadInfo, ThreadSnapshot},
    os_threads,
};

/// Every thread that holds or waits for a lock, and those that ended with one.
pub(super) fn of_locks() -> Vec<ThreadSnapshot> {
    let mut threads: Vec<_> = threads::all().map(of).chain(left_behind()).collect();
    threads.retain(|thread| !thread.held.is_empty() || thread.waiting.is_some());
    threads.sort_by_key(|thread| thread.thread.number);
    threads
}

/// The same, with what the operating system says of them, followed by all its other threads except the
/// helpers and the calling one.
pub(super) fn all() -> Vec<ThreadSnapshot> {
    let mut os_threads = os_threads::look();
    let numbered = threads::all().map(|context| (of(context), context.os_thread()));
    let mut threads: Vec<_> = numbered.chain(left_behind().map(|leak| (leak, None))).collect();
    threads.sort_by_key(|(thread, _)| thread.thread.number);
    let mut snapshots = Vec::new();
    let mut without_locks = Vec::new();
    for (mut thread, number) in threads {
        let known = os_threads.iter().position(|it| Some(it.id) == number);
        thread.os = known.map(|at| os_threads.remove(at));
        if !thread.held.is_empty() || thread.waiting.is_some() {
            snapshots.push(thread);
        } else if thread.os.is_some() {
            without_locks.push(thread);
        }
    }
    without_locks.extend(os_threads.into_iter().map(only_known_to_the_system));
    let own = os_threads::own();
    let is_of_the_program = |thread: &ThreadSnapshot| {
        let id = thread.os.as_ref().map(|it| it.id);
        id != own && !id.is_some_and(helpers::is_one)
    };
    snapshots.extend(without_locks.into_iter().filter(is_of_the_program));
    snapshots
}

/// A thread that has never taken a checked lock.
fn only_known_to_the_system(thread: OsThread) -> ThreadSnapshot {
    let is_main = thread.id == u64::from(std::process::id());
    let name = if is_main { "main" } else { &thread.name };
    ThreadSnapshot {
        thread: ThreadInfo { number: 0, name: Some(name.into()), scope: None },
        has_ended: false,
        held: Vec::new(),
        waiting: None,
        os: Some(thread),
    }
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
        os: None,
    }
}

/// The threads that have ended, each as often as it left a lock.
fn left_behind() -> impl Iterator<Item = ThreadSnapshot> {
    leaks::all().into_iter().map(|Leak { held, thread }| ThreadSnapshot {
        thread,
        has_ended: true,
        held: vec![held_lock(&held, Moment::UNKNOWN)],
        waiting: None,
        os: None,
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
