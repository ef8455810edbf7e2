//! Tasks that a thread blocks on.
//!
//! `block_on` polls a future in the calling thread and returns once it is ready. So the future is
//! part of the thread and uses the thread's own context: the thread's locks are held while the
//! future waits for others, and cannot be released before it is ready. Its wakers and its lock
//! operations are those of a task.

use std::sync::Arc;

use smallvec::SmallVec;

use super::{Task, resting::settle_released_elsewhere};
use crate::validator::context::{Context, State as ThreadState, held::Entry};

/// Called when the calling thread is about to poll a task for the first time, and blocks until it
/// is ready.
pub(in crate::validator) fn begin(task: &Arc<Task>, context: &'static Context) {
    settle_released_elsewhere(context);
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
