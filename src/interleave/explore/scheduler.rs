//! One run: threads stop at each point, and the scheduler's thread releases one at a time.
//!
//! It does so once every thread that is not stopped sleeps, waiting for something unknown to the
//! scheduler, so that no other thread can reach a point. Thus the choice does not depend on which
//! thread was faster.

use std::{
    sync::Arc,
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{Order, SILENCE, Step, others::Others, pct::Priorities};
use crate::{
    finding::ScopeId,
    interleave::{point::describe, thread_group::ThreadGroup},
    os_threads,
    points::{self, Controller, Participant, SyncEvent},
    testing::ScopeHandle,
    validator::{self, Entry, LockId, tasks},
};

/// The delay between two looks at a thread that seems to sleep, because it may only be waiting for
/// a short lock.
const LOOK_AGAIN: Duration = Duration::from_micros(100);
/// After this many consecutive steps at one point a thread counts as spinning, if others could run:
/// a `try_lock` in a loop would keep the owner of the lock from releasing it.
const SPINS: u32 = 32;
/// The delay between two looks when all threads sleep or are blocked.
const IDLE: Duration = Duration::from_millis(1);

pub(super) struct Scheduler {
    state: Mutex<State>,
    /// Wakes the scheduler's thread.
    happened: Condvar,
    findings: ScopeHandle,
    family: ThreadGroup,
    deadline: Instant,
}

struct State {
    priorities: Priorities,
    /// Indexed as in `priorities`.
    threads: Vec<Thread>,
    /// Threads that have no index yet: it must not depend on the order of their arrival.
    newcomers: Vec<Thread>,
    order: Vec<Step>,
    /// The locks of the order. An unnamed lock is numbered by its index here, because the
    /// validator's numbers differ from run to run.
    locks: Vec<LockId>,
    /// How often in a row the last step was repeated.
    repeats: u32,
    /// Incremented at each event.
    version: u64,
    lets_all_go: bool,
    /// The test has ended.
    is_closed: bool,
}

struct Thread {
    key: u64,
    name: Box<str>,
    os: Option<u64>,
    at: Status,
    /// Notified when the thread may continue. One per thread: threads woken in vain would keep
    /// others waiting for our lock, and those would seem to sleep.
    go: Arc<Condvar>,
}

enum Status {
    /// Released, but not yet awake.
    Going,
    /// Runs, as far as is known.
    Running,
    /// Was seen asleep.
    Away,
    /// Stopped at a point.
    Stopped(Stop),
    /// Stopped because another thread holds the lock, until it is released.
    Blocked(LockId, Stop),
    Ended,
}

/// The point at which a thread is stopped.
#[derive(Clone, Default)]
struct Stop {
    point: String,
    lock: Option<LockId>,
}

impl Stop {
    fn at(event: &SyncEvent<'_>) -> Self {
        let lock = match event {
            SyncEvent::Acquire(entry) | SyncEvent::Wait(entry, _) | SyncEvent::Release(entry) => {
                Some(entry.tag.lock())
            }
            SyncEvent::Point(_) => None,
        };
        Self { point: describe(event), lock }
    }
}

/// The outcome of a run.
pub(super) struct Conducted {
    pub(super) order: Order,
    /// `false` if the run reached its timeout.
    pub(super) to_the_end: bool,
}

impl Scheduler {
    /// Starts the scheduler's thread, which controls the run up to the timeout.
    pub(super) fn start(
        priorities: Priorities,
        timeout: Duration,
        findings: ScopeHandle,
        family: ThreadGroup,
    ) -> (Arc<Self>, JoinHandle<()>) {
        let now = Instant::now();
        let scheduler = Arc::new(Self {
            state: Mutex::new(State {
                priorities,
                threads: Vec::new(),
                newcomers: Vec::new(),
                order: Vec::new(),
                locks: Vec::new(),
                repeats: 0,
                version: 0,
                lets_all_go: false,
                is_closed: false,
            }),
            happened: Condvar::new(),
            findings,
            family: family.clone(),
            // A timeout that the clock cannot represent means none.
            deadline: now.checked_add(timeout).unwrap_or(now + Duration::from_hours(24 * 365)),
        });
        let mut others = Others::new(family);
        let conducting = thread::Builder::new().name("lockdep-scheduler".into()).spawn({
            let scheduler = Arc::clone(&scheduler);
            move || {
                validator::ignore_this_thread();
                others.add_this_thread();
                scheduler.conduct(&mut others);
            }
        });
        (scheduler, conducting.expect("a thread can be started"))
    }

    /// Releases all threads and returns the order of points.
    pub(super) fn close(&self, conducting: JoinHandle<()>) -> Conducted {
        let to_the_end;
        {
            let mut state = self.state.lock();
            to_the_end = !state.lets_all_go;
            state.let_all_go();
            state.is_closed = true;
            state.version += 1;
        }
        self.happened.notify_all();
        // The thread runs no code of the program, so it does not panic.
        let _ = conducting.join();
        let order = Order(std::mem::take(&mut self.state.lock().order));
        Conducted { order, to_the_end }
    }

    fn conduct(&self, others: &mut Others) {
        loop {
            let version = {
                let mut state = self.state.lock();
                if state.lets_all_go || Instant::now() >= self.deadline {
                    state.let_all_go();
                    return;
                }
                state.version
            };
            // Without our lock: a thread that waits for it would seem to sleep.
            let rests = self.all_rest(others, version);
            let mut state = self.state.lock();
            if state.version != version {
                continue;
            }
            if !rests {
                self.happened.wait_for(&mut state, LOOK_AGAIN);
            } else if !state.let_one_go(others) {
                self.happened.wait_for(&mut state, IDLE);
                state.free_all_that_are_blocked(version);
            }
        }
    }

    /// Returns `true` if only threads that are stopped already can reach a point.
    fn all_rest(&self, others: &mut Others, version: u64) -> bool {
        let (moving, known) = {
            let state = self.state.lock();
            if state.threads.iter().any(|thread| matches!(thread.at, Status::Going)) {
                return false;
            }
            let all = || state.threads.iter().chain(&state.newcomers);
            let moving: Vec<_> = all()
                .filter(|thread| {
                    matches!(thread.at, Status::Running | Status::Away | Status::Ended)
                })
                .map(|thread| (thread.key, thread.os, matches!(thread.at, Status::Running)))
                .collect();
            (moving, all().filter_map(|thread| thread.os).collect::<Vec<_>>())
        };
        let newborn = others.newborn(&known).into_iter().map(|thread| (0, Some(thread), false));
        let all: Vec<_> = moving.into_iter().chain(newborn).collect();
        if !all.iter().all(|&(_, os, _)| os.is_none_or(rests)) {
            return false;
        }
        // Threads in an unknown state, or not seen asleep before.
        let new: Vec<_> = all.iter().filter(|(_, _, is_new)| *is_new).collect();
        if new.is_empty() {
            return true;
        }
        let is_known = new.iter().all(|(_, os, _)| os.is_some());
        thread::sleep(if is_known { LOOK_AGAIN } else { SILENCE });
        let mut state = self.state.lock();
        let still_rest =
            state.version == version && new.iter().all(|(_, os, _)| os.is_none_or(rests));
        if still_rest {
            for thread in
                state.threads.iter_mut().filter(|it| new.iter().any(|new| new.0 == it.key))
            {
                thread.at = Status::Away;
            }
        }
        still_rest
    }
}

/// Returns `true` if a thread sleeps or has exited.
fn rests(thread: u64) -> bool {
    os_threads::sleeps(thread) || !os_threads::is_there(thread)
}

impl State {
    /// Chooses a stopped thread and lets it make its step.
    fn let_one_go(&mut self, others: &Others) -> bool {
        // By the order in which they were started, not in which they arrived.
        self.newcomers.sort_by_key(|thread| others.age(thread.os));
        for mut thread in self.newcomers.drain(..) {
            if thread.name.is_empty() {
                thread.name = format!("thread {}", self.threads.len()).into();
            }
            self.priorities.add();
            self.threads.push(thread);
        }
        let is_stopped = |thread: &Thread| matches!(thread.at, Status::Stopped(_));
        let each = self.threads.iter().enumerate();
        let ready: Vec<_> = each.filter(|(_, it)| is_stopped(it)).map(|(at, _)| at).collect();
        let Some(chosen) = self.priorities.choose(&ready) else { return false };
        let thread = &mut self.threads[chosen];
        thread.go.notify_one();
        if let Status::Stopped(stop) = std::mem::replace(&mut thread.at, Status::Going) {
            let thread = thread.name.clone();
            let step = Step { thread, point: self.describe(&stop).into() };
            let is_repeated = self.order.last() == Some(&step);
            self.repeats = if is_repeated { self.repeats + 1 } else { 0 };
            self.order.push(step);
            if self.repeats >= SPINS {
                self.priorities.spins(chosen);
                self.repeats = 0;
            }
        }
        self.version += 1;
        true
    }

    /// Describes the point of a stop in words that are the same in each run.
    fn describe(&mut self, Stop { point, lock }: &Stop) -> String {
        let Some(lock) = lock else { return point.clone() };
        let known = self.locks.iter().position(|it| it == lock);
        let number = known.unwrap_or(self.locks.len());
        if known.is_none() {
            self.locks.push(*lock);
        }
        point.replace(&format!(" #{lock}"), &format!(" #{}", number + 1))
    }

    /// Ends the control: no thread stops any more.
    fn let_all_go(&mut self) {
        self.lets_all_go = true;
        for thread in self.threads.iter().chain(&self.newcomers) {
            thread.go.notify_one();
        }
    }

    /// Lets the threads that wait for a released lock retry.
    fn free(&mut self, is_free: impl Fn(LockId) -> bool) {
        for thread in &mut self.threads {
            if let Status::Blocked(lock, stop) = &mut thread.at
                && is_free(*lock)
            {
                thread.at = Status::Stopped(std::mem::take(stop));
            }
        }
    }

    /// Lets all blocked threads retry when none can continue: a thread outside the run may have
    /// released a lock.
    fn free_all_that_are_blocked(&mut self, version: u64) {
        if self.version == version {
            self.free(|_| true);
        }
    }

    fn thread(&mut self, key: u64) -> Option<&mut Thread> {
        self.threads.iter_mut().chain(&mut self.newcomers).find(|thread| thread.key == key)
    }
}

/// A thread of the run.
struct Player {
    scheduler: Arc<Scheduler>,
    key: u64,
    go: Arc<Condvar>,
    scope_before: Option<ScopeId>,
}

impl Player {
    /// Stops until it is this thread's turn. Returns `true` if the run was controlled until then.
    fn stop(&self, at: Status) -> bool {
        let Scheduler { state, happened, deadline, .. } = &*self.scheduler;
        let mut state = state.lock();
        if state.lets_all_go {
            return false;
        }
        state.version += 1;
        if let Some(thread) = state.thread(self.key) {
            thread.at = at;
        }
        happened.notify_all();
        let is_stopped = |state: &mut State| {
            !state.lets_all_go
                && state.thread(self.key).is_some_and(|it| !matches!(it.at, Status::Going))
        };
        while is_stopped(&mut state) {
            // In a forked process, there is no scheduler's thread.
            if self.go.wait_until(&mut state, *deadline).timed_out() {
                state.let_all_go();
            }
        }
        if let Some(thread) = state.thread(self.key) {
            thread.at = Status::Running;
        }
        state.version += 1;
        happened.notify_all();
        !state.lets_all_go
    }
}

impl Controller for Scheduler {
    fn cast(self: Arc<Self>) -> Option<Arc<dyn Participant>> {
        // The scheduler decides between threads; a task may run on any of them.
        if tasks::acted_as().is_some() || !self.family.has_this_thread() {
            return None;
        }
        let thread = thread::current();
        Some(self.role(thread.name().unwrap_or_default()))
    }

    fn role(self: Arc<Self>, name: &str) -> Arc<dyn Participant> {
        let scope_before = validator::set_scope(Some(self.findings.id()));
        let go = Arc::new(Condvar::new());
        let key = {
            let state = &mut self.state.lock();
            let key = (state.threads.len() + state.newcomers.len()) as u64;
            let os = os_threads::own();
            let name = name.into();
            let at = Status::Running;
            state.newcomers.push(Thread { key, name, os, at, go: Arc::clone(&go) });
            state.version += 1;
            key
        };
        Arc::new(Player { scheduler: self, key, go, scope_before })
    }

    fn is_for_all(&self) -> bool {
        true
    }

    fn takes_tasks(&self) -> bool {
        false
    }
}

impl Participant for Player {
    fn controller(&self) -> Arc<dyn Controller> {
        Arc::clone(&self.scheduler) as _
    }

    fn is_over(&self) -> bool {
        self.scheduler.state.lock().is_closed
    }

    fn arrives(&self, event: &SyncEvent<'_>, may_block: bool) {
        if may_block && matches!(event, SyncEvent::Point(_) | SyncEvent::Acquire(_)) {
            self.stop(Status::Stopped(Stop::at(event)));
        }
    }

    fn arrives_in_future(self: Arc<Self>, event: &SyncEvent<'_>) -> Option<Box<dyn points::Stop>> {
        self.arrives(event, true);
        None
    }

    fn passed(&self, event: &SyncEvent<'_>) {
        if let SyncEvent::Release(entry) = event {
            let lock = entry.tag.lock();
            {
                let mut state = self.scheduler.state.lock();
                state.free(|it| it == lock);
                state.version += 1;
            }
            if !thread::panicking() {
                self.stop(Status::Stopped(Stop::at(event)));
            }
        }
    }

    fn contended(&self, wanted: &Entry, try_again: &mut dyn FnMut() -> bool) -> bool {
        let stop = Stop::at(&SyncEvent::Acquire(*wanted));
        while self.stop(Status::Blocked(wanted.tag.lock(), stop.clone())) {
            if try_again() {
                return true;
            }
        }
        false
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        let mut state = self.scheduler.state.lock();
        state.version += 1;
        if let Some(thread) = state.thread(self.key) {
            thread.at = Status::Ended;
        }
        drop(state);
        self.scheduler.happened.notify_all();
        validator::set_scope(self.scope_before);
    }
}
