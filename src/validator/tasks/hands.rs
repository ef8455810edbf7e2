//! The index of locks that tasks wait for: tasks at rest that hold them, guards with unknown
//! whereabouts, and operations that want them.
//!
//! What a task holds while it is polled is in the held set of its context instead.

use std::{collections::HashMap, sync::Arc};

use parking_lot::Mutex;
use rustc_hash::FxBuildHasher;
use smallvec::SmallVec;

use super::{Task, operation::Op};
use crate::validator::{
    clock::Moment,
    context::held::{Entry, Tag},
    lock_id::LockId,
};

/// A hold of a lock.
#[derive(Clone)]
pub(super) struct Holder {
    /// The task that acquired it.
    pub(super) task: Arc<Task>,
    pub(super) entry: Entry,
    pub(super) whereabouts: Whereabouts,
    /// When it was added here.
    pub(super) since: Moment,
}

/// The whereabouts of a guard or an operation, from most to least certain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub(super) enum Whereabouts {
    /// In the task that has it.
    Task,
    /// In a box, which the task may have given away. The task has spawned no other task since.
    Box,
    /// It borrows a lock that lives forever, so the task may have sent it away.
    Free,
    /// The task has spawned another one since, which may have it if the lock lives forever.
    Spawned,
    /// Unknown.
    Unknown,
}

impl Whereabouts {
    pub(super) fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Task,
            1 => Self::Box,
            2 => Self::Free,
            3 => Self::Spawned,
            _ => Self::Unknown,
        }
    }

    /// Returns `true` if it may have left the task, but most likely has not.
    pub(super) fn may_have_left(self) -> bool {
        matches!(self, Self::Free | Self::Spawned)
    }
}

impl Holder {
    /// Returns `true` if the task is at rest and [keeps](super::resting) the hold.
    pub(super) fn is_kept(&self) -> bool {
        self.whereabouts < Whereabouts::Spawned
    }
}

/// The holders and waiting operations of one lock.
#[derive(Clone, Default)]
pub(super) struct Hands {
    pub(super) holders: SmallVec<[Holder; 1]>,
    /// Operations that were granted the lock and not polled since.
    pub(super) granted: SmallVec<[Arc<Op>; 1]>,
    /// Operations that wait to write a lock with readers.
    pub(super) writers: SmallVec<[Arc<Op>; 1]>,
}

impl Hands {
    fn is_empty(&self) -> bool {
        self.holders.is_empty() && self.granted.is_empty() && self.writers.is_empty()
    }
}

type Shard = Mutex<HashMap<LockId, Hands, FxBuildHasher>>;

/// Enough shards that threads rarely contend for one.
static SHARDS: [Shard; 64] = [const { Mutex::new(HashMap::with_hasher(FxBuildHasher)) }; 64];

#[allow(clippy::cast_possible_truncation, reason = "the lower bits are what is wanted")]
fn shard(lock: LockId) -> &'static Shard {
    &SHARDS[lock as usize % SHARDS.len()]
}

/// Returns the locks of all shards, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    SHARDS.iter().map(|shard| shard as &dyn crate::fork_lock::ForkLock)
}

/// Changes the hands of a lock. The caller drops what `change` returns after the shard is unlocked,
/// because a task may be dropped with it, and the runtime's waker with that.
fn change<R>(lock: LockId, change: impl FnOnce(&mut Hands) -> R) -> R {
    let mut shard = shard(lock).lock();
    let hands = shard.entry(lock).or_default();
    let result = change(hands);
    if hands.is_empty() {
        shard.remove(&lock);
    }
    result
}

/// Adds a hold.
pub(super) fn hold(holder: Holder) {
    change(holder.entry.tag.lock(), |hands| hands.holders.push(holder));
}

/// Removes the hold of a task that continues. `None` if it was released meanwhile.
pub(super) fn take_back(task: &Arc<Task>, tag: Tag) -> Option<Holder> {
    change(tag.lock(), |hands| {
        let is_it =
            |it: &Holder| it.is_kept() && it.entry.tag == tag && Arc::ptr_eq(&it.task, task);
        let at = hands.holders.iter().position(is_it)?;
        Some(hands.holders.swap_remove(at))
    })
}

/// Removes a hold by its tag. Prefers loose holds, whose guards any other task or thread may have,
/// and among these those of `own`.
pub(super) fn release(tag: Tag, own: Option<u64>) -> Option<Holder> {
    change(tag.lock(), |hands| {
        let rank = |it: &Holder| (!it.is_kept(), Some(it.task.number) == own);
        let same = hands.holders.iter().enumerate().filter(|(_, it)| it.entry.tag == tag);
        let at = same.max_by_key(|(_, it)| rank(it)).map(|(at, _)| at)?;
        Some(hands.holders.swap_remove(at))
    })
}

/// Changes the mode of a hold whose guard has unknown whereabouts.
pub(super) fn turn(from: Tag, to: Tag) -> bool {
    change(from.lock(), |hands| {
        let is_it = |it: &&mut Holder| !it.is_kept() && it.entry.tag == from;
        let found = hands.holders.iter_mut().find(is_it);
        found.map(|holder| holder.entry.tag = to).is_some()
    })
}

/// Called when the lock is destroyed. All its guards were forgotten.
pub(in crate::validator) fn destroyed(lock: LockId) {
    let gone = shard(lock).lock().remove(&lock);
    drop(gone);
}

/// Called when an operation begins to wait to write a lock that has readers.
pub(super) fn queue_writer(operation: &Arc<Op>) {
    change(operation.lock(), |hands| hands.writers.push(Arc::clone(operation)));
}

/// Called when an operation was granted its lock. Does nothing if the operation is over, so that
/// the wake came too late.
pub(super) fn grant(operation: &Arc<Op>) {
    change(operation.lock(), |hands| {
        if operation.begin_grant() {
            hands.granted.push(Arc::clone(operation));
        }
    });
}

/// Called when an operation that was granted its lock is about to be polled.
pub(super) fn end_grant(operation: &Arc<Op>) {
    let gone = change(operation.lock(), |hands| {
        operation.forget_grant(false);
        remove(&mut hands.granted, operation)
    });
    drop(gone);
}

/// Called when an operation has its lock, or is dropped.
pub(super) fn end(operation: &Arc<Op>, is_writer: bool) {
    let gone = change(operation.lock(), |hands| {
        operation.forget_grant(true);
        let granted = remove(&mut hands.granted, operation);
        let queued = if is_writer { remove(&mut hands.writers, operation) } else { None };
        (granted, queued)
    });
    drop(gone);
}

fn remove(from: &mut SmallVec<[Arc<Op>; 1]>, operation: &Arc<Op>) -> Option<Arc<Op>> {
    let at = from.iter().position(|it| Arc::ptr_eq(it, operation))?;
    Some(from.swap_remove(at))
}

/// Returns `true` if a task that keeps a lock, or was granted it, satisfies `is_it`.
pub(super) fn any_task(lock: LockId, is_it: impl Fn(&Task) -> bool) -> bool {
    shard(lock).lock().get(&lock).is_some_and(|hands| {
        let is_granted = |it: &Arc<Op>| it.task().is_some_and(|task| is_it(&task));
        hands.holders.iter().any(|it| it.is_kept() && is_it(&it.task))
            || hands.granted.iter().any(is_granted)
    })
}

/// Returns `true` if a task that has acquired a lock before it came to rest satisfies `is_it`.
pub(super) fn any_holder(lock: LockId, is_it: impl Fn(&Task) -> bool) -> bool {
    let has_any = |hands: &Hands| hands.holders.iter().any(|it| is_it(&it.task));
    shard(lock).lock().get(&lock).is_some_and(has_any)
}

/// Returns the hands of a lock.
pub(super) fn of(lock: LockId) -> Hands {
    shard(lock).lock().get(&lock).cloned().unwrap_or_default()
}

/// Returns all holds.
pub(super) fn all() -> Vec<Holder> {
    let all = SHARDS.iter().flat_map(|shard| {
        let shard = shard.lock();
        shard.values().flat_map(|hands| &hands.holders).cloned().collect::<Vec<_>>()
    });
    all.collect()
}
