//! A snapshot of what the threads and tasks hold and wait for. They are read one by one, while they
//! run.
//!
//! Runs [`InValidator`](crate::validator::ThreadState::InValidator), to look up the names of locks.

use rustc_hash::FxHashMap;

use crate::{
    finding::{OsThread, ThreadInfo, ThreadSnapshot, tell_apart},
    os_threads,
    validator::{
        clock::Moment,
        context::{
            leaks::{self, Leak},
            registry,
        },
        helpers, tasks,
        thread_snapshot::{self, held_lock},
    },
};

/// Returns every thread and task that holds or waits for a lock, and the threads that ended with
/// one. Tasks come last.
pub(in crate::validator) fn of_locks() -> Vec<ThreadSnapshot> {
    let mut all: Vec<_> = all_known().into_iter().map(|(it, _)| it).collect();
    all.retain(has_locks);
    tell_apart(all.iter_mut().map(|it| &mut it.thread));
    all
}

/// As [`of_locks`], with what the operating system says about them, followed by all its other
/// threads except the helpers and the calling thread.
pub(in crate::validator) fn all() -> Vec<ThreadSnapshot> {
    let mut os_threads = os_threads::look();
    let mut snapshots = Vec::new();
    let mut without_locks = Vec::new();
    for (mut thread, number) in all_known() {
        let known = os_threads.iter().position(|it| Some(it.id) == number);
        thread.os = known.map(|at| os_threads.remove(at));
        if has_locks(&thread) {
            snapshots.push(thread);
        } else if thread.os.is_some() {
            without_locks.push(thread);
        }
    }
    without_locks.extend(os_threads.into_iter().map(untracked_thread));
    let own = os_threads::own();
    let is_of_the_program = |thread: &ThreadSnapshot| {
        let id = thread.os.as_ref().map(|it| it.id);
        id != own && !id.is_some_and(helpers::is_one)
    };
    snapshots.extend(without_locks.into_iter().filter(is_of_the_program));
    tell_apart(snapshots.iter_mut().map(|it| &mut it.thread));
    snapshots
}

/// Returns every known thread and task, with the operating system's id of a thread.
fn all_known() -> Vec<(ThreadSnapshot, Option<u64>)> {
    let threads =
        registry::all().map(|context| (thread_snapshot::of(context), context.os_thread()));
    let mut all: Vec<_> = threads.chain(left_behind().map(|leak| (leak, None))).collect();
    add_tasks(&mut all);
    all.sort_by_key(|(it, _)| (it.thread.is_task(), it.thread.number));
    all
}

/// Adds what tasks hold and wait for. A task that is being polled is already there, with what it
/// holds.
fn add_tasks(all: &mut Vec<(ThreadSnapshot, Option<u64>)>) {
    let numbers = all.iter().enumerate().map(|(at, (it, _))| (it.thread.number, at));
    let known: FxHashMap<_, _> = numbers.collect();
    for task in tasks::snapshots() {
        match known.get(&task.thread.number) {
            Some(&at) => {
                let known = &mut all[at].0;
                known.held.extend(task.held);
                known.waiting.extend(task.waiting);
                known.granted.extend(task.granted);
            }
            None => all.push((task, None)),
        }
    }
}

fn has_locks(thread: &ThreadSnapshot) -> bool {
    !(thread.held.is_empty() && thread.waiting.is_empty() && thread.granted.is_empty())
}

/// Describes a thread that has never taken a checked lock.
fn untracked_thread(thread: OsThread) -> ThreadSnapshot {
    let is_main = thread.id == u64::from(std::process::id());
    let name = if is_main { "main" } else { &thread.name };
    ThreadSnapshot {
        thread: ThreadInfo { name: Some(name.into()), ..ThreadInfo::default() },
        has_ended: false,
        held: Vec::new(),
        waiting: Vec::new(),
        granted: Vec::new(),
        os: Some(thread),
    }
}

/// Returns the threads that have ended, once for each lock that they left held.
fn left_behind() -> impl Iterator<Item = ThreadSnapshot> {
    leaks::all().into_iter().map(|Leak { held, thread }| ThreadSnapshot {
        thread,
        has_ended: true,
        held: vec![held_lock(&held, Moment::UNKNOWN)],
        waiting: Vec::new(),
        granted: Vec::new(),
        os: None,
    })
}
