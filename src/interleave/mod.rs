//! Deliberate races: reproduces a rare interleaving in every run. Feature `interleave`, which is on by default.
//!
//! There are four tools, the simplest first:
//!
//! - [`before`] and [`after`] a point, the calling thread runs other code. One thread is enough to
//!   show an update that is lost between a read and a write.
//! - A [`Schedule`] orders the points that threads pass.
//! - [`confirm()`] takes a [`Finding`](crate::Finding), runs the program again and drives its
//!   threads into the predicted deadlock.
//! - [`explore()`] tries many interleavings, each determined by a seed.
//!
//! # Points
//!
//! A point is a place where a thread can be stopped, or made to run other code: a [`point!`] in any
//! code, and each [`acquire`], [`wait`] and [`release`] of a checked lock. In an unchecked
//! [build](crate#the-switch), points do nothing and closures run unchanged.
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
//! # Tasks
//!
//! With the feature `tokio`, tasks take part like threads. At a lock of `lockdep::tokio`, and at an
//! [`async_point!`], a schedule suspends a task: its future is pending until the task may continue.
//! So even the tasks of a current-thread runtime can be ordered, and more tasks can be stopped than
//! there are worker threads.
//!
//! A [`point!`], the release of a lock and everything else that is not awaited cannot suspend a
//! task, so they block its thread. On a multi-thread runtime the other tasks usually continue, but
//! tokio may have queued one of them behind the blocked one. If a schedule fails for this reason,
//! its message says so.
//!
//! [`confirm()`] includes all tasks spawned through `lockdep::tokio`, on the program's runtime or
//! on one that existed before. A [`Schedule`] identifies a task by the role in which
//! [`inside_async`] has brought it in, because tasks have no names. A future that a thread drives
//! with `block_on` acts in the role of the thread. [`explore()`] does not order tasks.
//!
//! # Whose threads
//!
//! Std does not tell which thread started another. On Linux, a thread started by one that belongs
//! to a schedule, a confirmation or an exploration belongs to it as well: it inherits a mark, a
//! timer slack of 50 to 90 µs (`PR_SET_TIMERSLACK`). So tests that run concurrently do not draw in
//! each other's threads. On other systems any thread that appears meanwhile counts as one of them,
//! unless all are brought in by [`inside()`]; run such tests alone (`--test-threads=1`).
//!
//! # Cost
//!
//! A point costs one relaxed load while nothing of this module is in use; points of locks cost
//! nothing then.

mod alone;
mod async_point;
mod confirm;
mod explore;
mod insert;
mod inside;
mod point;
mod rng;
mod schedule;
mod thread_group;

pub use self::{
    async_point::pass_async,
    confirm::{Confirm, Confirmation, Confirmed, NotReached, Obstacle, Replay, confirm},
    explore::{Explore, Explored, Order, explore},
    insert::{Insertion, RepeatedInsertion, after, before},
    inside::{inside, inside_async},
    point::{LockSelector, Point, acquire, release, wait},
    schedule::{Event, Schedule, ScheduleError, at},
};
#[doc(inline)]
pub use crate::__interleave_async_point as async_point;
#[doc(inline)]
pub use crate::__interleave_point as point;
use crate::points;

/// A place where a thread can be stopped, or made to run other code, identified by its name:
/// `point!("balance read")`.
///
/// Does nothing in an unchecked build; otherwise costs one relaxed load while no `interleave` is in use.
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
