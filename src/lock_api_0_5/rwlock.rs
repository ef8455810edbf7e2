//! [`RawRwLock`].
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

use std::{fmt, mem};

use lock_api_0_5::{
    self as lock_api, RawRwLockDowngrade, RawRwLockFair, RawRwLockTimed, RawRwLockUpgrade,
    RawRwLockUpgradeDowngrade, RawRwLockUpgradeFair, RawRwLockUpgradeTimed,
};

use crate::{
    finding::Mode,
    tracked::{PendingAcquire, RawLock, Tracked},
};

/// A raw readers-writer lock of `lock_api`, checked: see the [module](super).
///
/// `RECURSIVE`: `true` if readers pass queued writers, as those of [`RawRwLockRecursive`] do.
///
/// ```
/// # #[cfg(feature = "parking_lot_0_13")]
/// # {
/// # use {lock_api_0_5 as lock_api, parking_lot_0_13 as parking_lot};
/// use lockdep::lock_api_0_5::RawRwLock;
///
/// // was: type RwLock<T> = lock_api::RwLock<parking_lot::RawRwLock, T>;
/// type RwLock<T> = lock_api::RwLock<RawRwLock<parking_lot::RawRwLock>, T>;
///
/// let rate = RwLock::new(3);
/// *rate.write() += 1;
/// assert_eq!(*rate.read(), 4);
/// # }
/// ```
pub struct RawRwLock<R, const RECURSIVE: bool = false> {
    tracked: Tracked,
    inner: R,
}

/// A raw readers-writer lock whose readers pass queued writers, checked.
///
/// ```
/// # #[cfg(feature = "parking_lot_0_13")]
/// # {
/// # use {lock_api_0_5 as lock_api, parking_lot_0_13 as parking_lot};
/// use lockdep::lock_api_0_5::RawRwLockRecursive;
///
/// type RwLock<T> = lock_api::RwLock<RawRwLockRecursive<parking_lot::RawRwLockRecursive>, T>;
///
/// let rate = RwLock::new(3);
/// let (outer, inner) = (rate.read(), rate.read()); // passes waiting writers
/// # }
/// ```
pub type RawRwLockRecursive<R> = RawRwLock<R, true>;

impl<R: lock_api::RawRwLock, const RECURSIVE: bool> RawRwLock<R, RECURSIVE> {
    pub(crate) fn tracked_of<T: ?Sized>(lock: &lock_api::RwLock<Self, T>) -> &Tracked {
        // SAFETY: only `tracked` is reached, and the raw lock is neither locked nor unlocked.
        unsafe { &lock.raw().tracked }
    }

    /// The mode in which readers wait.
    const READ_MODE: Mode = if RECURSIVE { Mode::RecursiveShared } else { Mode::Shared };
}

impl<R: lock_api::RawRwLock, const RECURSIVE: bool> RawLock for RawRwLock<R, RECURSIVE> {
    type Raw = R;
    type Guard = R::ExclusiveGuard;
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

impl<R, const RECURSIVE: bool> fmt::Debug for RawRwLock<R, RECURSIVE> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawRwLock").finish_non_exhaustive()
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: lock_api::RawRwLock, const RECURSIVE: bool> lock_api::RawRwLock
    for RawRwLock<R, RECURSIVE>
{
    const INIT: Self = Self { tracked: Tracked::without_location(), inner: R::INIT };

    type SharedGuard = R::SharedGuard;
    type ExclusiveGuard = R::ExclusiveGuard;

    #[track_caller]
    #[inline]
    fn lock_shared(&self) -> R::SharedGuard {
        self.acquire(Self::READ_MODE, R::try_lock_shared, R::lock_shared)
    }

    #[track_caller]
    #[inline]
    fn try_lock_shared(&self) -> Option<R::SharedGuard> {
        self.try_acquire(Self::READ_MODE, R::try_lock_shared)
    }

    #[inline]
    unsafe fn unlock_shared(&self, guard: R::SharedGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Shared, || unsafe { self.inner.unlock_shared(guard) });
    }

    #[track_caller]
    #[inline]
    fn lock_exclusive(&self) -> R::ExclusiveGuard {
        self.acquire(Mode::Exclusive, R::try_lock_exclusive, R::lock_exclusive)
    }

    #[track_caller]
    #[inline]
    fn try_lock_exclusive(&self) -> Option<R::ExclusiveGuard> {
        self.try_acquire(Mode::Exclusive, R::try_lock_exclusive)
    }

    #[inline]
    unsafe fn unlock_exclusive(&self, guard: R::ExclusiveGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Exclusive, || unsafe { self.inner.unlock_exclusive(guard) });
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
unsafe impl<R: RawRwLockFair, const RECURSIVE: bool> RawRwLockFair for RawRwLock<R, RECURSIVE> {
    unsafe fn unlock_shared_fair(&self, guard: R::SharedGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Shared, || unsafe { self.inner.unlock_shared_fair(guard) });
    }

    unsafe fn unlock_exclusive_fair(&self, guard: R::ExclusiveGuard) {
        // SAFETY: *Held*.
        self.tracked
            .release(Mode::Exclusive, || unsafe { self.inner.unlock_exclusive_fair(guard) });
    }

    #[track_caller]
    unsafe fn bump_shared(&self, guard: &mut R::SharedGuard) {
        // SAFETY: *Held*.
        self.bump_by(Self::READ_MODE, |raw| unsafe { raw.bump_shared(guard) });
    }

    #[track_caller]
    unsafe fn bump_exclusive(&self, guard: &mut R::ExclusiveGuard) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Exclusive, |raw| unsafe { raw.bump_exclusive(guard) });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockDowngrade, const RECURSIVE: bool> RawRwLockDowngrade
    for RawRwLock<R, RECURSIVE>
{
    unsafe fn downgrade(&self, guard: R::ExclusiveGuard) -> R::SharedGuard {
        let held = self.tracked.held(Mode::Exclusive);
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade(guard) };
        held.into_mode(Mode::Shared).forget();
        guard
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockTimed, const RECURSIVE: bool> RawRwLockTimed for RawRwLock<R, RECURSIVE> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: R::Duration) -> Option<R::SharedGuard> {
        self.try_acquire_timed(Self::READ_MODE, R::try_lock_shared, |raw| {
            raw.try_lock_shared_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_shared_until(&self, timeout: R::Instant) -> Option<R::SharedGuard> {
        self.try_acquire_timed(Self::READ_MODE, R::try_lock_shared, |raw| {
            raw.try_lock_shared_until(timeout)
        })
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> Option<R::ExclusiveGuard> {
        self.try_acquire_timed(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, timeout: R::Instant) -> Option<R::ExclusiveGuard> {
        self.try_acquire_timed(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_until(timeout)
        })
    }
}

/// A pending upgrade, which owns the state of the caller's guard. Unwinding releases the lock.
struct Upgrading<'a, R: RawRwLockUpgrade, const RECURSIVE: bool> {
    lock: &'a RawRwLock<R, RECURSIVE>,
    /// `None` while the wrapped lock has the state.
    guard: Option<R::UpgradableGuard>,
}

impl<'a, R: RawRwLockUpgrade, const RECURSIVE: bool> Upgrading<'a, R, RECURSIVE> {
    fn new(lock: &'a RawRwLock<R, RECURSIVE>, guard: R::UpgradableGuard) -> Self {
        Self { lock, guard: Some(guard) }
    }

    /// Takes the state of the guard, for the wrapped lock to consume.
    fn take(&mut self) -> R::UpgradableGuard {
        self.guard.take().expect("the wrapped lock has returned it")
    }

    /// Tries to upgrade with `upgrade`, which may [`take`](Self::take) the state of the guard.
    #[track_caller]
    fn attempt(
        mut self,
        upgrade: impl FnOnce(
            &mut Self,
            PendingAcquire<'_>,
        ) -> Result<R::ExclusiveGuard, R::UpgradableGuard>,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        let result = self.lock.try_upgrade_by(|pending| upgrade(&mut self, pending));
        mem::forget(self);
        result
    }
}

impl<R: RawRwLockUpgrade, const RECURSIVE: bool> Drop for Upgrading<'_, R, RECURSIVE> {
    fn drop(&mut self) {
        match self.guard.take() {
            // SAFETY: `guard` is the state of an upgradable guard that was passed to `upgrade` and
            // was not upgraded, so this is its only release.
            Some(guard) => unsafe { self.lock.unlock_upgradable(guard) },
            // The wrapped lock has unwound and released what it consumed, as lock_api requires.
            None => drop(self.lock.tracked.held(Mode::Upgradable)),
        }
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgrade, const RECURSIVE: bool> RawRwLockUpgrade
    for RawRwLock<R, RECURSIVE>
{
    type UpgradableGuard = R::UpgradableGuard;

    #[track_caller]
    #[inline]
    fn lock_upgradable(&self) -> R::UpgradableGuard {
        self.acquire(Mode::Upgradable, R::try_lock_upgradable, R::lock_upgradable)
    }

    #[track_caller]
    #[inline]
    fn try_lock_upgradable(&self) -> Option<R::UpgradableGuard> {
        self.try_acquire(Mode::Upgradable, R::try_lock_upgradable)
    }

    #[inline]
    unsafe fn unlock_upgradable(&self, guard: R::UpgradableGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Upgradable, || unsafe { self.inner.unlock_upgradable(guard) });
    }

    #[track_caller]
    unsafe fn upgrade(&self, guard: R::UpgradableGuard) -> R::ExclusiveGuard {
        let mut upgrading = Upgrading::new(self, guard);
        let pending = self.tracked.about_to_write(Self::KIND, Mode::Upgrade);
        // SAFETY: *Held*.
        let guard = match unsafe { self.inner.try_upgrade(upgrading.take()) } {
            Ok(guard) => {
                pending.upgraded();
                guard
            }
            Err(guard) => {
                upgrading.guard = Some(guard);
                // SAFETY: *Held*; `try_upgrade` failed, so the lock is still held upgradable.
                pending.wait(|| unsafe { self.inner.upgrade(upgrading.take()) })
            }
        };
        mem::forget(upgrading);
        self.tracked.held(Mode::Upgradable).into_mode(Mode::Exclusive).forget();
        guard
    }

    #[track_caller]
    unsafe fn try_upgrade(
        &self,
        guard: R::UpgradableGuard,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        // SAFETY: *Held*.
        Upgrading::new(self, guard).attempt(|it, _| unsafe { self.inner.try_upgrade(it.take()) })
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeFair, const RECURSIVE: bool> RawRwLockUpgradeFair
    for RawRwLock<R, RECURSIVE>
{
    unsafe fn unlock_upgradable_fair(&self, guard: R::UpgradableGuard) {
        // SAFETY: *Held*.
        self.tracked
            .release(Mode::Upgradable, || unsafe { self.inner.unlock_upgradable_fair(guard) });
    }

    #[track_caller]
    unsafe fn bump_upgradable(&self, guard: &mut R::UpgradableGuard) {
        // SAFETY: *Held*.
        self.bump_by(Mode::Upgradable, |raw| unsafe { raw.bump_upgradable(guard) });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeDowngrade, const RECURSIVE: bool> RawRwLockUpgradeDowngrade
    for RawRwLock<R, RECURSIVE>
{
    unsafe fn downgrade_upgradable(&self, guard: R::UpgradableGuard) -> R::SharedGuard {
        let held = self.tracked.held(Mode::Upgradable);
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade_upgradable(guard) };
        held.into_mode(Mode::Shared).forget();
        guard
    }

    unsafe fn downgrade_to_upgradable(&self, guard: R::ExclusiveGuard) -> R::UpgradableGuard {
        let held = self.tracked.held(Mode::Exclusive);
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade_to_upgradable(guard) };
        held.into_mode(Mode::Upgradable).forget();
        guard
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeTimed, const RECURSIVE: bool> RawRwLockUpgradeTimed
    for RawRwLock<R, RECURSIVE>
{
    #[track_caller]
    fn try_lock_upgradable_for(&self, timeout: R::Duration) -> Option<R::UpgradableGuard> {
        self.try_acquire_timed(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_upgradable_until(&self, timeout: R::Instant) -> Option<R::UpgradableGuard> {
        self.try_acquire_timed(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_until(timeout)
        })
    }

    #[track_caller]
    unsafe fn try_upgrade_for(
        &self,
        guard: R::UpgradableGuard,
        timeout: R::Duration,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        Upgrading::new(self, guard).attempt(|it, pending| {
            // SAFETY: *Held*.
            pending.wait_timeout(|| unsafe { self.inner.try_upgrade_for(it.take(), timeout) })
        })
    }

    #[track_caller]
    unsafe fn try_upgrade_until(
        &self,
        guard: R::UpgradableGuard,
        timeout: R::Instant,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        Upgrading::new(self, guard).attempt(|it, pending| {
            // SAFETY: *Held*.
            pending.wait_timeout(|| unsafe { self.inner.try_upgrade_until(it.take(), timeout) })
        })
    }
}
