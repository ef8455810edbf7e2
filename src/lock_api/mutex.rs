//! [`RawMutex`].
//!
//! # Safety
//!
//! The unsafe code relies on two facts, by name:
//!
//! - *Forwarded*: an acquisition succeeds only if the wrapped lock's own does, and a release is the
//!   wrapped lock's. What lock_api's traits require of a lock therefore holds as it holds of `R`.
//! - *Held*: an unsafe function of lock_api requires that the caller holds the lock in the mode that it
//!   releases or changes. By *Forwarded* the caller then holds the wrapped lock in that mode, which is
//!   what its function of the same name requires.

#![allow(unsafe_code, reason = "lock_api's traits are unsafe to implement")]
#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

use std::{any::type_name, fmt, mem::ManuallyDrop};

use ::lock_api::{RawMutexFair, RawMutexTimed};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
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
    // In a lock of its own, so that a guard of `R` can be had for its condition variables.
    inner: lock_api::Mutex<R, ()>,
}

impl<R: lock_api::RawMutex> RawMutex<R> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "Mutex",
        of: LockOf::Raw { raw: type_name::<R>, guard: type_name::<R::GuardMarker> },
        role: Role::Lock,
    };

    #[inline(always)]
    fn raw(&self) -> &R {
        // SAFETY: the raw lock protects a `()`, so that no use of it gives access to a value.
        unsafe { self.inner.raw() }
    }

    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::Mutex<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
    }

    #[cfg(feature = "parking_lot")]
    pub(crate) fn inner(&self) -> &lock_api::Mutex<R, ()> {
        &self.inner
    }

    #[cold]
    #[track_caller]
    fn lock_slow(&self) {
        let mut pending = self.tracked.about_to_block(Self::KIND, Mode::Exclusive);
        if !self.raw().try_lock() {
            pending.contended(|| self.raw().try_lock().then_some(()), || self.raw().lock());
        }
        pending.acquired().forget();
    }

    /// An acquisition that does not wait.
    #[track_caller]
    fn trying(&self, try_lock: impl FnOnce(&R) -> bool) -> bool {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        let taken = try_lock(self.raw());
        if taken {
            pending.acquired().forget();
        } else {
            pending.abandon();
        }
        taken
    }

    /// An acquisition that waits for some time at most.
    #[track_caller]
    fn try_timeout(&self, wait: impl FnOnce(&R) -> bool) -> bool {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        let taken = self.raw().try_lock() || pending.wait_timeout(|| wait(self.raw()));
        if taken {
            pending.acquired().forget();
        } else {
            pending.abandon();
        }
        taken
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
        match &self.tracked.try_fast(Self::KIND, Mode::Exclusive) {
            Some(fast) if self.raw().try_lock() => fast.acquired(),
            _ => self.lock_slow(),
        }
    }

    #[track_caller]
    #[inline]
    fn try_lock(&self) -> bool {
        self.trying(R::try_lock)
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
        // If it is denied, the caller's guard is still there.
        let held = ManuallyDrop::new(self.tracked.held(Mode::Exclusive));
        let pending = held.about_to_bump(Self::KIND);
        // SAFETY: *Held*.
        pending.wait(|| unsafe { self.raw().bump() });
        pending.acquired_after_wait().forget();
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexTimed> RawMutexTimed for RawMutex<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: R::Duration) -> bool {
        self.try_timeout(|raw| raw.try_lock_for(timeout))
    }

    #[track_caller]
    fn try_lock_until(&self, timeout: R::Instant) -> bool {
        self.try_timeout(|raw| raw.try_lock_until(timeout))
    }
}
