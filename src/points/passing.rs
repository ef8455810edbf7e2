//! Points in futures, and the participants of tasks.

use std::{
    sync::Arc,
    task::{Context, Poll},
    thread,
};

use parking_lot::Mutex;

use super::{INSERTED, PARTICIPANT, Participant, Stop, SyncEvent, direct, participant};
use crate::{
    finding::Until,
    validator::{self, Entry, ThreadState, tasks::Task},
};

/// A future at a point, from its arrival until it has passed the point or is dropped.
pub(crate) struct Passing {
    what: What,
    participant: Option<Arc<dyn Participant>>,
    stop: Option<Box<dyn Stop>>,
    /// `true` once the future waits for the lock.
    waits: bool,
}

/// The event that the future is at a point for.
enum What {
    Point(Box<str>),
    Acquire(Entry),
}

impl What {
    fn event(&self) -> SyncEvent<'_> {
        match self {
            Self::Point(name) => SyncEvent::Point(name),
            Self::Acquire(wanted) => SyncEvent::Acquire(*wanted),
        }
    }
}

impl Passing {
    /// Called when the calling future reaches an `async_point!`. Returns `None` if it has nothing
    /// to do there.
    #[cold]
    pub(crate) fn point(name: &str) -> Option<Box<Self>> {
        Self::begin(What::Point(name.into()))
    }

    /// Called when the calling future is about to acquire a lock. Returns `None` if it has nothing
    /// to do there.
    #[cold]
    pub(crate) fn acquire(wanted: Entry) -> Option<Box<Self>> {
        let passing = Self::begin(What::Acquire(wanted));
        direct(passing.is_some());
        passing
    }

    fn begin(what: What) -> Option<Box<Self>> {
        let event = what.event();
        let is_inserted = INSERTED.is_set();
        if is_inserted && !thread::panicking() {
            INSERTED.with(|inserted| inserted.before(&event));
        }
        let participant = participant();
        let stop = participant.as_ref().and_then(|participant| arrive(participant, &event));
        let is_concerned = is_inserted || participant.is_some();
        is_concerned.then(|| Box::new(Self { what, participant, stop, waits: false }))
    }

    /// Returns `Ready` when the future may go on.
    pub(crate) fn poll(&mut self, cx: &Context<'_>) -> Poll<()> {
        let Some(stop) = &mut self.stop else { return Poll::Ready(()) };
        stop.suspension().suspend(cx.waker());
        if !validator::inside(|| stop.may_go_on()) {
            return Poll::Pending;
        }
        self.end_stop();
        if let (true, What::Acquire(wanted), Some(participant)) =
            (self.waits, &self.what, &self.participant)
        {
            validator::inside(|| participant.passed(&SyncEvent::Wait(*wanted, Until::Acquired)));
        }
        Poll::Ready(())
    }

    /// Called when the lock is not free and the future waits for it.
    #[cold]
    pub(crate) fn wait(&mut self, cx: &Context<'_>) {
        let What::Acquire(wanted) = self.what else { return };
        if self.waits {
            return;
        }
        self.waits = true;
        let event = SyncEvent::Wait(wanted, Until::Acquired);
        inserted(|inserted| inserted.before(&event));
        inserted(|inserted| inserted.after(&event));
        if let Some(participant) = &self.participant {
            self.stop = arrive(participant, &event);
            if self.stop.is_none() {
                validator::inside(|| participant.passed(&event));
            }
        }
        // Hands over its waker if it is suspended here. Otherwise the lock wakes it.
        let _ = self.poll(cx);
    }

    /// Called when the future has passed the point, before it drops this.
    pub(crate) fn end(&mut self) {
        self.pass();
        inserted(|inserted| inserted.after(&self.what.event()));
    }
}

impl Passing {
    fn pass(&mut self) {
        if let Some(participant) = self.participant.take() {
            validator::inside(|| participant.passed(&self.what.event()));
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

/// Called when the calling future, which has this participant, reaches a point. Returns what
/// suspends it there.
fn arrive(participant: &Arc<dyn Participant>, event: &SyncEvent<'_>) -> Option<Box<dyn Stop>> {
    validator::inside(|| {
        if thread::panicking() {
            participant.arrives(event, false);
            return None;
        }
        Arc::clone(participant).arrives_in_future(event)
    })
}

impl Drop for Passing {
    fn drop(&mut self) {
        self.end_stop();
        self.pass();
    }
}

/// A task's participant, while the task is not polled.
type TaskParticipant = Mutex<Option<Arc<dyn Participant>>>;

fn participant_of(task: &Task) -> &TaskParticipant {
    let new = || validator::inside(|| Box::new(TaskParticipant::default()) as _);
    task.participant.get_or_init(new).downcast_ref().expect("nothing else is stored there")
}

/// The calling thread's participant, while a task's participant replaces it.
pub(crate) struct SuspendedParticipant {
    participant: Option<Arc<dyn Participant>>,
}

/// Called when the calling thread begins to act as a task: the task's participant replaces the
/// thread's.
#[cold]
pub(crate) fn begin_task(task: &Task) -> SuspendedParticipant {
    let participant = participant_of(task).lock().take();
    if let Some(participant) = &participant {
        validator::inside(|| participant.resumes());
    }
    let before = PARTICIPANT.try_with(|current| current.replace(participant)).ok().flatten();
    direct(true);
    SuspendedParticipant { participant: before }
}

/// Called when the polled task is about to come to rest.
#[cold]
pub(crate) fn task_rests() {
    let participant =
        PARTICIPANT.try_with(|participant| participant.borrow().clone()).ok().flatten();
    if let Some(participant) = participant {
        validator::inside(|| participant.rests());
    }
}

/// Called when the calling thread ceases to act as a task. The task keeps its participant, unless
/// its future is gone.
#[cold]
pub(crate) fn end_task(task: &Task, is_over: bool, suspended: Option<SuspendedParticipant>) {
    if let Some(context) = validator::current_if_attached() {
        context.set(ThreadState::Directed, false);
        context.set(ThreadState::Confirming, false);
    }
    let before = suspended.and_then(|suspended| suspended.participant);
    let participant = PARTICIPANT.try_with(|current| current.replace(before)).ok().flatten();
    if !is_over {
        *participant_of(task).lock() = participant;
    } else if let Some(participant) = participant {
        // Outside the lock: the controller learns from the drop that the task has ended.
        drop(participant);
    }
}

/// Gives the polled task a participant, for the rest of its life.
pub(crate) fn set_participant(participant: Arc<dyn Participant>) {
    let before = PARTICIPANT.try_with(|current| current.replace(Some(participant))).ok().flatten();
    direct(true);
    drop(before);
}
