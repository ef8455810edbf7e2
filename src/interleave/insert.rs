//! Code that runs in the calling thread before or after a point.

use std::{
    cell::{Cell, RefCell},
    fmt,
};

use super::point::{self, Point};
use crate::{
    points::{self, Inserted, SyncEvent},
    validator,
};

/// Code to run at a point: created by [`before`] and [`after`], run by [`within`](Self::within).
///
/// ```
/// # use std::cell::Cell;
/// use lockdep::interleave::{before, point};
///
/// let config = Cell::new("old");
/// before("config read", || config.set("new")).within(|| {
///     let first = config.get();
///     point!("config read");
///     assert_eq!(first == config.get(), !lockdep::ENABLED);
/// });
/// ```
#[must_use = "it is inserted by `within`"]
pub struct Insertion<F> {
    place: Place,
    point: Point,
    nth: u64,
    code: F,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Before,
    After,
}

/// Makes the calling thread run a closure when it reaches a point, before the operation there:
/// once, unless [`every_time`](Insertion::every_time) is called.
///
/// A read-modify-write that loses an update, in one thread:
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use lockdep::interleave::{self, point};
///
/// let visits = AtomicU64::new(0);
/// let visit = || {
///     let seen = visits.load(Relaxed);
///     point!("seen");
///     visits.store(seen + 1, Relaxed);
/// };
/// interleave::before("seen", visit).within(visit);
/// assert_eq!(visits.into_inner(), 1); // of two, one is lost
/// ```
pub fn before<F>(point: impl Into<Point>, code: F) -> Insertion<F> {
    Insertion { place: Place::Before, point: point.into(), nth: 1, code }
}

/// Makes the calling thread run a closure after the operation at a point: after a lock has been
/// acquired or released.
///
/// ```
/// use std::cell::Cell;
/// use lockdep::{interleave::{self, release}, sync::Mutex};
///
/// let balance = Mutex::new(700);
/// let after_it = Cell::new(0);
/// interleave::after(release(&balance), || after_it.set(*balance.lock().unwrap()))
///     .within(|| *balance.lock().unwrap() -= 500);
/// assert!(!lockdep::ENABLED || after_it.get() == 200);
/// ```
pub fn after<F>(point: impl Into<Point>, code: F) -> Insertion<F> {
    Insertion { place: Place::After, point: point.into(), nth: 1, code }
}

impl<F: FnOnce()> Insertion<F> {
    /// Runs the code at the n-th time that the thread passes the point, counted from 1, instead of
    /// at the first.
    ///
    /// ```
    /// # use std::cell::Cell;
    /// # use lockdep::interleave::{before, point};
    /// let round = Cell::new(0);
    /// before("round", || assert_eq!(round.get(), 3)).nth(3).within(|| {
    ///     for number in 1..=5 {
    ///         round.set(number);
    ///         point!("round");
    ///     }
    /// });
    /// ```
    pub fn nth(mut self, nth: u64) -> Self {
        self.nth = nth;
        self
    }

    /// Runs a closure with the code inserted.
    ///
    /// The inserted code may reach the same point. Insertions nest: the outer one runs first. Other
    /// threads are not affected. In an unchecked [build](crate#the-switch) only the closure runs.
    ///
    /// # Panics
    ///
    /// Panics if the closure has ended and the code never ran, which is a mistake in the test.
    /// Resumes a panic of the code: immediately, unless that would leave a lock held that no guard
    /// releases (after an acquisition or before a release); then at the thread's next release, when
    /// that lock is free.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::{interleave::{acquire, before}, sync::Mutex};
    /// let stock = Mutex::new(1);
    /// let left = before(acquire(&stock), || *stock.lock().unwrap() = 0)
    ///     .within(|| *stock.lock().unwrap());
    /// assert_eq!(left, if lockdep::ENABLED { 0 } else { 1 });
    /// ```
    #[track_caller]
    pub fn within<R>(self, body: impl FnOnce() -> R) -> R {
        let Self { place, point, nth, code } = self;
        let code = RefCell::new(Some(code));
        let run = |passed| {
            let code = if passed == nth { code.take() } else { None };
            if let Some(code) = code {
                code();
            }
        };
        let layer = Layer::new(place, point, &run);
        let result = layer.within(body);
        if code.take().is_some() {
            layer.never_ran(nth);
        }
        result
    }
}

impl<F: FnMut()> Insertion<F> {
    /// Runs the code every time that the thread passes the point, but not recursively.
    ///
    /// ```
    /// # use std::cell::Cell;
    /// # use lockdep::interleave::{before, point};
    /// let times = Cell::new(0);
    /// before("round", || times.set(times.get() + 1)).every_time().within(|| {
    ///     for _ in 0..5 {
    ///         point!("round");
    ///     }
    /// });
    /// assert_eq!(times.get(), if lockdep::ENABLED { 5 } else { 0 });
    /// ```
    pub fn every_time(self) -> RepeatedInsertion<F> {
        RepeatedInsertion(self)
    }
}

/// Code that runs every time that a point is passed: see [`Insertion::every_time`].
///
/// ```
/// # use lockdep::{interleave::{after, release}, sync::Mutex};
/// # let (debit, credit) = (Mutex::new(7), Mutex::new(-7));
/// let balance = || assert_eq!(*debit.lock().unwrap() + *credit.lock().unwrap(), 0);
/// after(release(&credit), balance).every_time().within(|| {
///     let (mut debit, mut credit) = (debit.lock().unwrap(), credit.lock().unwrap());
///     (*debit, *credit) = (8, -8);
///     drop((debit, credit)); // the debit's lock is free when the credit's is released
/// });
/// ```
#[must_use = "it is inserted by `within`"]
pub struct RepeatedInsertion<F>(Insertion<F>);

impl<F: FnMut()> RepeatedInsertion<F> {
    /// As [`Insertion::within`].
    ///
    /// # Panics
    ///
    /// Panics if the closure has ended and the code never ran.
    #[track_caller]
    pub fn within<R>(self, body: impl FnOnce() -> R) -> R {
        let Insertion { place, point, code, .. } = self.0;
        let code = RefCell::new(code);
        let run = |_| {
            // Otherwise it is running already and has reached its own point.
            if let Ok(mut code) = code.try_borrow_mut() {
                code();
            }
        };
        let layer = Layer::new(place, point, &run);
        let result = layer.within(body);
        if layer.passed.get() == 0 {
            layer.never_ran(1);
        }
        result
    }
}

impl<F> fmt::Debug for Insertion<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, point, nth, .. } = self;
        f.debug_struct("Insertion")
            .field("place", place)
            .field("point", point)
            .field("nth", nth)
            .finish_non_exhaustive()
    }
}

impl<F> fmt::Debug for RepeatedInsertion<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RepeatedInsertion").field(&self.0).finish()
    }
}

/// The insertion of one call.
struct Layer<'a> {
    place: Place,
    point: Point,
    /// How often the point was passed.
    passed: Cell<u64>,
    /// The number of events that have begun and not ended. An event without a beginning does not
    /// count, such as that of a lock acquired again for a condition variable.
    begun: Cell<u64>,
    /// The distinct points that were passed, for the message if the code never ran.
    seen: RefCell<Vec<String>>,
    /// Runs the code; the argument is the number of the event.
    run: &'a dyn Fn(u64),
}

/// The maximum number of points in that message.
const MAX_LISTED: usize = 12;

impl<'a> Layer<'a> {
    fn new(place: Place, point: Point, run: &'a dyn Fn(u64)) -> Self {
        Self {
            place,
            point,
            passed: Cell::new(0),
            begun: Cell::new(0),
            seen: RefCell::default(),
            run,
        }
    }

    fn within<R>(&self, body: impl FnOnce() -> R) -> R {
        points::with_inserted(|outer| {
            let layer = Layered { layer: self, outer };
            points::insert(&layer, body)
        })
    }

    fn passes(&self, place: Place, event: &SyncEvent<'_>) {
        let is_it = validator::inside(|| {
            if self.point.is(event) {
                return true;
            }
            let mut seen = self.seen.borrow_mut();
            if seen.len() < MAX_LISTED {
                let description = point::describe(event);
                if !seen.contains(&description) {
                    seen.push(description);
                }
            }
            false
        });
        let begun = self.begun.get();
        match place {
            _ if !is_it => return,
            Place::Before => self.begun.set(begun + 1),
            Place::After if begun == 0 => return,
            Place::After => self.begun.set(begun - 1),
        }
        if place == self.place {
            self.passed.set(self.passed.get() + 1);
            (self.run)(self.passed.get());
        }
    }

    #[track_caller]
    fn never_ran(&self, nth: u64) {
        if !validator::is_on() || std::thread::panicking() {
            return;
        }
        let place = match self.place {
            Place::Before => "before",
            Place::After => "after",
        };
        let often = match (self.passed.get(), nth) {
            (0, _) => "this thread did not pass it".to_owned(),
            (passed, nth) => format!("this thread passed it {passed} times, not {nth}"),
        };
        let seen = self.seen.take();
        let seen = match &seen[..] {
            [] => "no point".to_owned(),
            seen => seen.join(", "),
        };
        panic!("the code inserted {place} {} never ran: {often}, but {seen}", self.point);
    }
}

/// A layer, and the layers around it.
struct Layered<'a> {
    layer: &'a Layer<'a>,
    outer: Option<&'a dyn Inserted>,
}

impl Inserted for Layered<'_> {
    fn before(&self, event: &SyncEvent<'_>) {
        if let Some(outer) = self.outer {
            outer.before(event);
        }
        self.layer.passes(Place::Before, event);
    }

    fn after(&self, event: &SyncEvent<'_>) {
        if let Some(outer) = self.outer {
            outer.after(event);
        }
        self.layer.passes(Place::After, event);
    }
}
