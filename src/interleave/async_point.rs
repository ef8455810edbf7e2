//! Points at which a task is suspended.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use crate::points::{self, Passing};

/// A [`point!`](super::point!) in async code: `async_point!("balance read").await`.
///
/// A schedule that stops a task here suspends it, while `point!` would block its thread: on a
/// current-thread runtime, a blocked thread polls none of the tasks for which the schedule waits.
///
/// Does nothing in an unchecked build; otherwise costs one relaxed load while no `interleave` is in use.
///
/// ```
/// # #[cfg(feature = "tokio")]
/// # fn main() {
/// # use std::sync::{Arc, atomic::{AtomicU64, Ordering::Relaxed}};
/// use lockdep::interleave::{Schedule, async_point, at, inside_async};
/// use lockdep::tokio;
///
/// async fn deposit(balance: Arc<AtomicU64>) {
///     let read = balance.load(Relaxed);
///     async_point!("balance read").await;
///     async_point!("about to write").await;
///     balance.store(read + 1, Relaxed);
/// }
///
/// let balance = Arc::new(AtomicU64::new(0));
/// let deposit = |client| tokio::spawn(inside_async(client, deposit(Arc::clone(&balance))));
/// let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
/// Schedule::new()
///     .order([at("first", "balance read"), at("second", "about to write")])
///     .order([at("second", "balance read"), at("first", "about to write")])
///     .run(|| runtime.block_on(async {
///         let (first, second) = (deposit("first"), deposit("second"));
///         (first.await.unwrap(), second.await.unwrap())
///     }));
/// assert!(!lockdep::ENABLED || balance.load(Relaxed) == 1); // of two, one is lost
/// # }
/// # #[cfg(not(feature = "tokio"))]
/// # fn main() {}
/// ```
#[doc(hidden)]
#[macro_export]
macro_rules! __interleave_async_point {
    ($name:expr $(,)?) => {
        $crate::interleave::pass_async($name)
    };
}

/// What [`async_point!`](super::async_point!) calls.
#[doc(hidden)]
#[inline]
pub fn pass_async(name: &str) -> impl Future<Output = ()> + '_ {
    AsyncPoint { name, has_come: false, passing: None }
}

#[must_use = "the point is passed when this is awaited"]
struct AsyncPoint<'a> {
    name: &'a str,
    has_come: bool,
    passing: Option<Box<Passing>>,
}

impl Future for AsyncPoint<'_> {
    type Output = ();

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if !crate::enabled::ENABLED || !(self.has_come || points::are_active()) {
            return Poll::Ready(());
        }
        self.poll_active(cx)
    }
}

impl AsyncPoint<'_> {
    #[cold]
    fn poll_active(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.has_come {
            self.has_come = true;
            self.passing = Passing::point(self.name);
        }
        if let Some(passing) = &mut self.passing {
            ready!(passing.poll(cx));
        }
        if let Some(mut passing) = self.passing.take() {
            passing.end();
        }
        Poll::Ready(())
    }
}
