//! [`RawMutex`].
//!
//! # Safety
//!
//! The unsafe code relies on two facts, by name:
//!
//! - *Forwarded*: an acquisition succeeds only if the wrapped lock's own does, and a release is the
//!   wrapped lock's. So it meets the requirements of lock_api's traits because `R` does.
//! - *Held*: an unsafe function of lock_api requires that the caller holds the lock in the mode
//!   that it releases or changes. By *Forwarded* the caller then holds the wrapped lock in that
//!   mode, which is what its function of the same name requires.

#![allow(unsafe_code, reason = "lock_api's traits are unsafe to implement")]
#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

use std::fmt;

use ::lock_api::{RawMutexFair, RawMutexTimed};

use crate::{
    finding::Mode,
    tracked::{RawLock, Tracked},
};

/// A raw mutex of `lock_api`, checked: see the [module](super).
///
/// ```
/// use lockdep::lock_api::RawMutex;
///
/// // was: type Mutex<T> = lock_api::Mutex<parking_lot::RawMutex, T>;
/// type Mutex<T> = lock_api::Mutex<RawMutex<parking_lot::RawMutex>, T>;
///
/// let balance = Mutex::new(100);
/// *balance.lock() -= 30;
/// assert_eq!(balance.into_inner(), 70);
/// ```
pub struct RawMutex<R> {
    tracked: Tracked,
    // Wrapped in a `lock_api::Mutex`, which can create a guard of `R` for `R`'s condition
    // variables.
    inner: lock_api::Mutex<R, ()>,
}

impl<R: lock_api::RawMutex> RawMutex<R> {
    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::Mutex<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
    }

    #[cfg(feature = "parking_lot")]
    pub(crate) fn inner(&self) -> &lock_api::Mutex<R, ()> {
        &self.inner
    }
}

impl<R: lock_api::RawMutex> RawLock for RawMutex<R> {
    type Raw = R;
    type Guard = R::GuardMarker;
    const WRAPPER: &'static str = "Mutex";
    const HAS_READERS: bool = false;

    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    #[inline(always)]
    fn raw(&self) -> &R {
        // SAFETY: the raw lock protects a `()`, so that no use of it gives access to a value.
        unsafe { self.inner.raw() }
    }
}

impl<R> fmt::Debug for RawMutex<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawMutex").finish_non_exhaustive()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: lock_api::RawMutex> lock_api::RawMutex for RawMutex<R> {
    const INIT: Self = Self {
        tracked: Tracked::without_location(),
        inner: lock_api::Mutex::const_new(R::INIT, ()),
    };

    type GuardMarker = R::GuardMarker;

    #[track_caller]
    #[inline]
    fn lock(&self) {
        self.acquire(Mode::Exclusive, R::try_lock, R::lock);
    }

    #[track_caller]
    #[inline]
    fn try_lock(&self) -> bool {
        self.try_acquire(Mode::Exclusive, R::try_lock)
    }

    #[inline]
    unsafe fn unlock(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.raw().unlock() });
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.raw().is_locked()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexFair> RawMutexFair for RawMutex<R> {
    #[inline]
    unsafe fn unlock_fair(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.raw().unlock_fair() });
    }

    #[track_caller]
    unsafe fn bump(&self) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Exclusive, |raw| unsafe { raw.bump() });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexTimed> RawMutexTimed for RawMutex<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: R::Duration) -> bool {
        let wait = |raw: &R| raw.try_lock_for(timeout);
        self.try_acquire_timed(Mode::Exclusive, R::try_lock, wait)
    }

    #[track_caller]
    fn try_lock_until(&self, timeout: R::Instant) -> bool {
        let wait = |raw: &R| raw.try_lock_until(timeout);
        self.try_acquire_timed(Mode::Exclusive, R::try_lock, wait)
    }
}
