//! Points: the places where a thread or task can be stopped, or made to run inserted code. A point
//! is a `point!` or any operation on a checked lock.
//!
//! Owns the calling thread's [`Participant`] and the code inserted into it. Knows nothing of what a
//! [`Controller`] does: [`interleave`](crate::interleave) implements controllers, and the wrappers
//! report, through [`tracked`](crate::tracked), which point a thread is at.
//!
//! A thread without a participant pays nothing. A thread with one is in the special
//! [state](ThreadState::Directed), which keeps it off the fast path.
//!
//! A controller blocks a thread at a point. It [suspends](Suspension) a future at the points that
//! are awaited, because the tasks that it waits for may need the same thread. A task has its own
//! participant, which replaces the thread's while the task is polled.

mod event;
mod passing;
mod suspension;

use std::{
    any::Any,
    cell::RefCell,
    hint::black_box,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use parking_lot::Mutex;
use scoped_tls_hkt::scoped_thread_local;

pub(crate) use self::{
    event::SyncEvent,
    passing::{Passing, SuspendedParticipant, begin_task, end_task, set_participant, task_rests},
    suspension::Suspension,
};
use crate::validator::{self, Entry, ThreadState};

/// What one thread or task does at points, on behalf of its [`Controller`]. Methods are called with
/// no lock of lockdep held, in the state `InValidator`, so locks taken inside them are not checked.
pub(crate) trait Participant: Send + Sync {
    /// Returns the controller that it belongs to.
    fn controller(&self) -> Arc<dyn Controller>;

    /// Returns `true` if nothing is left to do, so that the thread may get another participant.
    fn is_over(&self) -> bool;

    /// Called when the thread has reached a point. Returns when it may go on; at once unless
    /// `may_block`, which is `false` during unwinding.
    fn arrives(&self, event: &SyncEvent<'_>, may_block: bool);

    /// Called when a future has reached a point. Returns what suspends it, or `None` if it goes on
    /// at once.
    fn arrives_in_future(self: Arc<Self>, event: &SyncEvent<'_>) -> Option<Box<dyn Stop>>;

    /// Called when the event at the point is complete, or was abandoned.
    fn passed(&self, event: &SyncEvent<'_>);

    /// Called when the task that has the participant is about to be polled.
    fn resumes(&self) {}

    /// Called when the task that has the participant was polled and is pending.
    fn rests(&self) {}

    /// Called when another thread holds the lock. Returns `true` if this took it by calling
    /// `try_again` whenever the lock may be free, `false` if the thread should block.
    fn contended(&self, wanted: &Entry, try_again: &mut dyn FnMut() -> bool) -> bool {
        let _ = (wanted, try_again);
        false
    }
}

/// A future that is stopped at a point, until this value is dropped.
pub(crate) trait Stop: Send + Sync {
    /// Returns the suspension that holds the future's waker.
    fn suspension(&self) -> &Suspension;

    /// Returns `true` if the future may go on. Its waker is in the suspension before this is
    /// called.
    fn may_go_on(&mut self) -> bool;
}

/// A schedule, an exploration or a confirmation: decides which threads and tasks go on at points.
pub(crate) trait Controller: Send + Sync {
    /// Returns a participant for the calling thread, which has none and reached a point on its own.
    /// `None` if the controller has no role for it.
    fn cast(self: Arc<Self>) -> Option<Arc<dyn Participant>>;

    /// Returns a participant for a thread that is assigned this role explicitly.
    fn role(self: Arc<Self>, name: &str) -> Arc<dyn Participant>;

    /// Announces a thread with this role, which is coming or already there, until
    /// [`expect_no_longer`](Self::expect_no_longer).
    fn expect(&self, _name: &str) {}

    fn expect_no_longer(&self, _name: &str) {}

    /// Returns `true` if tasks can have participants in it.
    fn takes_tasks(&self) -> bool {
        true
    }

    /// Returns `true` if it orders events of this role and the calling thread may bring in a task.
    fn admits(&self, _name: &str) -> bool {
        false
    }

    /// Returns `true` if it has a role of this name.
    fn has_role(&self, _name: &str) -> bool {
        false
    }

    /// Returns `true` if it takes in any thread, except those that another controller has a role
    /// for.
    fn is_for_all(&self) -> bool {
        false
    }
}

/// Code that was inserted into the calling thread.
pub(crate) trait Inserted {
    fn before(&self, event: &SyncEvent<'_>);
    fn after(&self, event: &SyncEvent<'_>);
}

scoped_thread_local!(static INSERTED: for<'a> &'a (dyn Inserted + 'a));

thread_local! {
    static PARTICIPANT: RefCell<Option<Arc<dyn Participant>>> = const { RefCell::new(None) };
    /// The locks that are being released, between the point before the unlock and the one after it.
    static RELEASING: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    /// A panic of inserted code, caught where it would leak an acquired lock. Resumed once a guard
    /// exists.
    static THROWN: RefCell<Option<Thrown>> = const { RefCell::new(None) };
}

type Thrown = Box<dyn Any + Send>;

/// The number of controllers, participants and insertions in the process. While it is 0, a point
/// costs one load.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// The controllers that threads can still join.
static OPEN: Mutex<Vec<Arc<dyn Controller>>> = Mutex::new(Vec::new());

/// Returns `true` if any thread may have something to do at a point.
#[inline]
pub(crate) fn are_active() -> bool {
    ACTIVE.load(Relaxed) != 0
}

/// Counts in [`ACTIVE`] until it is dropped.
struct Active;

impl Active {
    fn new() -> Self {
        ACTIVE.fetch_add(1, Relaxed);
        Self
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        ACTIVE.fetch_sub(1, Relaxed);
    }
}

/// An open controller, until this value is dropped.
pub(crate) struct Open {
    controller: Arc<dyn Controller>,
    _active: Active,
}

/// Opens a controller to threads that reach a point, take their first lock, or nest locks.
/// Controllers with a role for a thread's name are asked before those that take in every thread.
pub(crate) fn open(controller: Arc<dyn Controller>) -> Open {
    mark_allocator_locks();
    validator::inside(|| {
        let mut controllers = OPEN.lock();
        controllers.push(Arc::clone(&controller));
        controllers.sort_by_key(|controller| controller.is_for_all());
        validator::direct_new_threads(true);
    });
    // Makes existing threads leave the fast path at their next nested acquisition, where they look
    // again.
    validator::rejudge();
    Open { controller, _active: Active::new() }
}

impl Drop for Open {
    fn drop(&mut self) {
        validator::inside(|| {
            let mut controllers = OPEN.lock();
            controllers.retain(|controller| !Arc::ptr_eq(controller, &self.controller));
            validator::direct_new_threads(!controllers.is_empty());
        });
    }
}

/// Gives the calling thread a participant until it is dropped, then restores the previous one.
pub(crate) struct Participation {
    before: Option<Arc<dyn Participant>>,
    _active: Active,
}

/// Gives the calling thread a participant.
pub(crate) fn participate(participant: Arc<dyn Participant>) -> Participation {
    mark_allocator_locks();
    // While the thread-local is destroyed, the thread cannot have a participant.
    let mut participant = Some(participant);
    let before = PARTICIPANT.try_with(|own| own.replace(participant.take())).ok().flatten();
    direct(true);
    Participation { before, _active: Active::new() }
}

impl Drop for Participation {
    fn drop(&mut self) {
        let before = self.before.take();
        let is_directed = before.is_some() || INSERTED.is_set();
        let ended = PARTICIPANT.try_with(|participant| participant.replace(before));
        direct(is_directed);
        // Dropped outside the thread-local: the controller may learn of the participant's end from
        // this.
        drop(ended);
    }
}

/// Calls `body` with the code inserted into the calling thread, if any.
pub(crate) fn with_inserted<R>(body: impl FnOnce(Option<&dyn Inserted>) -> R) -> R {
    if INSERTED.is_set() { INSERTED.with(|inserted| body(Some(inserted))) } else { body(None) }
}

/// Runs `body` with `inserted` in place of the code inserted before.
pub(crate) fn insert<R>(inserted: &dyn Inserted, body: impl FnOnce() -> R) -> R {
    /// Leaves the directed state if neither inserted code nor a participant is left.
    struct Inside(Active);

    impl Drop for Inside {
        fn drop(&mut self) {
            direct(INSERTED.is_set() || controller().is_some());
        }
    }

    mark_allocator_locks();
    let result = {
        let _inside = Inside(Active::new());
        direct(true);
        INSERTED.set(inserted, body)
    };
    throw_again();
    result
}

/// Returns the controller of the calling thread's participant.
pub(crate) fn controller() -> Option<Arc<dyn Controller>> {
    PARTICIPANT
        .try_with(|participant| {
            participant.borrow().as_ref().map(|participant| participant.controller())
        })
        .ok()
        .flatten()
}

/// Returns the controller that gives a task a participant in this role: the calling thread's, or
/// else an open one.
pub(crate) fn controller_for_task(role: &str) -> Option<Arc<dyn Controller>> {
    let own = controller().filter(|controller| controller.takes_tasks());
    own.or_else(|| {
        if !are_active() {
            return None;
        }
        validator::inside(|| {
            let controllers = OPEN.lock().clone();
            controllers.into_iter().find(|controller| controller.admits(role))
        })
    })
}

/// Allocates once inside the validator. If the global allocator has a checked lock, this marks it
/// as the allocator's before a controller can stop a thread at it.
fn mark_allocator_locks() {
    let _ = validator::current();
    validator::inside(|| drop(black_box(Box::new(black_box(0_u8)))));
}

fn direct(on: bool) {
    if let Some(context) = validator::current() {
        context.set(ThreadState::Directed, on);
    }
}

/// Returns the calling thread's participant. Joins an open controller if it has none.
fn participant() -> Option<Arc<dyn Participant>> {
    // Accessing the thread-local fails while the thread is ending.
    let participant = PARTICIPANT.try_with(|participant| participant.borrow().clone()).ok()?;
    participant.filter(|participant| !participant.is_over()).or_else(join)
}

#[cold]
fn join() -> Option<Arc<dyn Participant>> {
    mark_allocator_locks();
    let participant = validator::inside(|| {
        let controllers = OPEN.lock().clone();
        controllers.into_iter().find_map(Controller::cast)
    });
    // Drops a participant that is over, which may notify others.
    drop(PARTICIPANT.replace(participant.clone()));
    let participant = participant?;
    direct(true);
    Some(participant)
}

/// Called when the calling thread reaches a `point!`.
#[cold]
pub(crate) fn point(name: &str) {
    come_by(&SyncEvent::Point(name));
}

/// Passes a point whose event takes no time.
pub(crate) fn come_by(event: &SyncEvent<'_>) {
    arrive(event);
    passed(event);
}

/// Called when the thread is about to do something. Returns `true` if it has inserted code or a
/// participant.
pub(crate) fn arrive(event: &SyncEvent<'_>) -> bool {
    let may_block = !thread::panicking();
    let is_inserted = INSERTED.is_set();
    if is_inserted && may_block {
        INSERTED.with(|inserted| inserted.before(event));
    }
    let participant = participant();
    if let Some(participant) = &participant {
        validator::inside(|| participant.arrives(event, may_block));
    }
    is_inserted || participant.is_some()
}

/// Called when the event is complete, or was abandoned.
pub(crate) fn passed(event: &SyncEvent<'_>) {
    if let Some(participant) = participant() {
        validator::inside(|| participant.passed(event));
    }
    if INSERTED.is_set() && !thread::panicking() {
        INSERTED.with(|inserted| inserted.after(event));
    }
}

/// Called when another thread holds the lock: see [`Participant::contended`].
pub(crate) fn contended(wanted: &Entry, try_again: &mut dyn FnMut() -> bool) -> bool {
    participant()
        .is_some_and(|participant| validator::inside(|| participant.contended(wanted, try_again)))
}

/// Called when a lock was acquired but has no guard yet. A panic of inserted code is caught and
/// resumed later.
pub(crate) fn acquired(wanted: Entry) {
    catch(|| passed(&SyncEvent::Acquire(wanted)));
}

/// Called when a lock is about to be released, whatever happens. A panic of inserted code is caught
/// and resumed later.
pub(crate) fn releasing(held: Entry) {
    catch(|| {
        arrive(&SyncEvent::Release(held));
    });
    let keep = || RELEASING.try_with(|releasing| releasing.borrow_mut().push(held));
    let _ = validator::inside(keep);
}

fn catch(body: impl FnOnce()) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(body)) {
        // Keeps the first of two panics: it is closer to the cause.
        let _ = THROWN.try_with(|first| {
            first.borrow_mut().get_or_insert(thrown);
        });
    }
}

/// Resumes a caught panic, now that guards exist that release what is held.
fn throw_again() {
    let thrown = THROWN.try_with(RefCell::take).ok().flatten();
    if let Some(thrown) = thrown
        && !thread::panicking()
    {
        resume_unwind(thrown);
    }
}

/// The end of a release, after the wrapped lock was unlocked. It is the last field of a guard, and
/// the last local of an unlocking function.
#[derive(Debug)]
#[must_use]
pub struct Released;

impl Drop for Released {
    #[cfg_attr(not(debug_assertions), inline)]
    fn drop(&mut self) {
        if are_active() {
            released();
        }
    }
}

/// Passes the release points of all locks that were just unlocked.
#[cold]
pub(crate) fn released() {
    // Already borrowed while `releasing` grows the vector, if the global allocator has a checked
    // lock.
    let last = |releasing: &RefCell<Vec<Entry>>| releasing.try_borrow_mut().ok()?.pop();
    let last = || RELEASING.try_with(last).ok().flatten();
    let Some(held) = last() else { return };
    passed(&SyncEvent::Release(held));
    while let Some(held) = last() {
        passed(&SyncEvent::Release(held));
    }
    throw_again();
}
