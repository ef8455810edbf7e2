//! Tasks that a thread blocks on.
//!
//! `block_on` polls a future in the calling thread and returns once it is ready. So the future is
//! part of the thread and uses the thread's own context: the thread's locks are held while the
//! future waits for others, and cannot be released before it is ready. Its wakers and its lock
//! operations are those of a task.

use std::sync::Arc;

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::Task;
use crate::validator::{Context, Entry, Tag, ThreadState};

/// A task that a thread blocks on.
struct Block {
    task: Arc<Task>,
    /// What the thread held before it.
    outer: SmallVec<[Tag; 2]>,
}

/// The tasks that one thread blocks on, the innermost last.
pub(in crate::validator) struct BlockedOn(Mutex<SmallVec<[Block; 1]>>);

impl BlockedOn {
    pub(in crate::validator) fn new() -> Self {
        Self(Mutex::new(SmallVec::new()))
    }

    /// Called when the thread, which holds these locks, polls a task for the first time. For the
    /// thread itself.
    fn begin(&self, task: &Arc<Task>, held: impl Iterator<Item = Entry>) {
        let outer = held.map(|it| it.tag).collect();
        self.0.lock().push(Block { task: Arc::clone(task), outer });
    }

    /// Called when the task has ended. For the thread itself.
    fn end(&self, task: &Arc<Task>) {
        let ended = {
            let mut blocks = self.0.lock();
            let at = blocks.iter().rposition(|it| Arc::ptr_eq(&it.task, task));
            at.map(|at| blocks.remove(at))
        };
        // The caller has the task as well, so nothing of the runtime is dropped with it.
        drop(ended);
    }

    /// Returns what the thread held before it began to poll this task. For the thread itself.
    fn outer(&self, task: &Arc<Task>) -> SmallVec<[Tag; 2]> {
        let blocks = self.0.lock();
        let block = blocks.iter().find(|it| Arc::ptr_eq(&it.task, task));
        block.map(|it| it.outer.clone()).unwrap_or_default()
    }

    /// Returns the outermost task that must end before the thread can release a lock. For any
    /// thread.
    pub(super) fn before_release_of(&self, tag: Tag) -> Option<Arc<Task>> {
        let blocks = self.0.lock();
        blocks.iter().find(|it| it.outer.contains(&tag)).map(|it| Arc::clone(&it.task))
    }

    /// Returns the lock around the tasks, for a fork.
    #[cfg(all(unix, not(loom)))]
    pub(in crate::validator) fn lock(&self) -> &dyn crate::fork_lock::ForkLock {
        &self.0
    }
}

/// Called when the calling thread is about to poll a task for the first time, and blocks until it
/// is ready.
pub(in crate::validator) fn begin(task: &Arc<Task>, context: &'static Context) {
    context.settle_released_elsewhere();
    let _inside = context.enter(ThreadState::InValidator);
    context.blocked_on().begin(task, context.held.iter());
}

/// Called when the task has ended and the thread continues.
pub(in crate::validator) fn end(task: &Arc<Task>, context: &'static Context) {
    let _inside = context.enter(ThreadState::InValidator);
    context.blocked_on().end(task);
}

/// Returns what a task itself holds, out of everything held in the context in which it is polled.
pub(super) fn own_holds(task: &Arc<Task>, context: &'static Context) -> SmallVec<[Entry; 4]> {
    let outer = match task.thread {
        Some(_) => context.blocked_on().outer(task),
        None => SmallVec::new(),
    };
    if outer.is_empty()
        && let Some(only) = context.held.only()
    {
        return SmallVec::from_slice(&[only]);
    }
    context.held.iter().filter(|it| !outer.contains(&it.tag)).collect()
}
