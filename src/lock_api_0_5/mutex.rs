//! [`RawMutex`].
//!
//! # Safety
//!
//! The unsafe code relies on two facts, by name:
//!
//! - *Forwarded*: an acquisition succeeds only if the wrapped lock's own does, and a release is the
//!   wrapped lock's. What lock_api's traits require of a lock therefore holds as it holds of `R`.
//! - *Held*: an unsafe function of lock_api requires that the caller holds the lock in the mode that it
//!   releases or changes, and passes the state of the guard by which it does. By *Forwarded* the caller
//!   then holds the wrapped lock in that mode, which is what its function of the same name requires; the
//!   state is handed on unchanged.

#![allow(unsafe_code, reason = "lock_api's traits are unsafe to implement")]

use std::{any::type_name, fmt, mem::ManuallyDrop};

use lock_api_0_5::{self as lock_api, RawMutexFair, RawMutexTimed};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
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
    pub(super) tracked: Tracked,
    pub(super) inner: R,
}

impl<R: lock_api::RawMutex> RawMutex<R> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "Mutex",
        of: LockOf::Raw { raw: type_name::<R>, guard: type_name::<R::Guard> },
        role: Role::Lock,
    };

    #[cold]
    #[track_caller]
    fn lock_slow(&self) -> R::Guard {
        let mut pending = self.tracked.about_to_block(Self::KIND, Mode::Exclusive);
        let guard = match self.inner.try_lock() {
            Some(guard) => guard,
            None => pending.contended(|| self.inner.try_lock(), || self.inner.lock()),
        };
        pending.acquired().forget();
        guard
    }

    /// An acquisition that does not wait.
    #[track_caller]
    fn trying<G>(&self, try_lock: impl FnOnce(&R) -> Option<G>) -> Option<G> {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        let Some(guard) = try_lock(&self.inner) else {
            pending.abandon();
            return None;
        };
        pending.acquired().forget();
        Some(guard)
    }

    /// An acquisition that waits for some time at most.
    #[track_caller]
    fn try_timeout(&self, wait: impl FnOnce(&R) -> Option<R::Guard>) -> Option<R::Guard> {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        let wait = || pending.wait_timeout(|| wait(&self.inner));
        let Some(guard) = self.inner.try_lock().or_else(wait) else {
            pending.abandon();
            return None;
        };
        pending.acquired().forget();
        Some(guard)
    }

    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::Mutex<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
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
        if let Some(fast) = &self.tracked.try_fast(Self::KIND, Mode::Exclusive)
            && let Some(guard) = self.inner.try_lock()
        {
            fast.acquired();
            return guard;
        }
        self.lock_slow()
    }

    #[track_caller]
    #[inline]
    fn try_lock(&self) -> Option<R::Guard> {
        self.trying(R::try_lock)
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
        // If it is denied, the caller's guard is still there.
        let held = ManuallyDrop::new(self.tracked.held(Mode::Exclusive));
        let pending = held.about_to_bump(Self::KIND);
        // SAFETY: *Held*.
        pending.wait(|| unsafe { self.inner.bump(guard) });
        pending.acquired_after_wait().forget();
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawMutexTimed> RawMutexTimed for RawMutex<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_for(&self, timeout: R::Duration) -> Option<R::Guard> {
        self.try_timeout(|raw| raw.try_lock_for(timeout))
    }

    #[track_caller]
    fn try_lock_until(&self, timeout: R::Instant) -> Option<R::Guard> {
        self.try_timeout(|raw| raw.try_lock_until(timeout))
    }
}
