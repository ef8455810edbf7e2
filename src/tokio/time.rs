//! [`tokio::time`], with timeouts that lockdep recognizes.
//!
//! ```
//! use std::time::Duration;
//!
//! use lockdep::tokio::{self, sync::Mutex, time::timeout};
//!
//! # #[tokio::main] async fn main() {
//! let stock = Mutex::new(10);
//! let guard = timeout(Duration::from_secs(5), stock.lock()).await.expect("the lock is free");
//! assert_eq!(*guard, 10);
//! # }
//! ```
//!
//! A timer can always wake a task inside a timeout. Its waker must not look like that of another
//! future of the task, which might hold a lock, so the timer gets a different kind of waker.

use std::{
    cell::Cell,
    fmt,
    future::{Future, IntoFuture},
    pin::Pin,
    ptr,
    task::{Context, Poll, Waker},
};

pub use ::tokio::time::*;
use pin_project_lite::pin_project;

use crate::validator::tasks;

/// Waits for a future for a limited time. As [`tokio::time::timeout`].
///
/// # Errors
///
/// If the time elapses first.
///
/// # Panics
///
/// Outside of a runtime with a timer.
#[track_caller]
pub fn timeout<F: IntoFuture>(duration: Duration, future: F) -> Timeout<F::IntoFuture> {
    Timeout { real: ::tokio::time::timeout(duration, Bounded { future: future.into_future() }) }
}

/// Waits for a future until a deadline. As [`tokio::time::timeout_at`].
///
/// # Errors
///
/// If the deadline passes first.
///
/// # Panics
///
/// Outside of a runtime with a timer.
#[track_caller]
pub fn timeout_at<F: IntoFuture>(deadline: Instant, future: F) -> Timeout<F::IntoFuture> {
    Timeout { real: ::tokio::time::timeout_at(deadline, Bounded { future: future.into_future() }) }
}

pin_project! {
    /// The future of [`timeout`] and [`timeout_at`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Timeout<T> {
        #[pin]
        real: ::tokio::time::Timeout<Bounded<T>>,
    }
}

impl<T> Timeout<T> {
    /// Returns the inner future.
    pub fn get_ref(&self) -> &T {
        &self.real.get_ref().future
    }

    /// Returns the inner future.
    pub fn get_mut(&mut self) -> &mut T {
        &mut self.real.get_mut().future
    }

    /// Returns the inner future, without its timeout.
    pub fn into_inner(self) -> T {
        self.real.into_inner().future
    }
}

impl<T: fmt::Debug> fmt::Debug for Timeout<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.real.fmt(f)
    }
}

impl<T: Future> Future for Timeout<T> {
    type Output = Result<T::Output, error::Elapsed>;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let real = self.project().real;
        let Some(waker) = tasks::of_timeout(cx.waker()) else { return real.poll(cx) };
        let _given = Given::begin(cx.waker());
        real.poll(&mut Context::from_waker(&waker))
    }
}

pin_project! {
    /// The inner future, polled with the waker that was passed to the timeout.
    struct Bounded<T> {
        #[pin]
        future: T,
    }
}

impl<T: fmt::Debug> fmt::Debug for Bounded<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.future.fmt(f)
    }
}

impl<T: Future> Future for Bounded<T> {
    type Output = T::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let future = self.project().future;
        match Given::take() {
            // SAFETY: the waker was passed to the timeout that polls this, and outlives that call.
            #[allow(unsafe_code, reason = "a thread-local has no lifetime to give")]
            Some(waker) => future.poll(&mut Context::from_waker(unsafe { &*waker })),
            None => future.poll(cx),
        }
    }
}

thread_local! {
    /// The waker that was passed to the innermost timeout, until its future is polled.
    static GIVEN: Cell<*const Waker> = const { Cell::new(ptr::null()) };
}

/// Stores the waker while a timeout is polled.
struct Given(*const Waker);

impl Given {
    fn begin(waker: &Waker) -> Self {
        Self(GIVEN.replace(waker))
    }

    fn take() -> Option<*const Waker> {
        let waker = GIVEN.replace(ptr::null());
        (!waker.is_null()).then_some(waker)
    }
}

impl Drop for Given {
    fn drop(&mut self) {
        GIVEN.set(self.0);
    }
}
