//! Snapshots of what tasks at rest hold and wait for. Tasks are read one by one, while they run.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    Task,
    census::{self, Actor},
    hands::{self, Holder, Whereabouts},
    operation::{self, Op},
};
use crate::{
    finding::{Detail, LockUse, Mode, Role, ThreadInfo, ThreadSnapshot, Until},
    validator::{
        clock::Moment,
        context::{Context, held::Entry},
        lock_id::LockId,
        thread_snapshot::held_lock,
    },
};

/// Describes one task.
pub(super) fn of(task: &Arc<Task>) -> ThreadSnapshot {
    let mut snapshot = without_holds(task);
    let holds = hands::all().into_iter().filter(|it| Arc::ptr_eq(&it.task, task));
    snapshot.held.extend(holds.map(|it| held(&it)));
    snapshot
}

/// Returns all tasks that hold or wait for a lock, without what a task holds while it is polled.
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
    /// Returns the longest wait among those of its operations that should be short. Many a program has more tasks than a
    /// semaphore has permits, and lets them wait.
    pub(in crate::validator) fn longest_wait(&self) -> Option<(Entry, Moment)> {
        let operations = self.operations.lock().clone();
        let is_for_pool =
            |it: &Op| it.wanted.kind().role == Role::Pool && it.wanted.tag.mode() == Mode::Shared;
        let waits = operations.iter().filter(|it| !it.is_granted() && !is_for_pool(it));
        waits.map(|it| (it.wanted, it.since)).min_by_key(|(_, since)| since.0)
    }
}

/// The way in which a task blocks others.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::validator) enum Hold {
    /// It has a guard.
    Guard,
    /// It has acquired the lock with a guard that may have been sent elsewhere since.
    SentGuard,
    /// One of its operations was granted the lock, and was not polled since.
    Grant,
}

/// Returns a task at rest that blocks others with this lock.
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

/// Returns the tasks and threads that wait for each other, if a task at rest is one of them.
pub(in crate::validator) fn wait_cycle_of(task: &Arc<Task>) -> Option<Vec<ThreadInfo>> {
    wait_cycle_through(Actor::Task(Arc::clone(task)))
}

/// As [`wait_cycle_of`], for a thread, if there are tasks among them.
pub(in crate::validator) fn wait_cycle_of_thread(
    thread: &'static Context,
) -> Option<Vec<ThreadInfo>> {
    if operation::are_any_waiting() { wait_cycle_through(Actor::Thread(thread)) } else { None }
}

fn wait_cycle_through(actor: Actor) -> Option<Vec<ThreadInfo>> {
    let members = census::stuck_with(actor)?;
    if census::whereabouts(&members) >= Whereabouts::Free {
        return None;
    }
    let found = census::describe(&members)?;
    // It may end.
    let is_of_pool = matches!(found.detail, Detail::Exhausted(_));
    (!is_of_pool).then(|| found.cycle.into_iter().map(|edge| edge.thread).collect())
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

/// Describes a lock that a task holds. The age of a hold between two polls is unknown, because it
/// was added there after the last poll.
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
