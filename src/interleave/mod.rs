//! Races made on purpose: a rare interleaving, in every run.
//!
//! There are four ways, the simplest first:
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
//! # Tasks
//!
//! With the feature `tokio`, tasks take part as threads do. At a lock of `lockdep::tokio`, and at an [`async_point!`], a
//! script suspends a task: its future is pending, and is woken when the task may go on. So the tasks of a
//! current-thread runtime can be ordered, and more tasks stopped than there are worker threads.
//!
//! A [`point!`], the release of a lock and whatever else is not awaited cannot suspend a task, so they block its thread. On a
//! runtime of several threads the other tasks usually go on, though tokio may have queued one of them behind the
//! blocked one. A schedule that fails for such a reason says so.
//!
//! [`confirm()`] takes in all tasks that are spawned by `lockdep::tokio`, in a program's own runtime or one that was
//! there before. A [`Schedule`] knows a task by the role in which [`inside_async`] has brought it in; tasks have no
//! names. What a thread blocks on, by `block_on`, does the thread's part. [`explore()`] does not order tasks.
//!
//! # Whose threads
//!
//! Std tells nobody who has started a thread. On Linux, a thread started by one that belongs to a
//! schedule, a confirmation or an exploration belongs there as well: it inherits a mark, a timer
//! slack of 50 to 90 µs (`PR_SET_TIMERSLACK`). So tests that run side by side do not draw in each
//! other's threads. Elsewhere any thread that comes meanwhile is taken for one of them, unless
//! all are brought in by [`inside()`]: there such tests should run alone (`--test-threads=1`).
//!
//! # Cost
//!
//! A point costs one relaxed load while nothing is active in the process; points of locks cost
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
