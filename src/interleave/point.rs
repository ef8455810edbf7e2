//! Identifies points, by name or by an operation on a lock.

use std::{
    collections::HashMap,
    fmt,
    panic::Location,
    sync::{Arc, LazyLock},
};

use parking_lot::Mutex;

use crate::{
    Trackable,
    points::SyncEvent,
    source, trackable,
    validator::{self, Entry},
};

/// Points at which a thread can be stopped, or made to run other code.
///
/// A `&str` identifies the [`point!`](super::point!) of that name; [`acquire`], [`wait`] and
/// [`release`] identify operations on locks.
///
/// ```
/// use lockdep::interleave::{Point, acquire};
///
/// let [read, taken]: [Point; 2] = ["balance read".into(), acquire("accounts")];
/// assert_eq!(read.to_string(), "point `balance read`");
/// assert_eq!(taken.to_string(), "acquire of `accounts`");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Point {
    step: Step,
    which: Which,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Point,
    Acquire,
    Wait,
    Release,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Which {
    Named(Box<str>),
    Lock(u64),
}

/// One lock, or all locks of a name: created from a reference to a lock or from a `&str`.
///
/// The name is the one given by [`lockdep::name`](crate::name), or the expression in the source
/// where the lock is acquired: `bank.accounts` in `bank.accounts.lock()`, or only its last part,
/// `accounts`. A lock that a condition variable acquires again has the name of the condition
/// variable. Locks acquired inside `lock_api` itself (`bump`, `ReentrantMutex`) have only given
/// names.
///
/// ```
/// use lockdep::{interleave::acquire, sync::Mutex};
///
/// let accounts = Mutex::new(());
/// let this_one = acquire(&accounts);
/// let all_of_this_name = acquire("accounts");
/// ```
#[derive(Clone, Debug)]
pub struct LockSelector(Which);

impl From<&str> for LockSelector {
    fn from(name: &str) -> Self {
        Self(Which::Named(name.into()))
    }
}

impl<L: Trackable + ?Sized> From<&L> for LockSelector {
    fn from(lock: &L) -> Self {
        // In an unchecked build, no thread passes a point.
        Self(Which::Lock(trackable::number(lock).unwrap_or(0)))
    }
}

impl From<&str> for Point {
    fn from(name: &str) -> Self {
        Self { step: Step::Point, which: Which::Named(name.into()) }
    }
}

/// An acquisition in any mode: from before the thread requests the lock until it holds it. An
/// attempt that fails (`try_lock`) also passes the point. The acquisition by which a condition
/// variable takes its mutex again does not, because a thread cannot be stopped there.
///
/// ```
/// # use std::thread;
/// # use lockdep::{interleave::{Schedule, acquire, at, inside}, sync::Mutex};
/// let log = Mutex::new(Vec::new());
/// let write = |line| { let log = &log; move || log.lock().unwrap().push(line) };
/// Schedule::new().order([at("late", acquire(&log)), at("early", acquire(&log))]).run(|| {
///     thread::scope(|scope| {
///         scope.spawn(inside("early", write("early")));
///         scope.spawn(inside("late", write("late")));
///     });
/// });
/// assert!(!lockdep::ENABLED || log.into_inner().unwrap() == ["late", "early"]);
/// ```
#[must_use]
pub fn acquire(lock: impl Into<LockSelector>) -> Point {
    Point { step: Step::Acquire, which: lock.into().0 }
}

/// The moment at which a thread is about to block because the lock is held, or to wait on a
/// condition variable whose mutex this is.
///
/// ```
/// # use std::thread;
/// # use lockdep::{interleave::{Schedule, acquire, at, inside, wait}, sync::{Condvar, Mutex}};
/// let (queue, pushed) = (Mutex::new(Vec::new()), Condvar::new());
/// // The consumer waits already when the producer comes.
/// let order = [at("consumer", wait(&queue)), at("producer", acquire(&queue))];
/// Schedule::new().order(order).run(|| thread::scope(|scope| {
///     scope.spawn(inside("consumer", || {
///         pushed.wait_while(queue.lock().unwrap(), |queue| queue.is_empty()).unwrap().pop();
///     }));
///     scope.spawn(inside("producer", || {
///         queue.lock().unwrap().push(1);
///         pushed.notify_one();
///     }));
/// }));
/// ```
#[must_use]
pub fn wait(lock: impl Into<LockSelector>) -> Point {
    Point { step: Step::Wait, which: lock.into().0 }
}

/// A release: from while the thread still holds the lock until others can acquire it. A wait on a
/// condition variable also releases its mutex. A guard dropped on another thread than the one that
/// acquired it passes no point. An unwinding thread passes the point, but does not wait there. A
/// task that waits here blocks its thread, because a release is not awaited.
///
/// ```
/// # use lockdep::{interleave::{after, release}, sync::Mutex};
/// let stock = Mutex::new(1);
/// after(release(&stock), || *stock.lock().unwrap() = 0).within(|| {
///     let left = *stock.lock().unwrap();
///     // Between the two, somebody else has bought it.
///     assert_eq!(left == *stock.lock().unwrap(), !lockdep::ENABLED);
/// });
/// ```
#[must_use]
pub fn release(lock: impl Into<LockSelector>) -> Point {
    Point { step: Step::Release, which: lock.into().0 }
}

impl Point {
    /// Returns `true` if the point has a name.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.which, Which::Named(_))
    }

    /// Returns `true` if the event is at this point.
    pub(super) fn is(&self, event: &SyncEvent<'_>) -> bool {
        let is_lock = |entry: &Entry| match &self.which {
            Which::Lock(number) => entry.tag.lock() == *number,
            Which::Named(wanted) => is_called(entry, wanted),
        };
        match (event, self.step) {
            (SyncEvent::Point(name), Step::Point) => self.which == Which::Named((*name).into()),
            (SyncEvent::Acquire(entry), Step::Acquire)
            | (SyncEvent::Wait(entry, _), Step::Wait)
            | (SyncEvent::Release(entry), Step::Release) => is_lock(entry),
            _ => false,
        }
    }
}

impl fmt::Display for Point {
    /// Writes the point as reports name it: ``acquire of `accounts` ``.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = match self.step {
            Step::Point => "point",
            Step::Acquire => "acquire of",
            Step::Wait => "wait for",
            Step::Release => "release of",
        };
        match &self.which {
            Which::Named(name) => write!(f, "{step} `{name}`"),
            Which::Lock(number) => write!(f, "{step} lock #{number}"),
        }
    }
}

/// Describes an event in the same words.
pub(super) fn describe(event: &SyncEvent<'_>) -> String {
    let lock = |entry| match name(entry) {
        Some(name) => format!("`{name}`"),
        None => format!("{} #{}", entry.kind().type_name(), entry.tag.lock()),
    };
    match event {
        SyncEvent::Point(name) => format!("point `{name}`"),
        SyncEvent::Acquire(entry) => format!("acquire of {} ({})", lock(entry), entry.site),
        SyncEvent::Wait(entry, _) => format!("wait for {} ({})", lock(entry), entry.site),
        SyncEvent::Release(entry) => format!("release of {}", lock(entry)),
    }
}

/// Returns the lock's name: the given one, or its expression in the source.
fn name(entry: &Entry) -> Option<Arc<str>> {
    validator::name_of(entry.tag.lock()).or_else(|| name_in_source(entry.site))
}

fn is_called(entry: &Entry, wanted: &str) -> bool {
    let is_it = |name: Arc<str>| {
        let last = name.rsplit(['.', ':']).next();
        *name == *wanted || last == Some(wanted)
    };
    validator::name_of(entry.tag.lock()).is_some_and(is_it)
        || name_in_source(entry.site).is_some_and(is_it)
}

/// Returns the source expression of the lock that is acquired at a place. Reads the file once per
/// place.
fn name_in_source(site: &'static Location<'static>) -> Option<Arc<str>> {
    type Names = HashMap<&'static Location<'static>, Option<Arc<str>>>;
    static NAMES: LazyLock<Mutex<Names>> = LazyLock::new(Mutex::default);
    let known = NAMES.lock().get(site).cloned();
    known.unwrap_or_else(|| {
        let name = source::receiver(&site.into()).map(Arc::from);
        NAMES.lock().insert(site, name.clone());
        name
    })
}
