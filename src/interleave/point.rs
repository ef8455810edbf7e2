//! Which points are meant: by name, or by what is done with which lock.

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
/// A `&str` stands for the [`point!`](super::point!) of that name; what is done with a lock, for
/// [`acquire`], [`wait`] and [`release`].
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

/// One lock, or all of a name: made from a `&str` or from a reference to a lock.
///
/// A name is one that [`lockdep::name`](crate::name) gave, or what the source calls the lock where
/// it is acquired: `bank.accounts` in `bank.accounts.lock()`, which the last part stands for as
/// well, `accounts`. One that a condition variable has taken again is called as that is; and those of
/// `lock_api` that are taken in its own source (`bump`, `ReentrantMutex`) are known by a given name or
/// a reference.
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
        // In a build that is not checked, nothing is passed.
        Self(Which::Lock(trackable::number(lock).unwrap_or(0)))
    }
}

impl From<&str> for Point {
    fn from(name: &str) -> Self {
        Self { step: Step::Point, which: Which::Named(name.into()) }
    }
}

/// An acquisition, in whatever mode: from before the thread asks for the lock until it has it. One
/// that does not get it, a `try_lock`, is passed as well. Not one for a condition variable, which
/// takes its mutex again where no thread can be stopped.
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

/// The moment at which a thread is about to block, since somebody else has the lock; or to wait
/// on a condition variable, whose mutex this is.
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

/// A release: from while the thread still has the lock until others can have it. A wait on a
/// condition variable releases its mutex as well. A guard that was sent to another thread is
/// released there without a point; and a thread that unwinds passes, but does not wait. A task that waits here blocks
/// its thread, since a release is not awaited.
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
    /// Whether it says by which name the program knows it.
    pub(super) fn is_named(&self) -> bool {
        matches!(self.which, Which::Named(_))
    }

    /// Whether it is this one.
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
    /// As a report calls it: ``acquire of `accounts` ``.
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

/// An event as a report calls it, in the same words.
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

/// The lock's name: given, or as the source has it.
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

/// What the source calls the lock that is acquired at a place. A file is read once for each.
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
