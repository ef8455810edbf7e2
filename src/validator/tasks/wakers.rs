//! The wakers that lockdep hands out: one that counts its clones, in a task's poll, and one for
//! each waiting lock operation.

use std::{
    mem::ManuallyDrop,
    ptr,
    sync::{Arc, atomic::Ordering::SeqCst},
    task::{RawWaker, RawWakerVTable, Waker},
};

use parking_lot::Mutex;

use super::{
    Task,
    operation::{Op, Wanted},
    task::TIMEOUT,
};
use crate::validator::context::current::inside;

/// Returns the waker of a task for one poll.
#[inline]
pub(super) fn of_poll(task: &Arc<Task>) -> ManuallyDrop<Waker> {
    // SAFETY: the functions of `POLLS` and `TASKS` take a pointer from an `Arc<Task>` that outlives
    // the waker: the caller has one during the poll, and each clone has its own.
    ManuallyDrop::new(unsafe { Waker::new(Arc::as_ptr(task).cast(), &POLLS) })
}

/// Returns `true` for the waker of a task's poll and for its clones.
pub(crate) fn is_of_task(waker: &Waker) -> bool {
    ptr::eq(waker.vtable(), &raw const POLLS) || ptr::eq(waker.vtable(), &raw const TASKS)
}

/// Returns the task that a waker wakes, if it is one of these.
pub(super) fn task_of(waker: &Waker) -> Option<Arc<Task>> {
    is_of_task(waker).then(|| {
        let task = waker.data().cast::<Task>();
        // SAFETY: see `of_poll`.
        unsafe {
            Arc::increment_strong_count(task);
            Arc::from_raw(task)
        }
    })
}

/// Returns a waker for a timer that only limits how long the task waits: when it fires, what is
/// waited for is only dropped. So the timer does not stand for a future that might hold a lock.
/// `None` if the given waker is not that of a task's poll.
#[must_use]
pub fn of_timeout(waker: &Waker) -> Option<ManuallyDrop<Waker>> {
    // SAFETY: as in `of_poll`. The given waker lives for as long as the caller uses this one.
    is_of_task(waker).then(|| ManuallyDrop::new(unsafe { Waker::new(waker.data(), &TIMEOUTS) }))
}

/// The table of the wakers of polls. It differs from that of their clones, so that
/// `Waker::will_wake` distinguishes them. Otherwise two branches of a task that call `yield_now`
/// would leave one clone, which tokio keeps for both.
static POLLS: RawWakerVTable =
    RawWakerVTable::new(clone_task, |_| unreachable!("it is only borrowed"), wake_by_ref, |_| {});

fn clone_task(task: *const ()) -> RawWaker {
    count_clone(task, 1);
    RawWaker::new(task, &TASKS)
}

/// The table of wakers whose data is an `Arc<Task>`.
static TASKS: RawWakerVTable = RawWakerVTable::new(
    clone_task,
    |task| wake_clone(task, 1),
    wake_by_ref,
    |task| drop_clone(task, 1),
);

/// The same, for timeouts.
static TIMEOUTS: RawWakerVTable = RawWakerVTable::new(
    |task| {
        count_clone(task, 1 + TIMEOUT);
        RawWaker::new(task, &TIMEOUTS)
    },
    |task| wake_clone(task, 1 + TIMEOUT),
    wake_by_ref,
    |task| drop_clone(task, 1 + TIMEOUT),
);

fn count_clone(task: *const (), one: u64) {
    let task = task.cast::<Task>();
    // SAFETY: see `of_poll`.
    unsafe {
        (*task).runtime.keep();
        (*task).live.fetch_add(one, SeqCst);
        Arc::increment_strong_count(task);
    }
}

fn wake_clone(task: *const (), one: u64) {
    // SAFETY: see `of_poll`. This is a clone, which ends here.
    let task = unsafe { Arc::from_raw(task.cast::<Task>()) };
    // In this order: a census that counts no waker sees that the task was woken, and the task,
    // which may be polled before this thread continues, does not count this waker.
    task.note_wake();
    task.live.fetch_sub(one, SeqCst);
    task.runtime.wake();
}

fn wake_by_ref(task: *const ()) {
    // SAFETY: see `of_poll`.
    unsafe { (*task.cast::<Task>()).wake() }
}

fn drop_clone(task: *const (), one: u64) {
    // SAFETY: see `of_poll`. This is a clone, which ends here.
    let task = unsafe { Arc::from_raw(task.cast::<Task>()) };
    task.live.fetch_sub(one, SeqCst);
}

/// Returns the waker of an operation for one poll.
pub(super) fn of_operation(operation: &Arc<Op>) -> ManuallyDrop<Waker> {
    // SAFETY: as in `of_poll`, with an `Arc<Op>`.
    ManuallyDrop::new(unsafe { Waker::new(Arc::as_ptr(operation).cast(), &OPERATIONS) })
}

/// The table of wakers whose data is an `Arc<Op>`.
static OPERATIONS: RawWakerVTable = RawWakerVTable::new(
    |operation| {
        // SAFETY: see `of_operation`.
        unsafe { Arc::increment_strong_count(operation.cast::<Op>()) };
        RawWaker::new(operation, &OPERATIONS)
    },
    // SAFETY: see `of_operation`. This is a clone, which ends here.
    |operation| unsafe { Arc::from_raw(operation.cast::<Op>()) }.wake(),
    // SAFETY: see `of_operation`.
    |operation| unsafe { ManuallyDrop::new(Arc::from_raw(operation.cast::<Op>())) }.wake(),
    // SAFETY: see `of_operation`. This is a clone, which ends here.
    |operation| drop(unsafe { Arc::from_raw(operation.cast::<Op>()) }),
);

/// The waker of an operation's first poll. Cloning it creates the operation: one that gets the lock
/// at once never needs any.
pub(super) struct Stub<'a> {
    waker: &'a Waker,
    wanted: Wanted,
    future: usize,
    operation: Mutex<Option<Arc<Op>>>,
}

impl<'a> Stub<'a> {
    pub(super) fn new(waker: &'a Waker, wanted: Wanted, future: usize) -> Self {
        Self { waker, wanted, future, operation: Mutex::new(None) }
    }

    pub(super) fn waker(&self) -> ManuallyDrop<Waker> {
        // SAFETY: the functions of `STUBS` take a pointer to a stub. Callers that poll with the
        // waker cannot use it for longer than this borrow, because they can only keep a clone.
        ManuallyDrop::new(unsafe { Waker::new(ptr::from_ref(self).cast(), &STUBS) })
    }

    pub(super) fn into_operation(self) -> Option<Arc<Op>> {
        self.operation.into_inner()
    }

    fn operation(&self) -> Arc<Op> {
        let known = self.operation.lock().clone();
        known.unwrap_or_else(|| {
            let new = inside(|| Op::new(self.wanted, self.future, self.waker));
            *self.operation.lock() = Some(Arc::clone(&new));
            new
        })
    }
}

/// The table of wakers whose data is a `Stub`.
static STUBS: RawWakerVTable = RawWakerVTable::new(
    |stub| {
        // SAFETY: see `Stub::waker`.
        let operation = unsafe { &*stub.cast::<Stub<'_>>() }.operation();
        RawWaker::new(Arc::into_raw(operation).cast(), &OPERATIONS)
    },
    |_| unreachable!("it is only borrowed"),
    // SAFETY: see `Stub::waker`.
    |stub| unsafe { &*stub.cast::<Stub<'_>>() }.waker.wake_by_ref(),
    |_| {},
);
