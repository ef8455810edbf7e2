//! The root poll: a thread acts as a task while it polls the task or drops its future.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    ptr::{self, NonNull},
    sync::{Arc, atomic::Ordering::Relaxed},
    task::Poll,
};

use crate::{
    points,
    validator::{
        attach::current,
        context::{
            Context, State as ThreadState,
            current::{act_in, may_give_guards_away},
            registry,
        },
        found::submit,
        tasks::{self, SPARE, TASK, Task, block_on, census, resting, task::TIMEOUT},
    },
};

impl Task {
    /// Creates a task that is about to be spawned at a location in the program, with a future of
    /// this many bytes.
    ///
    /// Guards of the calling task may move into it.
    #[must_use]
    pub fn new(spawned_at: &'static Location<'static>, size: usize) -> Arc<Self> {
        tasks::with_polled(resting::loosen);
        let context = current();
        let mut task = Self::with_thread(context, None, spawned_at, size);
        task.spawn = context.and_then(tasks::spawn);
        may_give_guards_away(None);
        Arc::new(task)
    }

    /// Creates a task for a future of this many bytes inside an unknown task, which may drop it at
    /// any time. So it is treated as if it were inside a timeout.
    #[must_use]
    pub fn within_unknown(named_at: &'static Location<'static>, size: usize) -> Arc<Self> {
        let task = Self::with_thread(current(), None, named_at, size);
        task.live.store(1 + TIMEOUT, Relaxed);
        Arc::new(task)
    }

    /// Creates a task that the calling thread is about to block on, at a location in the program,
    /// with a future of this many bytes. Reports name the thread instead.
    #[must_use]
    pub fn to_block_on(blocks_at: &'static Location<'static>, size: usize) -> Arc<Self> {
        let context = current();
        let thread = context.map(|context| Box::new(context.info()));
        Arc::new(Self::with_thread(context, thread, blocks_at, size))
    }
}

/// Polls a task, as a runtime polls the spawned future. The future is dropped once it is ready.
///
/// # Panics
///
/// If the future panics, and for a finding at [`Level::Deny`](crate::Level::Deny). The runtime
/// treats this as a panic of the task.
#[track_caller]
pub fn poll<F: Future>(
    task: &Arc<Task>,
    root: Pin<&mut Option<F>>,
    cx: &mut std::task::Context<'_>,
) -> Poll<F::Output> {
    let at = root.as_ref().get_ref().as_ref().map_or(0, |future| ptr::from_ref(future).addr());
    poll_at(task, root, at, cx)
}

/// As [`poll`], for a root that is a box. The future itself is at this address.
#[track_caller]
pub fn poll_at<F: Future>(
    task: &Arc<Task>,
    mut root: Pin<&mut Option<F>>,
    at: usize,
    cx: &mut std::task::Context<'_>,
) -> Poll<F::Output> {
    let entered = enter(task);
    let Some(future) = root.as_mut().as_pin_mut() else {
        panic!("`async fn` resumed after completion");
    };
    let waker = task.begin_poll(cx.waker(), at);
    task.root.store(ptr::from_ref(&entered).addr(), Relaxed);
    let is_reported = entered.report_verdict();
    let polled = future.poll(&mut std::task::Context::from_waker(&waker));
    match polled {
        Poll::Pending => entered.come_to_rest(is_reported),
        Poll::Ready(_) => {
            root.set(None);
            entered.end();
        }
    }
    polled
}

/// Runs a closure as the task, which is not being polled.
pub(crate) fn within(task: &Arc<Task>, body: impl FnOnce()) {
    let _entered = enter(task);
    body();
}

/// Drops the rest of a task's future.
pub fn end<F>(task: &Arc<Task>, mut root: Pin<&mut Option<F>>) {
    if task.has_ended() {
        return;
    }
    let entered = enter(task);
    task.begin_end();
    // The drop may panic.
    let ending = Ending(&entered);
    root.set(None);
    drop(ending);
}

/// Marks the future of a task as being dropped.
struct Ending<'a>(&'a Entered<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

/// The calling thread acts as a task until this is dropped, in its own context if it blocks on the
/// task.
struct Entered<'a> {
    task: &'a Arc<Task>,
    outer_task: Option<NonNull<Task>>,
    outer: Option<&'static Context>,
    /// `None` if nothing is checked.
    context: Option<&'static Context>,
    /// The thread's participant, while the task's replaces it. `None` if no controller is active.
    suspended: Option<points::SuspendedParticipant>,
}

/// Called when the calling thread is about to poll a task or to drop its future.
#[inline]
fn enter(task: &Arc<Task>) -> Entered<'_> {
    let Some(outer) = current() else {
        return Entered { task, outer_task: None, outer: None, context: None, suspended: None };
    };
    if task.thread.is_some() {
        return enter_blocking(task, outer);
    }
    let context = SPARE.take().unwrap_or_else(another);
    context.begin_task(task.number, task.spawned_at, task.scope());
    if task.has_kept.load(Relaxed) {
        resting::resume(task, context);
    }
    act_in(Some(context));
    let outer_task = TASK.replace(Some(NonNull::from(&**task)));
    let suspended = points::are_active().then(|| points::begin_task(task));
    Entered { task, outer_task, outer: Some(outer), context: Some(context), suspended }
}

#[cold]
fn another() -> &'static Context {
    let context = registry::take_up();
    context.begin_tracing();
    context
}

/// As `enter`, for a task that the thread blocks on.
#[cold]
fn enter_blocking<'a>(task: &'a Arc<Task>, own: &'static Context) -> Entered<'a> {
    if task.is_new() {
        block_on::begin(task, own);
    }
    if task.has_kept.load(Relaxed) {
        resting::resume(task, own);
    }
    let outer_task = TASK.replace(Some(NonNull::from(&**task)));
    // The task uses the thread's participant.
    Entered { task, outer_task, outer: Some(own), context: Some(own), suspended: None }
}

impl Entered<'_> {
    /// Reports a deadlock that was found while the task was at rest. Returns `true` if there was
    /// one and the task continues regardless.
    #[track_caller]
    #[inline]
    fn report_verdict(&self) -> bool {
        if self.task.has_verdict.load(Relaxed)
            && let Some(context) = self.context
            && let Some(verdict) = self.task.take_verdict()
        {
            submit(context, vec![verdict]);
            return true;
        }
        false
    }

    /// Called when the future is pending. `is_reported` is `true` for a task that was polled to
    /// report its deadlock and is still in it.
    #[track_caller]
    #[inline]
    fn come_to_rest(&self, is_reported: bool) {
        let Some(context) = self.context else { return };
        if self.suspended.is_some() {
            points::task_rests();
        }
        if !context.held.is_empty() {
            resting::come_to_rest(self.task, context);
        }
        if self.task.pending.load(Relaxed) > 0 {
            self.task.begin_rest();
            if !is_reported {
                census::look(self.task, context);
            }
        }
    }

    /// Called when the future is gone. What the task still holds was moved elsewhere, for example
    /// as its result, or will never be released.
    fn end(&self) {
        self.task.end();
        let Some(context) = self.context else { return };
        if self.task.thread.is_some() {
            // The thread may have its guards, as its result.
            block_on::end(self.task, context);
        } else if !context.held.is_empty() {
            resting::forget(context);
        }
    }
}

impl Drop for Entered<'_> {
    #[inline]
    fn drop(&mut self) {
        self.task.runtime.end_poll();
        let Some(context) = self.context else { return };
        let is_of_thread = self.task.thread.is_some();
        let may_hold = !context.held.is_empty() || context.has_released_elsewhere();
        if may_hold && !(is_of_thread && self.task.has_ended()) {
            resting::keep(self.task, context);
        }
        TASK.set(self.outer_task);
        if is_of_thread {
            return;
        }
        if self.suspended.is_some() || context.is(ThreadState::Directed) {
            points::end_task(self.task, self.task.has_ended(), self.suspended.take());
        }
        context.end_task();
        act_in(self.outer);
        if let Some(other) = SPARE.replace(Some(context)) {
            registry::give_back(other);
        }
    }
}
