//! [`Condvar`].

use std::{
    fmt,
    sync::{self, LockResult, PoisonError, WaitTimeoutResult},
    time::{Duration, Instant},
};

use super::{Mutex, MutexGuard};
/// [`std::sync::Condvar`], checked: a wait releases its mutex and acquires it again. That
/// acquisition is checked before the wait begins.
///
/// ```
/// use lockdep::sync::{Condvar, Mutex};
///
/// let (queue, pushed) = (Mutex::new(Vec::new()), Condvar::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         queue.lock().unwrap().push("a job");
///         pushed.notify_one();
///     });
///     let mut queue = pushed.wait_while(queue.lock().unwrap(), |queue| queue.is_empty()).unwrap();
///     assert_eq!(queue.pop(), Some("a job"));
/// });
/// ```
#[derive(Default)]
pub struct Condvar {
    inner: sync::Condvar,
}

impl Condvar {
    /// As [`std::sync::Condvar::new`].
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self { inner: sync::Condvar::new() }
    }

    /// As [`std::sync::Condvar::wait`].
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is reacquired.
    ///
    /// # Panics
    ///
    /// If waiting here is a finding at [`Level::Deny`](crate::Level::Deny), or if
    /// one condition variable is used with two mutexes (as std).
    #[track_caller]
    pub fn wait<'a, T>(&self, guard: MutexGuard<'a, T>) -> LockResult<MutexGuard<'a, T>> {
        let (mutex, inner, held) = guard.into_parts();
        let pending = held.about_to_wait(Mutex::<T>::KIND);
        held.forget();
        let result = mutex.guard(pending, pending.wait_notified(|| self.inner.wait(inner)));
        mutex.note_condition();
        result
    }

    /// As [`std::sync::Condvar::wait_while`].
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is reacquired.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        mut condition: F,
    ) -> LockResult<MutexGuard<'a, T>>
    where
        F: FnMut(&mut T) -> bool,
    {
        while condition(&mut guard) {
            guard = self.wait(guard)?;
        }
        guard.note_condition();
        Ok(guard)
    }

    /// As [`std::sync::Condvar::wait_timeout_ms`].
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is reacquired.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    #[deprecated(note = "replaced by `std::sync::Condvar::wait_timeout`")]
    pub fn wait_timeout_ms<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        ms: u32,
    ) -> LockResult<(MutexGuard<'a, T>, bool)> {
        let in_time = |(guard, result): (_, WaitTimeoutResult)| (guard, !result.timed_out());
        self.wait_timeout(guard, Duration::from_millis(ms.into()))
            .map(in_time)
            .map_err(|poisoned| PoisonError::new(in_time(poisoned.into_inner())))
    }

    /// As [`std::sync::Condvar::wait_timeout`].
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is reacquired.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout<'a, T>(
        &self,
        guard: MutexGuard<'a, T>,
        dur: Duration,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)> {
        let (mutex, inner, held) = guard.into_parts();
        let pending = held.about_to_wait(Mutex::<T>::KIND);
        held.forget();
        let (inner, result) = match pending.wait_notified(|| self.inner.wait_timeout(inner, dur)) {
            Ok((inner, result)) => (Ok(inner), result),
            Err(poisoned) => {
                let (inner, result) = poisoned.into_inner();
                (Err(PoisonError::new(inner)), result)
            }
        };
        match mutex.guard(pending, inner) {
            Ok(guard) => Ok((guard, result)),
            Err(poisoned) => Err(PoisonError::new((poisoned.into_inner(), result))),
        }
    }

    /// As [`std::sync::Condvar::wait_timeout_while`].
    ///
    /// # Errors
    ///
    /// If the mutex is poisoned when it is reacquired.
    ///
    /// # Panics
    ///
    /// As [`wait`](Self::wait).
    #[track_caller]
    pub fn wait_timeout_while<'a, T, F>(
        &self,
        mut guard: MutexGuard<'a, T>,
        dur: Duration,
        mut condition: F,
    ) -> LockResult<(MutexGuard<'a, T>, WaitTimeoutResult)>
    where
        F: FnMut(&mut T) -> bool,
    {
        let start = Instant::now();
        loop {
            if !condition(&mut guard) {
                guard.note_condition();
                return Ok((guard, timeout_result(false)));
            }
            let Some(left) = dur.checked_sub(start.elapsed()) else {
                return Ok((guard, timeout_result(true)));
            };
            guard = self.wait_timeout(guard, left)?.0;
        }
    }

    /// As [`std::sync::Condvar::notify_one`].
    #[inline]
    pub fn notify_one(&self) {
        self.inner.notify_one();
    }

    /// As [`std::sync::Condvar::notify_all`].
    #[inline]
    pub fn notify_all(&self) {
        self.inner.notify_all();
    }
}

impl fmt::Debug for Condvar {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// std creates these only in its own waits, so this waits, without blocking.
fn timeout_result(timed_out: bool) -> WaitTimeoutResult {
    let unshared = sync::Mutex::new(());
    let guard = unshared.lock().unwrap_or_else(PoisonError::into_inner);
    match sync::Condvar::new().wait_timeout_while(guard, Duration::ZERO, |()| timed_out) {
        Ok((_, result)) => result,
        Err(poisoned) => poisoned.into_inner().1,
    }
}
