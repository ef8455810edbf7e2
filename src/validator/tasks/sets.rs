//! Sets of tasks that are polled within a poll of another task, such as tokio's `LocalSet`.
//!
//! While the thread polls a set, it acts for no known task, until it polls one of the set's tasks.
//! So a task that a library has put into the set is not taken for part of the outer task.
//!
//! The set keeps a clone of the outer task's waker for its own tasks. If the outer task waits for a
//! future that the set polls for it, as in `LocalSet::run_until`, progress of the set's tasks does
//! not complete that future. So the set gets the runtime's own waker, which is not counted, and the
//! future gets the counted one.

use std::{
    ptr::{self, NonNull},
    sync::Arc,
    task::{Context, Waker},
};

use super::{TASK, Task, polled, wakers};

/// The outer task, while a set is polled.
#[derive(Debug)]
pub struct Outer {
    task: Arc<Task>,
    has_uncounted_waker: bool,
}

/// The task for which the thread acts, until this is dropped.
struct ActsFor(Option<NonNull<Task>>);

impl ActsFor {
    fn new(task: Option<&Arc<Task>>) -> Self {
        Self(TASK.replace(task.map(|task| NonNull::from(&**task))))
    }
}

impl Drop for ActsFor {
    fn drop(&mut self) {
        TASK.set(self.0);
    }
}

/// Polls a set that the outer task waits for.
pub fn poll_set<R>(poll: impl FnOnce() -> R) -> R {
    let _no_task = ActsFor::new(None);
    poll()
}

/// Polls a set that polls a future for the outer task. Passes the outer task, if it is known.
pub fn poll_set_around<R>(
    cx: &mut Context<'_>,
    poll: impl FnOnce(&mut Context<'_>, Option<Outer>) -> R,
) -> R {
    let Some(task) = polled() else { return poll(cx, None) };
    let _no_task = ActsFor::new(None);
    let waker = runtimes_waker(&task, cx.waker());
    let outer = Some(Outer { task: Arc::clone(&task), has_uncounted_waker: waker.is_some() });
    match waker {
        Some(waker) => poll(&mut Context::from_waker(waker), outer),
        None => poll(cx, outer),
    }
}

impl Outer {
    /// Polls the future for the outer task.
    pub fn poll<R>(&self, cx: &mut Context<'_>, poll: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let _task = ActsFor::new(Some(&self.task));
        if self.has_uncounted_waker {
            poll(&mut Context::from_waker(&wakers::of_poll(&self.task)))
        } else {
            poll(cx)
        }
    }
}

/// Returns the runtime's waker of the polled task, if `waker` is the one that the task was polled
/// with.
fn runtimes_waker<'a>(task: &'a Arc<Task>, waker: &Waker) -> Option<&'a Waker> {
    let own = wakers::of_poll(task);
    let is_own = waker.data() == own.data() && ptr::eq(waker.vtable(), own.vtable());
    // SAFETY: the waker was passed to the current poll.
    if is_own { unsafe { task.runtime.given() } } else { None }
}
