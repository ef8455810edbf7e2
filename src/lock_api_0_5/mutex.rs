//! [`RawMutex`].
//!
//! # Safety
//!
//! The unsafe code relies on two facts, by name:
//!
//! - *Forwarded*: an acquisition succeeds only if the wrapped lock's own does, and a release is the
//!   wrapped lock's. So it meets the requirements of lock_api's traits because `R` does.
//! - *Held*: an unsafe function of lock_api requires that the caller holds the lock in the mode
//!   that it releases or changes, and passes the state of its guard. By *Forwarded* the caller then
//!   holds the wrapped lock in that mode, which is what its function of the same name requires; the
//!   state is handed on unchanged.

#![allow(unsafe_code, reason = "lock_api's traits are unsafe to implement")]
#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

use std::fmt;

use lock_api_0_5::{self as lock_api, RawMutexFair, RawMutexTimed};

use crate::{
    finding::Mode,
    tracked::{RawLock, Tracked},
};

/// A raw mutex of `lock_api`, checked: see the [module](super).
///
/// ```
/// # #[cfg(feature = "parking_lot_0_13")]
/// # {
/// # use {lock_api_0_5 as lock_api, parking_lot_0_13 as parking_lot};
/// use lockdep::lock_api_0_5::RawMutex;
///
/// // was: type Mutex<T> = lock_api::Mutex<parking_lot::RawMutex, T>;
/// type Mutex<T> = lock_api::Mutex<RawMutex<parking_lot::RawMutex>, T>;
///
/// let balance = Mutex::new(100);
/// *balance.lock() -= 30;
/// assert_eq!(balance.into_inner(), 70);
/// # }
/// ```
pub struct RawMutex<R> {
    tracked: Tracked,
    inner: R,
}

impl<R: lock_api::RawMutex> RawMutex<R> {
    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::Mutex<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
    }
}

impl<R: lock_api::RawMutex> RawLock for RawMutex<R> {
    type Raw = R;
    type Guard = R::Guard;
    const WRAPPER: &'static str = "Mutex";
    const HAS_READERS: bool = false;

    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    #[inline(always)]
    fn raw(&self) -> &R {
        &self.inner
    }
}

impl<R> fmt::Debug for RawMutex<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").finish_non_exhaustive()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: lock_api::RawMutex> lock_api::RawMutex for RawMutex<R> {
    const INIT: Self = Self { tracked: Tracked::without_location(), inner: R::INIT };

    type Guard = R::Guard;

    #[track_caller]
    #[inline]
    fn lock(&self) -> R::Guard {
        self.acquire(Mode::Exclusive, R::try_lock, R::lock)
    }

    #[track_caller]
    #[inline]
    fn try_lock(&self) -> Option<R::Guard> {
        self.try_acquire(Mode::Exclusive, R::try_lock)
    }

    #[inline]
    unsafe fn unlock(&self, guard: R::Guard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.inner.unlock(guard) });
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexFair> RawMutexFair for RawMutex<R> {
    #[inline]
    unsafe fn unlock_fair(&self, guard: R::Guard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.inner.unlock_fair(guard) });
    }

    #[track_caller]
    unsafe fn bump(&self, guard: &mut R::Guard) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Exclusive, |raw| unsafe { raw.bump(guard) });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexTimed> RawMutexTimed for RawMutex<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: R::Duration) -> Option<R::Guard> {
        let wait = |raw: &R| raw.try_lock_for(timeout);
        self.try_acquire_timed(Mode::Exclusive, R::try_lock, wait)
    }

    #[track_caller]
    fn try_lock_until(&self, timeout: R::Instant) -> Option<R::Guard> {
        let wait = |raw: &R| raw.try_lock_until(timeout);
        self.try_acquire_timed(Mode::Exclusive, R::try_lock, wait)
    }
}
