//! Models of one thread that changes a task while another reads it, step by step as in the code of
//! the same names: the wakers of a task at rest against the [census](super::census), a late wake of
//! an [operation](super::operation), and holds that move between a context and the
//! [index](super::hands).

use std::sync::Arc;

use loom::{model, sync::Mutex, thread};

use crate::validator::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{Acquire, Relaxed, Release, SeqCst},
    fence,
};

const RESTING: u64 = 1;
const POLL: u64 = 4;

const NO: u64 = 0;
const UNDER_WAY: u64 = 1;
const GIVEN: u64 = 2;
const OVER: u64 = 3;

/// A task at rest that was polled once, with two operations. A stuck actor holds the lock of the
/// second.
struct Task {
    polls: AtomicU64,
    wakes: AtomicU64,
    wakes_seen: AtomicU64,
    live: AtomicU64,
    /// The grant of the first operation, and whether a stuck actor holds its lock.
    grant: AtomicU64,
    is_held: Mutex<bool>,
}

impl Task {
    fn new(live: u64, is_held: bool) -> Arc<Self> {
        Arc::new(Self {
            polls: AtomicU64::new(POLL | RESTING),
            wakes: AtomicU64::new(0),
            wakes_seen: AtomicU64::new(0),
            live: AtomicU64::new(live),
            grant: AtomicU64::new(NO),
            is_held: Mutex::new(is_held),
        })
    }

    fn begin_poll(&self) {
        let polls = self.polls.load(Relaxed);
        self.polls.store((polls & !RESTING) + POLL, Release);
        self.wakes_seen.store(self.wakes.load(Acquire), Release);
    }

    fn note_wake(&self) {
        self.wakes.fetch_add(1, SeqCst);
    }

    /// The runtime polls the task whenever it is woken.
    fn wake_noted(&self) {
        self.begin_poll();
    }

    fn clone_waker(&self) {
        self.live.fetch_add(1, SeqCst);
    }

    fn drop_waker(&self) {
        self.live.fetch_sub(1, SeqCst);
    }

    fn wake_clone(&self) {
        self.note_wake();
        self.live.fetch_sub(1, SeqCst);
        self.wake_noted();
    }

    /// The first operation's lock is released and granted to it.
    fn grant(&self) {
        *self.is_held.lock().unwrap() = false;
        let _ = self.grant.compare_exchange(NO, UNDER_WAY, SeqCst, SeqCst);
        self.note_wake();
        let _ = self.grant.compare_exchange(UNDER_WAY, GIVEN, SeqCst, SeqCst);
        self.wake_noted();
    }

    fn moment(&self) -> (u64, u64) {
        (self.polls.load(SeqCst), self.wakes.load(SeqCst))
    }

    /// As the census decides it.
    fn is_stuck(&self) -> bool {
        let moment = self.moment();
        let is_notified = || self.wakes.load(SeqCst) != self.wakes_seen.load(SeqCst);
        let is_at_rest = moment.0 & RESTING != 0 && !is_notified();
        if !is_at_rest || self.live.load(SeqCst) != 0 {
            return false;
        }
        let waits = match self.grant.load(SeqCst) {
            NO => *self.is_held.lock().unwrap(),
            UNDER_WAY => false,
            // Only the second operation waits.
            _ => true,
        };
        waits && self.live.load(SeqCst) == 0 && self.moment() == moment
    }
}

/// Another thread has a waker of the task, and clones, drops and uses it.
#[test]
fn loom_a_task_that_is_woken_is_not_stuck() {
    model(|| {
        let task = Task::new(1, true);
        let other = thread::spawn({
            let task = Arc::clone(&task);
            move || {
                task.clone_waker();
                task.drop_waker();
                task.wake_clone();
            }
        });
        assert!(!task.is_stuck());
        other.join().unwrap();
    });
}

/// A census that sees the lock of an operation released, or granted to it, also sees the task
/// woken.
#[test]
fn loom_a_task_that_is_granted_a_lock_is_not_stuck() {
    model(|| {
        let task = Task::new(0, true);
        // Otherwise it would be stuck, as far as the census can tell.
        *task.is_held.lock().unwrap() = false;
        let other = thread::spawn({
            let task = Arc::clone(&task);
            move || task.grant()
        });
        assert!(!task.is_stuck());
        other.join().unwrap();
    });
}

/// A lock grants an operation whose future has already found the lock free and is over. Nothing
/// stays in the table.
#[test]
fn loom_a_late_grant_leaves_nothing() {
    model(|| {
        // The grant, and how often the operation is in the table.
        let operation = Arc::new((AtomicU64::new(NO), Mutex::new(0)));
        let other = thread::spawn({
            let operation = Arc::clone(&operation);
            move || {
                let (grant, table) = &*operation;
                let mut table = table.lock().unwrap();
                if grant.compare_exchange(NO, UNDER_WAY, SeqCst, SeqCst).is_ok() {
                    *table += 1;
                }
            }
        });
        let (grant, table) = &*operation;
        // A poll in which it does not get the lock, and the end.
        if grant.load(SeqCst) != NO {
            let mut table = table.lock().unwrap();
            grant.store(NO, SeqCst);
            *table = 0;
        }
        if grant.compare_exchange(NO, OVER, SeqCst, SeqCst).is_err() {
            let mut table = table.lock().unwrap();
            grant.store(OVER, SeqCst);
            *table = 0;
        }
        other.join().unwrap();
        assert_eq!(*table.lock().unwrap(), 0);
    });
}

/// A hold of a task, in any of its places, which another thread releases.
struct Hold {
    /// In the held set of the context.
    in_context: AtomicBool,
    /// Recorded there as released elsewhere.
    noted: Mutex<bool>,
    in_index: Mutex<bool>,
    kept: Mutex<bool>,
}

impl Hold {
    /// The end of a poll.
    fn keep(&self) {
        self.settle();
        let mut kept = self.kept.lock().unwrap();
        if self.in_context.load(Relaxed) {
            *self.in_index.lock().unwrap() = true;
            *kept = true;
            self.in_context.store(false, Release);
        }
        fence(SeqCst);
        let was_noted = std::mem::take(&mut *self.noted.lock().unwrap());
        if was_noted && *kept && self.take_back() {
            *kept = false;
        }
    }

    /// The beginning of a poll.
    fn resume(&self) {
        let mut kept = self.kept.lock().unwrap();
        if std::mem::take(&mut *kept) {
            self.in_context.store(true, Release);
            if !self.take_back() {
                self.in_context.store(false, Release);
            }
        }
    }

    fn take_back(&self) -> bool {
        std::mem::take(&mut *self.in_index.lock().unwrap())
    }

    fn settle(&self) {
        if std::mem::take(&mut *self.noted.lock().unwrap()) {
            self.in_context.store(false, Release);
        }
    }

    /// Returns `false` if the hold was not found.
    fn release_elsewhere(&self) -> bool {
        (0..3).any(|_| self.release_from_index() || self.release_from_context())
    }

    fn release_from_index(&self) -> bool {
        let was_there = self.take_back();
        if was_there {
            *self.kept.lock().unwrap() = false;
        }
        was_there
    }

    fn release_from_context(&self) -> bool {
        if !self.in_context.load(Acquire) {
            return false;
        }
        *self.noted.lock().unwrap() = true;
        fence(SeqCst);
        self.in_context.load(Acquire) || !std::mem::take(&mut *self.noted.lock().unwrap())
    }
}

fn release_while(begin: fn(&Hold), is_in_context: bool, go_on: fn(&Hold)) {
    model(move || {
        let hold = Arc::new(Hold {
            in_context: AtomicBool::new(is_in_context),
            noted: Mutex::new(false),
            in_index: Mutex::new(!is_in_context),
            kept: Mutex::new(!is_in_context),
        });
        let other = thread::spawn({
            let hold = Arc::clone(&hold);
            move || hold.release_elsewhere()
        });
        begin(&hold);
        go_on(&hold);
        assert!(other.join().unwrap());
        hold.settle();
        assert!(!hold.in_context.load(Relaxed));
        assert!(!*hold.in_index.lock().unwrap() && !*hold.kept.lock().unwrap());
        assert!(!*hold.noted.lock().unwrap());
    });
}

#[test]
fn loom_a_hold_is_released_while_its_task_comes_to_rest() {
    release_while(Hold::keep, true, |_| {});
}

#[test]
fn loom_a_hold_is_released_while_its_task_goes_on() {
    release_while(Hold::resume, false, |_| {});
}

#[test]
fn loom_a_hold_is_released_while_its_task_is_polled_once() {
    release_while(Hold::resume, false, Hold::keep);
}
