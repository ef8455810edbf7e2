//! The places at which a thread can be stopped, or made to run other code: `point!`s, and whatever
//! is done with a checked lock.
//!
//! Owns the calling thread's [`Participant`], which says what it does there, and code that was inserted. Does
//! not know what the [`Controller`]s behind the participants do: [`interleave`](crate::interleave) makes them.
//! The wrappers say, through [`tracked`](crate::tracked), where a thread is.
//!
//! A thread without a participant does not come here: one that has it is in a special
//! [state](ThreadState::Directed), and takes the slow path anyway.
//!
//! A controller blocks a thread at a point. It [suspends](Suspension) a future at the points that are awaited,
//! because the tasks that it waits for may need the same thread. A task has its own participant, which replaces
//! the thread's while the task is polled.

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
    passing::{
        Passing, SuspendedParticipant, TaskParticipant, begin_task, end_task, set_participant,
        task_rests,
    },
    suspension::Suspension,
};
use crate::{
    finding::Until,
    validator::{self, Entry, ThreadState},
};

/// What a thread is about to do, or has just done.
#[derive(Clone, Copy)]
pub(crate) enum SyncEvent<'a> {
    /// It comes to a `point!`.
    Point(&'a str),
    /// It takes a lock: from before it asks until it has it, or gives up.
    Acquire(Entry),
    /// It is about to block, since somebody else has the lock; or to wait for a notification.
    Wait(Entry, Until),
    /// It gives a lock back: from while it still has it until others can.
    Release(Entry),
}

/// What a thread or task does at points, as its [`Controller`] wants it. Called as our own code, whose
/// locks are not checked, with none of our locks held.
pub(crate) trait Participant: Send + Sync {
    /// Returns what it belongs to.
    fn controller(&self) -> Arc<dyn Controller>;

    /// Returns `true` if nothing is left to do, so that the thread may get another participant.
    fn is_over(&self) -> bool;

    /// The thread has come here, and goes on when this returns; at once if it may not block,
    /// as it is unwinding.
    fn arrives(&self, event: &SyncEvent<'_>, may_block: bool);

    /// A future has come here. Returns what suspends it, or `None` if it goes on at once.
    fn arrives_in_future(self: Arc<Self>, event: &SyncEvent<'_>) -> Option<Box<dyn Stop>>;

    /// What it came for is done, or was given up.
    fn passed(&self, event: &SyncEvent<'_>);

    /// The task that has the participant is about to be polled.
    fn resumes(&self) {}

    /// The task that has the participant was polled, and is pending.
    fn rests(&self) {}

    /// Somebody else has the lock. Whether this has taken it, by trying again whenever it may be
    /// free; or else the thread blocks.
    fn contended(&self, wanted: &Entry, try_again: &mut dyn FnMut() -> bool) -> bool {
        let _ = (wanted, try_again);
        false
    }
}

/// A future that is stopped at a point, until this is dropped.
pub(crate) trait Stop: Send + Sync {
    /// What wakes it.
    fn suspension(&self) -> &Suspension;

    /// Returns `true` if the future may go on. Its waker is in the suspension before this is called.
    fn may_go_on(&mut self) -> bool;
}

/// A schedule, an exploration or a confirmation, which decides who goes on at points.
pub(crate) trait Controller: Send + Sync {
    /// Returns a participant for the calling thread, which has none.
    fn cast(self: Arc<Self>) -> Option<Arc<dyn Participant>>;

    /// Returns a participant for a thread that is brought here.
    fn role(self: Arc<Self>, name: &str) -> Arc<dyn Participant>;

    /// A thread will be brought here, or is there, until [no longer](Self::expect_no_longer).
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

    /// Returns `true` if it knows a thread of this name.
    fn has_role(&self, _name: &str) -> bool {
        false
    }

    /// Returns `true` if it takes any thread, except those that another one knows by name.
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
    /// The locks that are just given back.
    static RELEASING: RefCell<Vec<Entry>> = const { RefCell::new(Vec::new()) };
    /// What inserted code has thrown where a panic would leave a lock behind that nobody gives back:
    /// to be thrown again.
    static THROWN: RefCell<Option<Thrown>> = const { RefCell::new(None) };
}

type Thrown = Box<dyn Any + Send>;

/// How many controllers, participants and insertions there are in the process: without any, a point is one
/// look at this.
static ACTIVE: AtomicUsize = AtomicUsize::new(0);

/// The controllers that look for threads.
static OPEN: Mutex<Vec<Arc<dyn Controller>>> = Mutex::new(Vec::new());

/// Returns `true` if any thread may have something to do at a point.
#[inline]
pub(crate) fn are_active() -> bool {
    ACTIVE.load(Relaxed) != 0
}

/// Counts in [`ACTIVE`], until this is dropped.
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

/// A controller looks for threads, until this is dropped.
pub(crate) struct Open {
    controller: Arc<dyn Controller>,
    _active: Active,
}

/// Opens a controller to threads that come to a point, take their first lock, or nest locks. Of several,
/// those go first that know a thread by name.
pub(crate) fn open(controller: Arc<dyn Controller>) -> Open {
    meet_the_allocator();
    validator::inside(|| {
        let mut controllers = OPEN.lock();
        controllers.push(Arc::clone(&controller));
        controllers.sort_by_key(|controller| controller.is_for_all());
        validator::direct_new_threads(true);
    });
    // Threads that are there already look again at the next lock that they take in another.
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

/// The calling thread has a participant, until this is dropped; then that which it had before.
pub(crate) struct Participation {
    before: Option<Arc<dyn Participant>>,
    _active: Active,
}

/// Gives the calling thread a participant.
pub(crate) fn participate(participant: Arc<dyn Participant>) -> Participation {
    meet_the_allocator();
    // Without a place to keep it, the thread is ending: it has no participant.
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
        // Its end may be heard of by others.
        drop(ended);
    }
}

/// Gives what was inserted into the calling thread so far.
pub(crate) fn with_inserted<R>(body: impl FnOnce(Option<&dyn Inserted>) -> R) -> R {
    if INSERTED.is_set() { INSERTED.with(|inserted| body(Some(inserted))) } else { body(None) }
}

/// Runs a closure in which code is inserted, in place of what was before.
pub(crate) fn insert<R>(inserted: &dyn Inserted, body: impl FnOnce() -> R) -> R {
    /// When code is no longer inserted, the thread may have nothing to do at points.
    struct Inside(Active);

    impl Drop for Inside {
        fn drop(&mut self) {
            direct(INSERTED.is_set() || controller().is_some());
        }
    }

    meet_the_allocator();
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

/// Returns the controller that gives a task a participant in this role: the calling thread's, or else an open one.
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

/// Allocates, as our own code: by that a global allocator's lock is told from the program's, before
/// a thread comes to it.
fn meet_the_allocator() {
    let _ = validator::current();
    validator::inside(|| drop(black_box(Box::new(black_box(0_u8)))));
}

fn direct(on: bool) {
    if let Some(context) = validator::current() {
        context.set(ThreadState::Directed, on);
    }
}

/// Returns the calling thread's participant. If it has none, it joins a controller that is open.
fn participant() -> Option<Arc<dyn Participant>> {
    // The thread may be ending.
    let participant = PARTICIPANT.try_with(|participant| participant.borrow().clone()).ok()?;
    participant.filter(|participant| !participant.is_over()).or_else(join)
}

#[cold]
fn join() -> Option<Arc<dyn Participant>> {
    meet_the_allocator();
    let participant = validator::inside(|| {
        let controllers = OPEN.lock().clone();
        controllers.into_iter().find_map(Controller::cast)
    });
    // One that is over is given up, by which others may hear of it.
    drop(PARTICIPANT.replace(participant.clone()));
    let participant = participant?;
    direct(true);
    Some(participant)
}

/// The thread comes to a `point!`.
#[cold]
pub(crate) fn point(name: &str) {
    come_by(&SyncEvent::Point(name));
}

/// The thread is at a point that takes no time.
pub(crate) fn come_by(event: &SyncEvent<'_>) {
    arrive(event);
    passed(event);
}

/// The thread is about to do something. Whether it has anything to do at points.
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

/// It is done, or was given up.
pub(crate) fn passed(event: &SyncEvent<'_>) {
    if let Some(participant) = participant() {
        validator::inside(|| participant.passed(event));
    }
    if INSERTED.is_set() && !thread::panicking() {
        INSERTED.with(|inserted| inserted.after(event));
    }
}

/// Somebody else has the lock: see [`Participant::contended`].
pub(crate) fn contended(wanted: &Entry, try_again: &mut dyn FnMut() -> bool) -> bool {
    participant()
        .is_some_and(|participant| validator::inside(|| participant.contended(wanted, try_again)))
}

/// A lock is acquired, but its guard not made yet: what inserted code throws is thrown later.
pub(crate) fn acquired(wanted: Entry) {
    catch(|| passed(&SyncEvent::Acquire(wanted)));
}

/// A lock is about to be given back, in any case: what inserted code throws is thrown later.
pub(crate) fn releasing(held: Entry) {
    catch(|| {
        arrive(&SyncEvent::Release(held));
    });
    let keep = || RELEASING.try_with(|releasing| releasing.borrow_mut().push(held));
    let _ = validator::inside(keep);
}

fn catch(body: impl FnOnce()) {
    if let Err(thrown) = catch_unwind(AssertUnwindSafe(body)) {
        // Of two, the first says more.
        let _ = THROWN.try_with(|first| {
            first.borrow_mut().get_or_insert(thrown);
        });
    }
}

/// Throws what was caught, now that guards are there that give back what is held.
fn throw_again() {
    let thrown = THROWN.try_with(RefCell::take).ok().flatten();
    if let Some(thrown) = thrown
        && !thread::panicking()
    {
        resume_unwind(thrown);
    }
}

/// The end of a release, once the wrapped lock is free: the last part of a guard, or of a
/// function that unlocks.
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

/// What was given back is free.
#[cold]
pub(crate) fn released() {
    // It is borrowed if room for it is allocated: by an allocator with a lock.
    let last = |releasing: &RefCell<Vec<Entry>>| releasing.try_borrow_mut().ok()?.pop();
    let last = || RELEASING.try_with(last).ok().flatten();
    let Some(held) = last() else { return };
    passed(&SyncEvent::Release(held));
    while let Some(held) = last() {
        passed(&SyncEvent::Release(held));
    }
    throw_again();
}
