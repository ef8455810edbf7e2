//! Tasks: futures that a runtime polls, on any of its threads.
//!
//! A thread switches to another context while it polls a task. So everything that is tracked for a
//! thread is tracked for a task as well, and std's and parking_lot's locks are recorded for a task
//! without a change to their fast path. Between two polls, what the task holds is stored elsewhere
//! (`resting`): there are as many contexts as threads that poll, however many tasks there are.
//!
//! A task that a thread blocks on (`block_on`) is part of that thread and keeps the thread's
//! context.
//!
//! All that is needed from a runtime is its [root poll](super::root_poll::poll), in which it polls
//! the spawned future.
//!
//! **The census.** A task can only be woken through a clone of its waker. Clones are counted: each
//! root poll hands out a waker of lockdep, and each waiting lock operation has its own, whose wake
//! is the grant of the lock. If only its own lock operations can wake a task at rest, it never
//! continues if all of their locks are held by such tasks (`census`). Anything unknown, such as a
//! timer, a socket or a channel, has a clone of the waker: it can hide a deadlock, but never make
//! one up. Each deadlock must persist for some time (`standing`).
//!
//! What may have left the task is *loose*: an owned guard, a guard of a static lock, any guard once
//! the task has spawned another task, and an operation in a box. A deadlock through a guard that
//! may be anywhere is not reported, and such a guard adds no edge to the order. If the guard is
//! most likely still in its task, the deadlock is a warning.

#![allow(unsafe_code, reason = "wakers are made by hand, and the current task is a pointer")]

pub(super) mod block_on;
mod branches;
pub(super) mod census;
mod fixpoint;
mod hands;
#[cfg(all(test, loom))]
mod loom_models;
mod operation;
mod paths;
pub(super) mod resting;
mod runtime_waker;
mod sets;
mod snapshots;
mod stacks;
mod standing;
mod statics;
mod steps;
pub(super) mod task;
mod wakers;

use std::{
    cell::{Cell, RefCell},
    ptr::NonNull,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

pub(crate) use self::{
    branches::{Owing, is_alone, is_in_doubt, keep_path, suspend_doubtful},
    operation::{Operation, Wanted},
    paths::is_wanted as is_path_wanted,
    resting::{
        acquired_at, acquired_owned, acquired_to_send, all_held_loosely, change_mode, held_loosely,
    },
    wakers::is_of_task,
};
pub(super) use self::{
    census::closed_by_thread,
    hands::destroyed,
    operation::all_waiting,
    paths::forget_seen as reset,
    resting::{released_elsewhere, settle_released_elsewhere},
    snapshots::{Hold, all as snapshots, holder_of, wait_cycle_of, wait_cycle_of_thread},
};
pub use self::{
    sets::{Outer, poll_set, poll_set_around},
    standing::believe_at_once,
    task::Task,
    wakers::of_timeout,
};
use super::context::{
    Context, State,
    current::{current_if_attached, may_give_guards_away},
    registry,
    spawn_order::{Actor, Spawn},
};
use crate::finding::ScopeId;

thread_local! {
    /// The context in which this thread polls tasks, while it polls none.
    pub(super) static SPARE: Cell<Option<&'static Context>> = const { Cell::new(None) };
    /// The task that the thread polls.
    pub(super) static TASK: Cell<Option<NonNull<Task>>> = const { Cell::new(None) };
    /// How the [job] was spawned that the thread runs.
    static JOB: RefCell<Option<Arc<Spawn>>> = const { RefCell::new(None) };
}

/// Returns the task that the calling thread polls.
fn polled() -> Option<Arc<Task>> {
    // SAFETY: the task is being polled by a caller that has an `Arc` of it.
    TASK.get().map(|task| unsafe {
        Arc::increment_strong_count(task.as_ptr());
        Arc::from_raw(task.as_ptr())
    })
}

/// Calls a closure with the task that the calling thread polls, if any.
#[inline]
pub(super) fn with_polled<R>(look: impl FnOnce(&Task) -> R) -> Option<R> {
    // SAFETY: the task is being polled by a caller that has an `Arc` of it.
    TASK.get().map(|task| look(unsafe { task.as_ref() }))
}

/// Returns the task as which the calling thread acts, if that has its own part in scripts.
pub(crate) fn acted_as() -> Option<Arc<Task>> {
    polled().filter(|task| task.thread.is_none())
}

/// `true` once a lock was awaited outside of all known tasks.
static HAS_UNKNOWN: AtomicBool = AtomicBool::new(false);

/// Records that the future of a lock is polled in an unknown task.
#[cold]
pub(crate) fn note_unknown() {
    HAS_UNKNOWN.store(true, Relaxed);
}

/// Returns `true` if a lock was awaited in an unknown task.
pub fn has_unknown() -> bool {
    HAS_UNKNOWN.load(Relaxed)
}

/// Returns `true` if a future may acquire a lock without the runtime's knowledge, by their
/// addresses. The future must be part of the task that the calling thread polls.
#[inline]
pub(crate) fn may_acquire_at_once(future: usize, lock: usize) -> bool {
    let may = with_polled(|task| task.may_acquire_at_once(future)).unwrap_or(false);
    may && !statics::is_static(lock)
}

/// Returns `true` if the calling thread polls a known task.
#[inline]
#[must_use]
pub fn is_known() -> bool {
    TASK.get().is_some()
}

/// Returns the number of the task that the calling thread polls.
pub(crate) fn polled_number() -> Option<u64> {
    with_polled(|task| task.number)
}

/// Called when the polled task passes a closure to another thread. Guards of static locks may go
/// with it.
#[inline]
pub fn may_send_guards() {
    with_polled(resting::loosen_static);
}

/// Returns the calling thread, or the task that it polls, with how it was spawned.
pub(super) fn actor(context: &Context) -> Actor {
    let segment = context.segment();
    if context.is_of_task() {
        let spawn = with_polled(|task| task.spawn.clone()).flatten();
        return Actor { segment, is_task: true, spawn };
    }
    if let Ok(Some(spawn)) = JOB.try_with(|job| job.borrow().clone()) {
        return Actor { segment, is_task: true, spawn: Some(spawn) };
    }
    let spawn = context.exit().and_then(|exit| exit.spawn().cloned());
    Actor { segment, is_task: false, spawn }
}

/// Returns how the calling thread, or the task that it polls, is about to spawn another one.
pub(super) fn spawn(context: &'static Context) -> Option<Arc<Spawn>> {
    Spawn::by(|| {
        let _inside = context.enter(State::InValidator);
        actor(context)
    })
}

/// Wraps a closure that the calling thread, or the task that it polls, is about to pass to a thread
/// of a pool. Its guards may go with it.
pub fn job<R>(run: impl FnOnce() -> R) -> impl FnOnce() -> R {
    may_send_guards();
    may_give_guards_away(None);
    let spawn = current_if_attached().and_then(spawn);
    move || {
        let _job = spawn.map(Job::begin);
        run()
    }
}

/// The calling thread of a pool runs a job until this is dropped.
struct Job;

impl Job {
    fn begin(spawn: Arc<Spawn>) -> Self {
        let _ = JOB.try_with(|job| job.replace(Some(spawn)));
        Self
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        let _ = JOB.try_with(RefCell::take);
    }
}

/// Moves the polled task into a scope of [`testing`](crate::testing), or out of any.
pub(super) fn set_scope(scope: Option<ScopeId>) {
    with_polled(|task| task.set_scope(scope));
}

/// Called when the calling thread ends.
pub(super) fn thread_ends() {
    if let Some(spare) = SPARE.take() {
        registry::give_back(spare);
    }
}

/// Returns the locks around the state of tasks, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    let tables = standing::locks().chain(operation::locks()).chain(hands::locks());
    tables.chain([census::lock(), paths::lock()])
}
