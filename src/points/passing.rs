//! Futures that pass points, and tasks that have parts.

use std::{
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use parking_lot::Mutex;

use super::{INSERTED, PART, Part, Stop, SyncEvent, direct, part};
use crate::{
    finding::Until,
    validator::{self, Entry, ThreadState},
};

/// A future on its way through a point: from its arrival until it has passed, or is dropped.
pub(crate) struct Passing {
    what: What,
    part: Option<Arc<dyn Part>>,
    stop: Option<Box<dyn Stop>>,
    /// It has come to its wait for the lock.
    waits: bool,
}

/// What it came for.
enum What {
    Point(Box<str>),
    Acquire(Entry),
}

impl What {
    fn passage(&self) -> SyncEvent<'_> {
        match self {
            Self::Point(name) => SyncEvent::Point(name),
            Self::Acquire(wanted) => SyncEvent::Acquire(*wanted),
        }
    }
}

impl Passing {
    /// The calling future comes to an `async_point!`. Returns `None` if it has nothing to do there.
    #[cold]
    pub(crate) fn point(name: &str) -> Option<Box<Self>> {
        Self::begin(What::Point(name.into()))
    }

    /// The calling future is about to acquire a lock. Returns `None` if it has nothing to do there.
    #[cold]
    pub(crate) fn acquire(wanted: Entry) -> Option<Box<Self>> {
        let passing = Self::begin(What::Acquire(wanted));
        direct(passing.is_some());
        passing
    }

    fn begin(what: What) -> Option<Box<Self>> {
        let passage = what.passage();
        let is_inserted = INSERTED.is_set();
        if is_inserted && !thread::panicking() {
            INSERTED.with(|inserted| inserted.before(&passage));
        }
        let part = part();
        let stop = part.as_ref().and_then(|part| arrive(part, &passage));
        let is_concerned = is_inserted || part.is_some();
        is_concerned.then(|| Box::new(Self { what, part, stop, waits: false }))
    }

    /// Ready when the future may go on.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(stop) = &mut self.stop else { return Poll::Ready(()) };
        stop.suspension().suspend(cx.waker());
        if !validator::inside(|| stop.may_go_on()) {
            return Poll::Pending;
        }
        self.end_stop();
        if let (true, What::Acquire(wanted), Some(part)) = (self.waits, &self.what, &self.part) {
            validator::inside(|| part.passed(&SyncEvent::Wait(*wanted, Until::Acquired)));
        }
        Poll::Ready(())
    }

    /// The lock is not free, and the future waits for it.
    #[cold]
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        let What::Acquire(wanted) = self.what else { return };
        if self.waits {
            return;
        }
        self.waits = true;
        let passage = SyncEvent::Wait(wanted, Until::Acquired);
        inserted(|inserted| inserted.before(&passage));
        inserted(|inserted| inserted.after(&passage));
        if let Some(part) = &self.part {
            self.stop = arrive(part, &passage);
            if self.stop.is_none() {
                validator::inside(|| part.passed(&passage));
            }
        }
        // Hands over its waker if it is suspended here. Otherwise the lock wakes it.
        let _ = self.poll(cx);
    }

    /// The future has passed the point, and drops this.
    pub(crate) fn end(&mut self) {
        self.pass();
        inserted(|inserted| inserted.after(&self.what.passage()));
    }
}

impl Passing {
    fn pass(&mut self) {
        if let Some(part) = self.part.take() {
            validator::inside(|| part.passed(&self.what.passage()));
        }
    }

    fn end_stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.suspension().end();
            validator::inside(|| drop(stop));
        }
    }
}

fn inserted(run: impl FnOnce(&dyn super::Inserted)) {
    if INSERTED.is_set() && !thread::panicking() {
        INSERTED.with(|inserted| run(inserted));
    }
}

/// The calling future, which has this part, comes to a point. Returns what suspends it there.
fn arrive(part: &Arc<dyn Part>, passage: &SyncEvent<'_>) -> Option<Box<dyn Stop>> {
    validator::inside(|| {
        if thread::panicking() {
            part.arrives(passage, false);
            return None;
        }
        Arc::clone(part).arrives_in_future(passage)
    })
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.end_stop();
        self.pass();
    }
}

/// A task's part in a script, while the task is not polled.
pub(crate) type TaskPart = Mutex<Option<Arc<dyn Part>>>;

/// The calling thread's part, while a task's part replaces it.
pub(crate) struct SuspendedPart {
    part: Option<Arc<dyn Part>>,
}

/// The calling thread begins to act as a task: the task's part replaces the thread's.
#[cold]
pub(crate) fn begin_task(own: &TaskPart) -> SuspendedPart {
    let part = own.lock().take();
    if let Some(part) = &part {
        validator::inside(|| part.resumes());
    }
    let before = PART.try_with(|current| current.replace(part)).ok().flatten();
    direct(true);
    SuspendedPart { part: before }
}

/// The task that the calling thread polls is about to be at rest.
#[cold]
pub(crate) fn task_rests() {
    let part = PART.try_with(|part| part.borrow().clone()).ok().flatten();
    if let Some(part) = part {
        validator::inside(|| part.rests());
    }
}

/// The calling thread ceases to act as a task. The task keeps its part, unless its future is gone.
#[cold]
pub(crate) fn end_task(own: &TaskPart, is_over: bool, suspended: Option<SuspendedPart>) {
    if let Some(context) = validator::current_if_attached() {
        context.set(ThreadState::Directed, false);
        context.set(ThreadState::Confirming, false);
    }
    let before = suspended.and_then(|suspended| suspended.part);
    let part = PART.try_with(|current| current.replace(before)).ok().flatten();
    if !is_over {
        *own.lock() = part;
    } else if let Some(part) = part {
        // Outside the lock: the script learns from the drop that the task has ended.
        drop(part);
    }
}

/// Gives the task that the calling thread polls a part, for as long as it lives.
pub(crate) fn take_part(part: Arc<dyn Part>) {
    let before = PART.try_with(|current| current.replace(Some(part))).ok().flatten();
    direct(true);
    drop(before);
}
