//! Futures that are suspended at a point, and the thread that wakes them.
//!
//! A controller decides under its own lock who goes on. Wakers are the runtime's code, which must
//! not run under that lock. So a helper thread calls them, and also wakes futures at their
//! deadlines. It ends when no future is suspended.

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::Waker,
    thread,
    time::Instant,
};

use parking_lot::{Condvar, Mutex};

use crate::validator::{self, tasks};

/// The suspension of one future, which lasts while this holds a waker.
pub(crate) struct Suspension {
    waker: Mutex<Option<Waker>>,
    /// `true` if the queue holds a deadline for this suspension.
    has_deadline: AtomicBool,
}

impl Suspension {
    /// Creates a suspension that [`resume`](Self::resume) ends.
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self { waker: Mutex::new(None), has_deadline: AtomicBool::new(false) })
    }

    /// Schedules a wake at this time, unless one is scheduled already.
    pub(crate) fn wake_at(self: &Arc<Self>, deadline: Instant) {
        if self.has_deadline.swap(true, Relaxed) {
            return;
        }
        let mut queue = QUEUE.lock();
        queue.deadlines.push((deadline, Arc::downgrade(self)));
        queue.start_thread();
    }

    /// Stores the waker of a future that is about to return `Pending`. Clones it, so no lock may be
    /// held.
    pub(super) fn suspend(&self, waker: &Waker) {
        let new = waker.clone();
        let before = self.waker.lock().replace(new);
        drop(before);
    }

    /// Drops the waker, since the future goes on. No lock may be held.
    pub(super) fn end(&self) {
        let waker = self.waker.lock().take();
        drop(waker);
    }

    /// Returns `true` if the waker belongs to a task, rather than to a combinator inside a task.
    pub(crate) fn wakes_task(&self) -> bool {
        self.waker.lock().as_ref().is_some_and(tasks::is_of_task)
    }

    /// Wakes the future, from the helper thread.
    pub(crate) fn resume(&self) {
        if let Some(waker) = self.waker.lock().take() {
            let mut queue = QUEUE.lock();
            queue.due.push(waker);
            queue.start_thread();
        }
    }
}

impl Drop for Suspension {
    fn drop(&mut self) {
        // Lets the helper thread end if no deadline is left.
        CHANGED.notify_one();
    }
}

static QUEUE: Mutex<Queue> =
    Mutex::new(Queue { due: Vec::new(), deadlines: Vec::new(), has_thread: false });
static CHANGED: Condvar = Condvar::new();

struct Queue {
    /// Wakers to call now.
    due: Vec<Waker>,
    deadlines: Vec<(Instant, Weak<Suspension>)>,
    has_thread: bool,
}

impl Queue {
    fn start_thread(&mut self) {
        if !mem::replace(&mut self.has_thread, true) {
            let thread = thread::Builder::new().name("lockdep-waker".into()).spawn(|| {
                validator::ignore_this_thread();
                wake_all();
            });
            thread.expect("failed to spawn thread");
        }
        CHANGED.notify_one();
    }

    /// Takes out the suspensions whose deadline has passed.
    fn take_late(&mut self, now: Instant) -> Vec<Arc<Suspension>> {
        let mut late = Vec::new();
        self.deadlines.retain(|(deadline, suspension)| match suspension.upgrade() {
            Some(suspension) if *deadline <= now => {
                suspension.has_deadline.store(false, Relaxed);
                late.push(suspension);
                false
            }
            suspension => suspension.is_some(),
        });
        late
    }
}

/// Wakes futures that are due, until none is suspended.
fn wake_all() {
    let mut queue = QUEUE.lock();
    loop {
        let due = mem::take(&mut queue.due);
        let late = queue.take_late(Instant::now());
        if due.is_empty() && late.is_empty() {
            let Some(next) = queue.deadlines.iter().map(|&(deadline, _)| deadline).min() else {
                queue.has_thread = false;
                return;
            };
            CHANGED.wait_until(&mut queue, next);
            continue;
        }
        drop(queue);
        let late = late.into_iter().filter_map(|suspension| suspension.waker.lock().take());
        for waker in due.into_iter().chain(late) {
            // A runtime's waker may panic, which must not end this thread.
            let _ = catch_unwind(AssertUnwindSafe(|| waker.wake()));
        }
        queue = QUEUE.lock();
    }
}
