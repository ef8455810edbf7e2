//! Races made on purpose: the interleaving that needs the stars to align, every time.
//!
//! Three ways, from the simplest on:
//!
//! - [`before`] and [`after`] a point, the calling thread runs other code. One thread is enough to
//!   show an update that is lost between a read and a write.
//! - A [`Schedule`] says which thread passes which point before which other.
//! - [`confirm()`] takes a [`Finding`](crate::Finding), runs the program again and drives its threads
//!   into the deadlock that was predicted.
//! - [`explore()`] tries many interleavings, each given by a seed.
//!
//! # Points
//!
//! Places where a thread can be stopped, or made to run other code: a [`point!`] in any code, and
//! each [`acquire`], [`wait`] and [`release`] of a checked lock. In a build that is not
//! [checked](crate#the-switch) they are nothing at all, and closures run as they are.
//!
//! ```
//! use lockdep::interleave::point;
//!
//! # struct Account { balance: std::sync::atomic::AtomicU64 }
//! # impl Account {
//! fn deposit(&self, amount: u64) {
//! #   use std::sync::atomic::Ordering::Relaxed;
//!     let balance = self.balance.load(Relaxed);
//!     point!("balance read");
//!     self.balance.store(balance + amount, Relaxed);
//! }
//! # }
//! ```
//!
//! # Whose threads
//!
//! Std tells nobody who has started a thread. On Linux, a thread started by one that belongs to a
//! schedule, a confirmation or an exploration belongs there as well: it inherits a mark, a timer
//! slack of 50 to 90 µs (`PR_SET_TIMERSLACK`). So tests that run side by side do not draw in each
//! other's threads. Elsewhere any thread that comes meanwhile is taken for one of them, unless
//! all are brought in by [`inside`]: there such tests should run alone (`--test-threads=1`).
//!
//! # Cost
//!
//! A point costs one relaxed load while nothing is active in the process; points of locks cost
//! nothing then.

mod alone;
mod confirm;
mod explore;
mod family;
mod insert;
mod point;
mod rng;
mod schedule;

use std::sync::Arc;

pub use self::{
    confirm::{Confirm, Confirmation, Confirmed, NotReached, Replay, Why, confirm},
    explore::{Explore, Explored, Order, explore},
    insert::{EveryTime, Insertion, after, before},
    point::{Point, WhichLock, acquire, release, wait},
    schedule::{Event, Schedule, Unfollowed, at},
};
#[doc(inline)]
pub use crate::__interleave_point as point;
use crate::points::{self, Script};

/// A place where a thread can be stopped, or made to run other code, by its name:
/// `point!("balance read")`.
///
/// Nothing in a build that is not checked; else one relaxed load, while nothing is active.
///
/// ```
/// use std::cell::Cell;
/// use lockdep::interleave::{before, point};
///
/// let stock = Cell::new(1);
/// let buy = || if stock.get() > 0 {
///     point!("about to buy");
///     stock.set(stock.get() - 1);
/// };
/// before("about to buy", || stock.set(0)).within(buy);
/// assert_eq!(stock.get(), if lockdep::ENABLED { -1 } else { 0 });
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __interleave_point {
    ($name:expr $(,)?) => {
        if $crate::ENABLED {
            $crate::interleave::pass($name);
        }
    };
}

/// What [`point!`] calls.
#[doc(hidden)]
#[inline]
pub fn pass(name: &str) {
    if points::are_active() {
        points::point(name);
    }
}

/// A closure that brings the thread which runs it into the schedule or the exploration of the
/// calling thread, in a role: `thread::spawn(inside("worker", || ..))`. If there is none, it is the
/// closure alone.
///
/// From now on the thread is expected; by its own name it could come too late to be waited for.
///
/// ```
/// use std::thread;
/// use lockdep::interleave::{Schedule, at, inside, point};
///
/// Schedule::new().order([at("writer", "written"), at("reader", "about to read")]).run(|| {
///     let reader = thread::spawn(inside("reader", || point!("about to read")));
///     let writer = thread::spawn(inside("writer", || point!("written")));
///     (reader.join().unwrap(), writer.join().unwrap())
/// });
/// ```
pub fn inside<R, F: FnOnce() -> R>(role: &str, body: F) -> impl FnOnce() -> R + use<R, F> {
    let expected = points::script().map(|script| {
        script.expect(role);
        Expected { script, role: role.into() }
    });
    move || {
        let _playing = expected.as_ref().map(Expected::play);
        body()
    }
}

/// A thread that is to come, or is there.
struct Expected {
    script: Arc<dyn Script>,
    role: Box<str>,
}

impl Expected {
    fn play(&self) -> points::Playing {
        points::play(Arc::clone(&self.script).role(&self.role))
    }
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.script.expect_no_longer(&self.role);
    }
}
