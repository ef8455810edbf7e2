//! [`RawCondvar`].
//!
//! # Safety
//!
//! The unsafe code relies on one fact, by name. *Held*: a wait of lock_api requires that the caller
//! holds `mutex` through `guard`. The adapter's mutex is held only while the wrapped one is, with
//! the same guard, so the wrapped condition variable may wait with both.

#![allow(unsafe_code, reason = "lock_api's traits are unsafe to implement")]

use std::fmt;

use lock_api_0_5::{self as lock_api, RawCondvarTimed, RawMutexTimed};

use super::RawMutex;
use crate::tracked::RawLock;

/// A raw condition variable of `lock_api`, checked: a wait releases its mutex and acquires it
/// again. That acquisition is checked before the wait begins.
///
/// ```
/// # #[cfg(feature = "parking_lot_0_13")]
/// # {
/// # use {lock_api_0_5 as lock_api, parking_lot_0_13 as parking_lot};
/// use lockdep::lock_api_0_5::{RawCondvar, RawMutex};
///
/// type Mutex<T> = lock_api::Mutex<RawMutex<parking_lot::RawMutex>, T>;
/// type Condvar = lock_api::Condvar<RawCondvar<parking_lot::RawCondvar>>;
///
/// let (queue, pushed) = (Mutex::new(vec!["a job"]), Condvar::new());
/// pushed.wait_while(&mut queue.lock(), |queue| queue.is_empty());
/// # }
/// ```
pub struct RawCondvar<C> {
    inner: C,
}

impl<C> fmt::Debug for RawCondvar<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawCondvar").finish_non_exhaustive()
    }
}

type Guard<C> = <<C as lock_api::RawCondvar>::RawMutex as lock_api::RawMutex>::Guard;
type Instant<C> = <<C as lock_api::RawCondvar>::RawMutex as RawMutexTimed>::Instant;
type Duration<C> = <<C as lock_api::RawCondvar>::RawMutex as RawMutexTimed>::Duration;

// SAFETY: each wait is one of the wrapped condition variable, with the wrapped mutex, so that it
// returns with that mutex held, as the trait requires.
unsafe impl<C: lock_api::RawCondvar> lock_api::RawCondvar for RawCondvar<C> {
    const INIT: Self = Self { inner: C::INIT };

    type RawMutex = RawMutex<C::RawMutex>;

    #[track_caller]
    unsafe fn wait(&self, mutex: &Self::RawMutex, guard: &mut Guard<C>) {
        // SAFETY: *Held*.
        mutex.wait_on_condition(|| unsafe { self.inner.wait(mutex.raw(), guard) });
    }

    fn notify_one(&self) -> bool {
        self.inner.notify_one()
    }

    fn notify_all(&self) -> usize {
        self.inner.notify_all()
    }
}

// SAFETY: as for `RawCondvar`.
unsafe impl<C: RawCondvarTimed> RawCondvarTimed for RawCondvar<C>
where
    C::RawMutex: RawMutexTimed,
{
    fn checked_duration_to_instant(timeout: &Duration<C>) -> Option<Instant<C>> {
        C::checked_duration_to_instant(timeout)
    }

    #[track_caller]
    unsafe fn wait_until(
        &self,
        mutex: &Self::RawMutex,
        guard: &mut Guard<C>,
        timeout: &Instant<C>,
    ) -> bool {
        // SAFETY: *Held*.
        mutex.wait_on_condition(|| unsafe { self.inner.wait_until(mutex.raw(), guard, timeout) })
    }

    #[track_caller]
    unsafe fn wait_for(
        &self,
        mutex: &Self::RawMutex,
        guard: &mut Guard<C>,
        timeout: &Duration<C>,
    ) -> bool {
        // SAFETY: *Held*.
        mutex.wait_on_condition(|| unsafe { self.inner.wait_for(mutex.raw(), guard, timeout) })
    }
}
