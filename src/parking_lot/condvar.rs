//! [`Condvar`].

#![allow(unsafe_code, reason = "a guard's lock is reached through lock_api's unsafe functions")]

use std::{
    fmt,
    mem::ManuallyDrop,
    time::{Duration, Instant},
};

use parking_lot::WaitTimeoutResult;

use super::{MutexGuard, RawMutex};
use crate::tracked::RawLock;

/// [`parking_lot::Condvar`], checked: a wait releases its mutex and acquires it again. That
/// acquisition is checked before the wait begins.
///
/// # Panics
///
/// Every wait panics before it begins if it is a finding at [`Level::Deny`](crate::Level::Deny).
///
/// # Examples
///
/// ```
/// use lockdep::parking_lot::{Condvar, Mutex};
///
/// let (queue, pushed) = (Mutex::new(Vec::new()), Condvar::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         queue.lock().push("a job");
///         pushed.notify_one();
///     });
///     let mut queue = queue.lock();
///     pushed.wait_while(&mut queue, |queue| queue.is_empty());
///     assert_eq!(queue.pop(), Some("a job"));
/// });
/// ```
#[derive(Default)]
pub struct Condvar {
    inner: parking_lot::Condvar,
}

impl Condvar {
    /// As [`parking_lot::Condvar::new`].
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { inner: parking_lot::Condvar::new() }
    }

    /// As [`parking_lot::Condvar::notify_one`].
    #[inline]
    pub fn notify_one(&self) -> bool {
        self.inner.notify_one()
    }

    /// As [`parking_lot::Condvar::notify_all`].
    #[inline]
    pub fn notify_all(&self) -> usize {
        self.inner.notify_all()
    }

    /// As [`parking_lot::Condvar::wait`].
    #[track_caller]
    pub fn wait<T: ?Sized>(&self, mutex_guard: &mut MutexGuard<'_, T>) {
        waiting(mutex_guard, |guard| self.inner.wait(guard));
    }

    /// As [`parking_lot::Condvar::wait_until`].
    #[track_caller]
    pub fn wait_until<T: ?Sized>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        timeout: Instant,
    ) -> WaitTimeoutResult {
        waiting(mutex_guard, |guard| self.inner.wait_until(guard, timeout))
    }

    /// As [`parking_lot::Condvar::wait_for`].
    #[track_caller]
    pub fn wait_for<T: ?Sized>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        timeout: Duration,
    ) -> WaitTimeoutResult {
        waiting(mutex_guard, |guard| self.inner.wait_for(guard, timeout))
    }

    /// As [`parking_lot::Condvar::wait_while`].
    #[track_caller]
    pub fn wait_while<T, F>(&self, mutex_guard: &mut MutexGuard<'_, T>, mut condition: F)
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        while condition(mutex_guard) {
            self.wait(mutex_guard);
        }
        RawMutex::tracked_of(MutexGuard::mutex(mutex_guard)).note_condition();
    }

    /// As [`parking_lot::Condvar::wait_while_until`].
    #[track_caller]
    pub fn wait_while_until<T, F>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        mut condition: F,
        timeout: Instant,
    ) -> WaitTimeoutResult
    where
        T: ?Sized,
        F: FnMut(&mut T) -> bool,
    {
        let mut result = not_timed_out();
        while !result.timed_out() && condition(mutex_guard) {
            result = self.wait_until(mutex_guard, timeout);
        }
        RawMutex::tracked_of(MutexGuard::mutex(mutex_guard)).note_condition();
        result
    }

    /// As [`parking_lot::Condvar::wait_while_for`].
    #[track_caller]
    pub fn wait_while_for<T: ?Sized, F>(
        &self,
        mutex_guard: &mut MutexGuard<'_, T>,
        condition: F,
        timeout: Duration,
    ) -> WaitTimeoutResult
    where
        F: FnMut(&mut T) -> bool,
    {
        if let Some(deadline) = Instant::now().checked_add(timeout) {
            return self.wait_while_until(mutex_guard, condition, deadline);
        }
        // The deadline is too far away to be represented, so it is never reached.
        self.wait_while(mutex_guard, condition);
        not_timed_out()
    }
}

/// Waits with a guard of the real parking_lot for the inner lock, so that it can requeue waiters as
/// usual.
#[track_caller]
fn waiting<T: ?Sized, R>(
    guard: &mut MutexGuard<'_, T>,
    wait: impl FnOnce(&mut parking_lot::MutexGuard<'_, ()>) -> R,
) -> R {
    // SAFETY: only `wait` locks and unlocks the raw lock.
    let mutex = unsafe { MutexGuard::mutex(guard).raw() };
    mutex.wait_on_condition(|| {
        // SAFETY: `guard` holds the lock. The guard created here is never dropped, so the lock is
        // released once.
        let inner = unsafe { mutex.inner().make_guard_unchecked() };
        wait(&mut ManuallyDrop::new(inner))
    })
}

/// parking_lot creates these only in its own waits, so this waits, without blocking.
fn not_timed_out() -> WaitTimeoutResult {
    let unshared = parking_lot::Mutex::new(());
    parking_lot::Condvar::new().wait_while_for(&mut unshared.lock(), |()| false, Duration::ZERO)
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
