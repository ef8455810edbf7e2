//! [`RawRwLock`].
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

use ::lock_api::{
    RawRwLockDowngrade, RawRwLockFair, RawRwLockRecursive, RawRwLockRecursiveTimed, RawRwLockTimed,
    RawRwLockUpgrade, RawRwLockUpgradeDowngrade, RawRwLockUpgradeFair, RawRwLockUpgradeTimed,
};

use crate::{
    finding::Mode,
    tracked::{RawLock, Tracked},
};

/// How `lock_shared` acquires. For a raw lock whose policy is unknown, as with those that `cargo
/// lockdep` finds, readers are assumed to pass waiting writers, so that every reported deadlock is
/// possible.
const READ_MODE: Mode = if cfg!(readers_pass) { Mode::RecursiveShared } else { Mode::Shared };

/// A raw readers-writer lock of `lock_api`, checked: see the [module](super).
///
/// ```
/// use lockdep::lock_api::RawRwLock;
///
/// // was: type RwLock<T> = lock_api::RwLock<parking_lot::RawRwLock, T>;
/// type RwLock<T> = lock_api::RwLock<RawRwLock<parking_lot::RawRwLock>, T>;
///
/// let rate = RwLock::new(3);
/// *rate.write() += 1;
/// assert_eq!(*rate.read(), 4);
/// ```
pub struct RawRwLock<R> {
    tracked: Tracked,
    inner: R,
}

impl<R: lock_api::RawRwLock> RawRwLock<R> {
    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::RwLock<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
    }

    /// Records that the lock is now held in another mode.
    fn change_mode(&self, from: Mode, to: Mode) {
        self.tracked.held(from).into_mode(to).forget();
    }
}

impl<R: lock_api::RawRwLock> RawLock for RawRwLock<R> {
    type Raw = R;
    type Guard = R::GuardMarker;
    const WRAPPER: &'static str = "RwLock";
    const HAS_READERS: bool = true;

    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    #[inline(always)]
    fn raw(&self) -> &R {
        &self.inner
    }
}

impl<R> fmt::Debug for RawRwLock<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRwLock").finish_non_exhaustive()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: lock_api::RawRwLock> lock_api::RawRwLock for RawRwLock<R> {
    const INIT: Self = Self { tracked: Tracked::without_location(), inner: R::INIT };

    type GuardMarker = R::GuardMarker;

    #[track_caller]
    #[inline(always)]
    fn lock_shared(&self) {
        self.acquire(READ_MODE, R::try_lock_shared, R::lock_shared);
    }

    #[track_caller]
    #[inline]
    fn try_lock_shared(&self) -> bool {
        self.try_acquire(Mode::Shared, R::try_lock_shared)
    }

    #[inline]
    unsafe fn unlock_shared(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Shared, || unsafe { self.inner.unlock_shared() });
    }

    #[track_caller]
    #[inline]
    fn lock_exclusive(&self) {
        self.acquire(Mode::Exclusive, R::try_lock_exclusive, R::lock_exclusive);
    }

    #[track_caller]
    #[inline]
    fn try_lock_exclusive(&self) -> bool {
        self.try_acquire(Mode::Exclusive, R::try_lock_exclusive)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.inner.unlock_exclusive() });
    }

    #[inline]
    fn is_locked(&self) -> bool {
        self.inner.is_locked()
    }

    #[inline]
    fn is_locked_exclusive(&self) -> bool {
        self.inner.is_locked_exclusive()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockFair> RawRwLockFair for RawRwLock<R> {
    unsafe fn unlock_shared_fair(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Shared, || unsafe { self.inner.unlock_shared_fair() });
    }

    unsafe fn unlock_exclusive_fair(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.inner.unlock_exclusive_fair() });
    }

    #[track_caller]
    unsafe fn bump_shared(&self) {
        // SAFETY: *Held*.
        self.bump_by(READ_MODE, |raw| unsafe { raw.bump_shared() });
    }

    #[track_caller]
    unsafe fn bump_exclusive(&self) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Exclusive, |raw| unsafe { raw.bump_exclusive() });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockDowngrade> RawRwLockDowngrade for RawRwLock<R> {
    unsafe fn downgrade(&self) {
        // SAFETY: *Held*.
        unsafe { self.inner.downgrade() }
        self.change_mode(Mode::Exclusive, Mode::Shared);
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockTimed> RawRwLockTimed for RawRwLock<R> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: R::Duration) -> bool {
        self.try_acquire_timed(Mode::Shared, R::try_lock_shared, |raw| {
            raw.try_lock_shared_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_shared_until(&self, timeout: R::Instant) -> bool {
        self.try_acquire_timed(Mode::Shared, R::try_lock_shared, |raw| {
            raw.try_lock_shared_until(timeout)
        })
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> bool {
        self.try_acquire_timed(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, timeout: R::Instant) -> bool {
        self.try_acquire_timed(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_until(timeout)
        })
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockRecursive> RawRwLockRecursive for RawRwLock<R> {
    #[track_caller]
    #[inline]
    fn lock_shared_recursive(&self) {
        self.acquire(Mode::RecursiveShared, R::try_lock_shared_recursive, R::lock_shared_recursive);
    }

    #[track_caller]
    #[inline]
    fn try_lock_shared_recursive(&self) -> bool {
        self.try_acquire(Mode::RecursiveShared, R::try_lock_shared_recursive)
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockRecursiveTimed> RawRwLockRecursiveTimed for RawRwLock<R> {
    #[track_caller]
    fn try_lock_shared_recursive_for(&self, timeout: R::Duration) -> bool {
        self.try_acquire_timed(Mode::RecursiveShared, R::try_lock_shared_recursive, |raw| {
            raw.try_lock_shared_recursive_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_shared_recursive_until(&self, timeout: R::Instant) -> bool {
        self.try_acquire_timed(Mode::RecursiveShared, R::try_lock_shared_recursive, |raw| {
            raw.try_lock_shared_recursive_until(timeout)
        })
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgrade> RawRwLockUpgrade for RawRwLock<R> {
    #[track_caller]
    #[inline]
    fn lock_upgradable(&self) {
        self.acquire(Mode::Upgradable, R::try_lock_upgradable, R::lock_upgradable);
    }

    #[track_caller]
    #[inline]
    fn try_lock_upgradable(&self) -> bool {
        self.try_acquire(Mode::Upgradable, R::try_lock_upgradable)
    }

    #[inline]
    unsafe fn unlock_upgradable(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Upgradable, || unsafe { self.inner.unlock_upgradable() });
    }

    #[track_caller]
    #[inline]
    unsafe fn upgrade(&self) {
        let pending = self.tracked.about_to_write(Self::KIND, Mode::Upgrade);
        // SAFETY: *Held*.
        if unsafe { self.inner.try_upgrade() } {
            pending.upgraded();
        } else {
            // SAFETY: *Held*; `try_upgrade` failed, so the lock is still held upgradable.
            pending.wait(|| unsafe { self.inner.upgrade() });
        }
        self.change_mode(Mode::Upgradable, Mode::Exclusive);
    }

    #[track_caller]
    unsafe fn try_upgrade(&self) -> bool {
        // SAFETY: *Held*.
        self.try_upgrade_by(|_| unsafe { self.inner.try_upgrade() })
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeFair> RawRwLockUpgradeFair for RawRwLock<R> {
    unsafe fn unlock_upgradable_fair(&self) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Upgradable, || unsafe { self.inner.unlock_upgradable_fair() });
    }

    #[track_caller]
    unsafe fn bump_upgradable(&self) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Upgradable, |raw| unsafe { raw.bump_upgradable() });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeDowngrade> RawRwLockUpgradeDowngrade for RawRwLock<R> {
    unsafe fn downgrade_upgradable(&self) {
        // SAFETY: *Held*.
        unsafe { self.inner.downgrade_upgradable() }
        self.change_mode(Mode::Upgradable, Mode::Shared);
    }

    unsafe fn downgrade_to_upgradable(&self) {
        // SAFETY: *Held*.
        unsafe { self.inner.downgrade_to_upgradable() }
        self.change_mode(Mode::Exclusive, Mode::Upgradable);
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeTimed> RawRwLockUpgradeTimed for RawRwLock<R> {
    #[track_caller]
    fn try_lock_upgradable_for(&self, timeout: R::Duration) -> bool {
        self.try_acquire_timed(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_upgradable_until(&self, timeout: R::Instant) -> bool {
        self.try_acquire_timed(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_until(timeout)
        })
    }

    #[track_caller]
    unsafe fn try_upgrade_for(&self, timeout: R::Duration) -> bool {
        // SAFETY: *Held*.
        let upgrade = || unsafe { self.inner.try_upgrade_for(timeout) };
        self.try_upgrade_by(|pending| pending.wait_timeout(upgrade))
    }

    #[track_caller]
    unsafe fn try_upgrade_until(&self, timeout: R::Instant) -> bool {
        // SAFETY: *Held*.
        let upgrade = || unsafe { self.inner.try_upgrade_until(timeout) };
        self.try_upgrade_by(|pending| pending.wait_timeout(upgrade))
    }
}
