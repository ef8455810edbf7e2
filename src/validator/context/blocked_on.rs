//! The tasks that a thread blocks on. A context knows of a task only that it is one.

use std::{any::Any, ptr, sync::Arc};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::held::{Entry, Tag};

/// A task that a thread blocks on.
struct Block {
    task: Arc<dyn Any + Send + Sync>,
    /// What the thread held before it.
    outer: SmallVec<[Tag; 2]>,
}

impl Block {
    fn is_on<T>(&self, task: &Arc<T>) -> bool {
        ptr::addr_eq(Arc::as_ptr(&self.task), Arc::as_ptr(task))
    }
}

/// The tasks that one thread blocks on, the innermost last.
pub(in crate::validator) struct BlockedOn(Mutex<SmallVec<[Block; 1]>>);

impl BlockedOn {
    pub(super) fn new() -> Self {
        Self(Mutex::new(SmallVec::new()))
    }

    /// Called when the thread, which holds these locks, polls a task for the first time. For the
    /// thread itself.
    pub(in crate::validator) fn begin<T: Any + Send + Sync>(
        &self,
        task: &Arc<T>,
        held: impl Iterator<Item = Entry>,
    ) {
        let outer = held.map(|it| it.tag).collect();
        let task = Arc::clone(task) as Arc<dyn Any + Send + Sync>;
        self.0.lock().push(Block { task, outer });
    }

    /// Called when the task has ended. For the thread itself.
    pub(in crate::validator) fn end<T>(&self, task: &Arc<T>) {
        let ended = {
            let mut blocks = self.0.lock();
            let at = blocks.iter().rposition(|it| it.is_on(task));
            at.map(|at| blocks.remove(at))
        };
        // The caller has the task as well, so nothing of the runtime is dropped with it.
        drop(ended);
    }

    /// Returns what the thread held before it began to poll this task. For the thread itself.
    pub(in crate::validator) fn outer<T>(&self, task: &Arc<T>) -> SmallVec<[Tag; 2]> {
        let blocks = self.0.lock();
        let block = blocks.iter().find(|it| it.is_on(task));
        block.map(|it| it.outer.clone()).unwrap_or_default()
    }

    /// Returns the outermost task that must end before the thread can release a lock. For any
    /// thread.
    pub(in crate::validator) fn before_release_of<T: Any + Send + Sync>(
        &self,
        tag: Tag,
    ) -> Option<Arc<T>> {
        let blocks = self.0.lock();
        let block = blocks.iter().find(|it| it.outer.contains(&tag))?;
        Arc::clone(&block.task).downcast().ok()
    }

    /// Returns the lock around the tasks, for a fork.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn lock(&self) -> &dyn crate::fork_lock::ForkLock {
        &self.0
    }
}
