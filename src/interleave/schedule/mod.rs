//! Schedules: orders of the points that threads pass.

mod failure;
mod plan;
mod player;
mod reserved;
mod role;
mod run;

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    time::Duration,
};

pub use self::{
    failure::ScheduleError,
    plan::{Event, at},
};
use self::{plan::Plan, run::Run};
use super::thread_group::ThreadGroup;
use crate::{points, validator};

/// The default timeout of a schedule.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Orders the points that threads pass.
///
/// A thread that reaches a point too early waits there; all others run freely. Events that are not
/// ordered happen in any order.
///
/// ```
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
/// use std::thread;
/// use lockdep::interleave::{Schedule, at, inside, point};
///
/// let visits = Arc::new(AtomicU64::new(0));
/// let visit = |visits: Arc<AtomicU64>| {
///     let seen = visits.load(Relaxed);
///     point!("seen");
///     visits.store(seen + 1, Relaxed);
///     point!("stored");
/// };
///
/// Schedule::new()
///     .order([at("first", "seen"), at("second", "seen")])
///     .order([at("second", "stored"), at("first", "stored")])
///     .run(|| {
///         let threads = ["first", "second"].map(|name| {
///             let visits = Arc::clone(&visits);
///             thread::spawn(inside(name, move || visit(visits)))
///         });
///         threads.map(|thread| thread.join().unwrap());
///     });
/// ```
///
/// # Threads
///
/// A thread is identified by the role in which it was [brought in](super::inside()), or else by its
/// name. By name, it comes in when it passes a [`point!`](super::point!), acquires its first lock,
/// or acquires a lock while it holds another; so a thread that existed before the schedule may be
/// missed at first. The thread that calls [`run`](Self::run) is in by its own name: `main`, or that
/// of the test.
///
/// A task is identified only by the role in which it was [brought in](super::inside_async).
///
/// Concurrent tests do not take each other's threads: schedules that have a thread of the same name
/// run one after the other, and on Linux no thread comes in by name that was
/// [started](super#whose-threads) elsewhere.
///
/// # In a build that is not checked
///
/// Nothing is ordered, and no event is missed.
#[derive(Debug)]
#[must_use = "it is followed by what `run` runs"]
pub struct Schedule {
    plan: Plan,
    timeout: Duration,
    yields_to_locks: bool,
}

impl Default for Schedule {
    fn default() -> Self {
        Self::new()
    }
}

impl Schedule {
    /// Returns a schedule without events.
    pub fn new() -> Self {
        Self { plan: Plan::default(), timeout: DEFAULT_TIMEOUT, yields_to_locks: false }
    }

    /// Orders these events: each one is passed before the next begins. Several calls make a partial
    /// order; equal events are the same event.
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::interleave::{Schedule, at, inside, point};
    /// Schedule::new()
    ///     .order([at("a", "ready"), at("c", "starts")])
    ///     .order([at("b", "ready"), at("c", "starts")]) // after both of them, in whichever order
    ///     .run(|| {
    ///         let c = thread::spawn(inside("c", || point!("starts")));
    ///         let ready = ["a", "b"].map(|name| thread::spawn(inside(name, || point!("ready"))));
    /// #       for thread in ready { thread.join().unwrap() }
    /// #       c.join().unwrap();
    ///     });
    /// ```
    pub fn order(mut self, events: impl IntoIterator<Item = Event>) -> Self {
        self.plan.order(events);
        self
    }

    /// Sets how long it may take until all events are passed; 5 seconds by default.
    ///
    /// ```
    /// # use std::{thread, time::Duration};
    /// # use lockdep::interleave::{Schedule, at, inside, point};
    /// let unfollowed = Schedule::new()
    ///     .order([at("nobody", "first"), at("worker", "second")])
    ///     .timeout(Duration::from_millis(50))
    ///     .try_run(|| thread::spawn(inside("worker", || point!("second"))).join());
    /// assert_eq!(unfollowed.is_err(), lockdep::ENABLED);
    /// ```
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Abandons the schedule without a failure if a thread that it waits for is blocked by a lock
    /// that a waiting thread holds; all threads then run freely. So a test that shows a race still
    /// passes, unchanged, once a lock prevents the race.
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::{interleave::{Schedule, at, inside, point}, sync::Mutex};
    /// let stock = Mutex::new(2);
    /// let buy = || {
    ///     let mut stock = stock.lock().unwrap(); // without it, both look before one takes
    ///     point!("looked");
    ///     point!("takes");
    ///     *stock -= 1;
    /// };
    /// let order = [at("one", "looked"), at("other", "looked"), at("one", "takes")];
    /// Schedule::new().order(order).yield_to_locks().run(|| thread::scope(|scope| {
    ///     scope.spawn(inside("one", buy));
    ///     scope.spawn(inside("other", buy));
    /// }));
    /// assert_eq!(stock.into_inner().unwrap(), 0);
    /// ```
    pub fn yield_to_locks(mut self) -> Self {
        self.yields_to_locks = true;
        self
    }

    /// Runs a closure under this schedule.
    ///
    /// # Panics
    ///
    /// Panics if the schedule cannot be followed: an event never happens, or not in the required
    /// order, or not in time. The message says what each thread was doing. The threads run freely
    /// from then on, and the closure runs to its end. Also resumes a panic of the closure.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::interleave::{Schedule, at, inside, point};
    /// let order = [at("writer", "written"), at("the test", "reads")];
    /// let read = Schedule::new().order(order).run(|| {
    ///     let writer = thread::spawn(inside("writer", || point!("written")));
    ///     let read = inside("the test", || { point!("reads"); "what was written" })();
    /// #   writer.join().unwrap();
    ///     read
    /// });
    /// assert_eq!(read, "what was written");
    /// ```
    #[track_caller]
    pub fn run<R>(self, body: impl FnOnce() -> R) -> R {
        match self.try_run(body) {
            Ok(result) => result,
            Err(unfollowed) => panic!("{unfollowed}"),
        }
    }

    /// As [`run`](Self::run), but returns an error if the schedule cannot be followed.
    ///
    /// # Errors
    ///
    /// Returns an error if the schedule cannot be followed. The closure's result, or its panic, is
    /// lost then.
    ///
    /// # Panics
    ///
    /// Resumes a panic of the closure. Panics if the schedule contradicts itself, or if the calling
    /// thread is already in one with the same threads.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::thread;
    /// # use lockdep::interleave::{Schedule, at, inside, point};
    /// let result = Schedule::new()
    ///     .order([at("worker", "nowhere"), at("worker", "somewhere")])
    ///     .try_run(|| thread::spawn(inside("worker", || point!("somewhere"))).join());
    /// if let Err(unfollowed) = result {
    ///     assert!(unfollowed.to_string().contains("point `nowhere` by `worker`"));
    /// }
    /// ```
    #[track_caller]
    pub fn try_run<R>(self, body: impl FnOnce() -> R) -> Result<R, ScheduleError> {
        if let Some(events) = self.plan.contradiction() {
            let events: Vec<_> = events.iter().map(ToString::to_string).collect();
            panic!("the schedule contradicts itself: each before the next, in a circle: {}", {
                events.join(", ")
            });
        }
        if !validator::is_on() {
            return Ok(body());
        }
        let _reserved = reserved::reserve(&self.plan);
        let (family, _member) = ThreadGroup::found();
        let run = Arc::new(Run::new(self.plan, self.timeout, self.yields_to_locks, family));
        let open = points::open(Arc::clone(&run) as _);
        let own = std::thread::current();
        let participation = points::participate(points::Controller::role(
            Arc::clone(&run) as _,
            own.name().unwrap_or("the thread that runs the schedule"),
        ));
        let result = catch_unwind(AssertUnwindSafe(body));
        drop(participation);
        // Events that a panic has prevented are not missed.
        if result.is_ok() {
            validator::inside(|| run.wait_for_the_end());
        }
        drop(open);
        match (run.close(), result) {
            (Some(unfollowed), _) => Err(unfollowed),
            (None, Ok(result)) => Ok(result),
            (None, Err(panic)) => resume_unwind(panic),
        }
    }
}
