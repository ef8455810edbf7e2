//! What tasks at rest hold and wait for: a glance, task by task.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Task,
    census::{self, Actor},
    hands::{self, Holder, Whereabouts},
    operation::{self, Op},
};
use crate::{
    finding::{LockUse, ThreadInfo, ThreadSnapshot, Until},
    validator::{
        Context, Entry,
        lock_id::LockId,
        monitor::{clock::Moment, snapshot::held_lock},
    },
};

/// One task.
pub(super) fn of(task: &Arc<Task>) -> ThreadSnapshot {
    let mut snapshot = without_holds(task);
    let holds = hands::all().into_iter().filter(|it| Arc::ptr_eq(&it.task, task));
    snapshot.held.extend(holds.map(|it| held(&it)));
    snapshot
}

/// All tasks that hold or wait for a lock, except for what a task holds while it is polled.
pub(in crate::validator) fn all() -> Vec<ThreadSnapshot> {
    let mut tasks = BTreeMap::new();
    let mut holders = hands::all();
    holders.sort_by_key(|it| it.entry.tag.lock());
    for holder in holders {
        let Holder { task, .. } = &holder;
        let snapshot = tasks.entry(task.number).or_insert_with(|| without_holds(task));
        snapshot.held.push(held(&holder));
    }
    for task in operation::all_waiting() {
        tasks.entry(task.number).or_insert_with(|| without_holds(&task));
    }
    tasks.into_values().collect()
}

impl Task {
    /// What it has waited for the longest, among the locks that its operations wait for.
    pub(in crate::validator) fn longest_wait(&self) -> Option<(Entry, Moment)> {
        let operations = self.operations.lock().clone();
        let waits = operations.iter().filter(|it| !it.is_granted());
        waits.map(|it| (it.wanted, it.since)).min_by_key(|(_, since)| since.0)
    }
}

/// How a task keeps others from a lock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::validator) enum Hold {
    /// It has a guard.
    Guard,
    /// It has acquired it by a guard that may have been sent elsewhere since.
    SentGuard,
    /// One of its operations was granted the lock, and has not been polled since.
    Grant,
}

/// A task at rest that keeps others from a lock in a mode that blocks.
pub(in crate::validator) fn holder_of(
    lock: LockId,
    blocks: impl Fn(&Entry) -> bool,
) -> Option<(Arc<Task>, Entry, Hold)> {
    let known = hands::of(lock);
    let holders = known.holders.iter().filter(|it| blocks(&it.entry));
    if let Some(holder) = holders.min_by_key(|it| it.whereabouts) {
        let is_sent = holder.whereabouts == Whereabouts::Unknown;
        let hold = if is_sent { Hold::SentGuard } else { Hold::Guard };
        return Some((Arc::clone(&holder.task), holder.entry, hold));
    }
    let granted = known.granted.iter().find(|it| blocks(&it.held()))?;
    Some((granted.task()?, granted.wanted, Hold::Grant))
}

/// The tasks and threads that wait for each other, if a task at rest is one of them.
pub(in crate::validator) fn circle_of(task: &Arc<Task>) -> Option<Vec<ThreadInfo>> {
    circle_through(Actor::Task(Arc::clone(task)))
}

/// The same for a thread, if there are tasks among them.
pub(in crate::validator) fn circle_of_thread(thread: &'static Context) -> Option<Vec<ThreadInfo>> {
    if operation::are_any_waiting() { circle_through(Actor::Thread(thread)) } else { None }
}

fn circle_through(actor: Actor) -> Option<Vec<ThreadInfo>> {
    let members = census::stuck_with(actor)?;
    if census::whereabouts(&members) >= Whereabouts::Free {
        return None;
    }
    let circle = census::describe(&members)?.cycle;
    Some(circle.into_iter().map(|edge| edge.thread).collect())
}

fn without_holds(task: &Task) -> ThreadSnapshot {
    let operations = task.operations.lock().clone();
    let (granted, waiting): (Vec<_>, Vec<_>) =
        operations.into_iter().partition(|it| it.is_granted());
    let lock = |it: &Arc<Op>| held_lock(&it.wanted, it.since);
    ThreadSnapshot {
        thread: task.info(),
        has_ended: task.has_ended(),
        held: Vec::new(),
        waiting: waiting.iter().map(|it| (lock(it), Until::Acquired)).collect(),
        granted: granted.iter().map(lock).collect(),
        os: None,
    }
}

/// A lock that a task holds. How long it is held is unknown of what the task keeps between two polls, since
/// that was put there after the last one.
fn held(holder: &Holder) -> LockUse {
    match holder.whereabouts {
        Whereabouts::Spawned | Whereabouts::Unknown => {
            LockUse { may_be_elsewhere: true, ..held_lock(&holder.entry, holder.since) }
        }
        Whereabouts::Task | Whereabouts::Box | Whereabouts::Free => {
            held_lock(&holder.entry, Moment::UNKNOWN)
        }
    }
}
