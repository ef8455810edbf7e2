//! [`RawRwLock`].
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
#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

use std::{any::type_name, fmt, mem::ManuallyDrop};

use lock_api_0_5::{
    self as lock_api, RawRwLockDowngrade, RawRwLockFair, RawRwLockTimed, RawRwLockUpgrade,
    RawRwLockUpgradeDowngrade, RawRwLockUpgradeFair, RawRwLockUpgradeTimed,
};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::{PendingAcquire, Tracked},
};

/// A raw readers-writer lock of `lock_api`, checked: see the [module](super).
///
/// `RECURSIVE`: whether its readers pass queued writers, as those of [`RawRwLockRecursive`] do.
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

    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "RwLock",
        of: LockOf::Raw { raw: type_name::<R>, guard: type_name::<R::ExclusiveGuard> },
        role: Role::Lock,
    };

    /// How its readers wait.
    const SHARED: Mode = if RECURSIVE { Mode::RecursiveShared } else { Mode::Shared };

    /// An acquisition that waits if it must.
    #[track_caller]
    #[inline(always)]
    fn taking<G>(
        &self,
        mode: Mode,
        try_lock: impl Fn(&R) -> Option<G>,
        lock: impl FnOnce(&R) -> G,
    ) -> G {
        let fast = match mode {
            Mode::Exclusive => self.tracked.try_fast_write(Self::KIND),
            mode => self.tracked.try_fast(Self::KIND, mode),
        };
        if let Some(fast) = &fast
            && let Some(guard) = try_lock(&self.inner)
        {
            fast.acquired();
            return guard;
        }
        self.taking_slow(mode, try_lock, lock)
    }

    #[cold]
    #[track_caller]
    fn taking_slow<G>(
        &self,
        mode: Mode,
        try_lock: impl Fn(&R) -> Option<G>,
        lock: impl FnOnce(&R) -> G,
    ) -> G {
        let mut pending = match mode {
            Mode::Exclusive => self.tracked.about_to_write(Self::KIND, mode),
            mode => self.tracked.about_to_block(Self::KIND, mode),
        };
        let guard = match try_lock(&self.inner) {
            Some(guard) => guard,
            None => pending.contended(|| try_lock(&self.inner), || lock(&self.inner)),
        };
        pending.acquired().forget();
        guard
    }

    /// An acquisition that does not wait.
    #[track_caller]
    fn trying<G>(&self, mode: Mode, try_lock: impl FnOnce(&R) -> Option<G>) -> Option<G> {
        let pending = self.tracked.about_to_try(Self::KIND, mode);
        let Some(guard) = try_lock(&self.inner) else {
            pending.abandon();
            return None;
        };
        pending.acquired().forget();
        Some(guard)
    }

    /// An acquisition that waits for some time at most.
    #[track_caller]
    fn try_timeout<G>(
        &self,
        mode: Mode,
        try_lock: impl FnOnce(&R) -> Option<G>,
        wait: impl FnOnce(&R) -> Option<G>,
    ) -> Option<G> {
        let pending = self.tracked.about_to_try(Self::KIND, mode);
        let wait = || pending.wait_timeout(|| wait(&self.inner));
        let Some(guard) = try_lock(&self.inner).or_else(wait) else {
            pending.abandon();
            return None;
        };
        pending.acquired().forget();
        Some(guard)
    }

    /// The lock is given back for a moment, and taken again in the same mode.
    #[track_caller]
    fn bumping(&self, mode: Mode, bump: impl FnOnce(&R)) {
        // If it is denied, the caller's guard is still there.
        let held = ManuallyDrop::new(self.tracked.held(mode.once_held()));
        let pending = held.about_to_bump(Self::KIND);
        pending.wait(|| bump(&self.inner));
        pending.acquired_after_wait().forget();
    }

    /// The lock stays held, in another mode.
    fn turn(&self, from: Mode, to: Mode) {
        self.tracked.held(from).into_mode(to).forget();
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
        self.taking(Self::SHARED, R::try_lock_shared, R::lock_shared)
    }

    #[track_caller]
    #[inline]
    fn try_lock_shared(&self) -> Option<R::SharedGuard> {
        self.trying(Self::SHARED, R::try_lock_shared)
    }

    #[inline]
    unsafe fn unlock_shared(&self, guard: R::SharedGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Shared, || unsafe { self.inner.unlock_shared(guard) });
    }

    #[track_caller]
    #[inline]
    fn lock_exclusive(&self) -> R::ExclusiveGuard {
        self.taking(Mode::Exclusive, R::try_lock_exclusive, R::lock_exclusive)
    }

    #[track_caller]
    #[inline]
    fn try_lock_exclusive(&self) -> Option<R::ExclusiveGuard> {
        self.trying(Mode::Exclusive, R::try_lock_exclusive)
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
        self.bumping(Self::SHARED, |raw| unsafe { raw.bump_shared(guard) });
    }

    #[track_caller]
    unsafe fn bump_exclusive(&self, guard: &mut R::ExclusiveGuard) {
        // SAFETY: *Held*.
        self.bumping(Mode::Exclusive, |raw| unsafe { raw.bump_exclusive(guard) });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockDowngrade, const RECURSIVE: bool> RawRwLockDowngrade
    for RawRwLock<R, RECURSIVE>
{
    unsafe fn downgrade(&self, guard: R::ExclusiveGuard) -> R::SharedGuard {
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade(guard) };
        self.turn(Mode::Exclusive, Mode::Shared);
        guard
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockTimed, const RECURSIVE: bool> RawRwLockTimed for RawRwLock<R, RECURSIVE> {
    type Duration = R::Duration;
    type Instant = R::Instant;

    #[track_caller]
    fn try_lock_shared_for(&self, timeout: R::Duration) -> Option<R::SharedGuard> {
        self.try_timeout(Self::SHARED, R::try_lock_shared, |raw| raw.try_lock_shared_for(timeout))
    }

    #[track_caller]
    fn try_lock_shared_until(&self, timeout: R::Instant) -> Option<R::SharedGuard> {
        self.try_timeout(Self::SHARED, R::try_lock_shared, |raw| raw.try_lock_shared_until(timeout))
    }

    #[track_caller]
    fn try_lock_exclusive_for(&self, timeout: R::Duration) -> Option<R::ExclusiveGuard> {
        self.try_timeout(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_exclusive_until(&self, timeout: R::Instant) -> Option<R::ExclusiveGuard> {
        self.try_timeout(Mode::Exclusive, R::try_lock_exclusive, |raw| {
            raw.try_lock_exclusive_until(timeout)
        })
    }
}

impl<R: RawRwLockUpgrade, const RECURSIVE: bool> RawRwLock<R, RECURSIVE> {
    /// An upgrade that waits for some time at most, or not at all.
    #[track_caller]
    fn upgrading(
        &self,
        guard: R::UpgradableGuard,
        upgrade: impl FnOnce(
            R::UpgradableGuard,
            PendingAcquire<'_>,
        ) -> Result<R::ExclusiveGuard, R::UpgradableGuard>,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        let mut on_unwind = OnUnwind { lock: self, guard: Some(guard) };
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Upgrade);
        let guard = on_unwind.guard.take().expect("it was not dropped");
        let result = upgrade(guard, pending);
        if result.is_ok() {
            pending.upgraded();
            self.turn(Mode::Upgradable, Mode::Exclusive);
        } else {
            pending.abandon();
        }
        result
    }
}

/// Releases an upgradable lock if a finding keeps it from being upgraded: whoever upgrades
/// has given its guard's state away.
struct OnUnwind<'a, R: RawRwLockUpgrade, const RECURSIVE: bool> {
    lock: &'a RawRwLock<R, RECURSIVE>,
    guard: Option<R::UpgradableGuard>,
}

impl<R: RawRwLockUpgrade, const RECURSIVE: bool> Drop for OnUnwind<'_, R, RECURSIVE> {
    fn drop(&mut self) {
        if let Some(guard) = self.guard.take() {
            // SAFETY: `guard` is the state of an upgradable guard that was passed to `upgrade` and was not
            // upgraded, so this is its only release.
            unsafe { self.lock.unlock_upgradable(guard) }
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
        self.taking(Mode::Upgradable, R::try_lock_upgradable, R::lock_upgradable)
    }

    #[track_caller]
    #[inline]
    fn try_lock_upgradable(&self) -> Option<R::UpgradableGuard> {
        self.trying(Mode::Upgradable, R::try_lock_upgradable)
    }

    #[inline]
    unsafe fn unlock_upgradable(&self, guard: R::UpgradableGuard) {
        // SAFETY: *Held*.
        self.tracked.release(Mode::Upgradable, || unsafe { self.inner.unlock_upgradable(guard) });
    }

    #[track_caller]
    unsafe fn upgrade(&self, guard: R::UpgradableGuard) -> R::ExclusiveGuard {
        let mut on_unwind = OnUnwind { lock: self, guard: Some(guard) };
        let pending = self.tracked.about_to_write(Self::KIND, Mode::Upgrade);
        let guard = on_unwind.guard.take().expect("it was not dropped");
        // SAFETY: *Held*.
        let guard = match unsafe { self.inner.try_upgrade(guard) } {
            Ok(guard) => {
                pending.upgraded();
                guard
            }
            Err(guard) => {
                on_unwind.guard = Some(guard);
                pending.wait(|| {
                    let guard = on_unwind.guard.take().expect("it was not dropped");
                    // SAFETY: *Held*; `try_upgrade` has failed, so that it is still upgradable.
                    unsafe { self.inner.upgrade(guard) }
                })
            }
        };
        self.turn(Mode::Upgradable, Mode::Exclusive);
        guard
    }

    #[track_caller]
    unsafe fn try_upgrade(
        &self,
        guard: R::UpgradableGuard,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        // SAFETY: *Held*.
        self.upgrading(guard, |guard, _| unsafe { self.inner.try_upgrade(guard) })
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
        self.bumping(Mode::Upgradable, |raw| unsafe { raw.bump_upgradable(guard) });
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeDowngrade, const RECURSIVE: bool> RawRwLockUpgradeDowngrade
    for RawRwLock<R, RECURSIVE>
{
    unsafe fn downgrade_upgradable(&self, guard: R::UpgradableGuard) -> R::SharedGuard {
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade_upgradable(guard) };
        self.turn(Mode::Upgradable, Mode::Shared);
        guard
    }

    unsafe fn downgrade_to_upgradable(&self, guard: R::ExclusiveGuard) -> R::UpgradableGuard {
        // SAFETY: *Held*.
        let guard = unsafe { self.inner.downgrade_to_upgradable(guard) };
        self.turn(Mode::Exclusive, Mode::Upgradable);
        guard
    }
}

// SAFETY: *Forwarded*.
unsafe impl<R: RawRwLockUpgradeTimed, const RECURSIVE: bool> RawRwLockUpgradeTimed
    for RawRwLock<R, RECURSIVE>
{
    #[track_caller]
    fn try_lock_upgradable_for(&self, timeout: R::Duration) -> Option<R::UpgradableGuard> {
        self.try_timeout(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_for(timeout)
        })
    }

    #[track_caller]
    fn try_lock_upgradable_until(&self, timeout: R::Instant) -> Option<R::UpgradableGuard> {
        self.try_timeout(Mode::Upgradable, R::try_lock_upgradable, |raw| {
            raw.try_lock_upgradable_until(timeout)
        })
    }

    #[track_caller]
    unsafe fn try_upgrade_for(
        &self,
        guard: R::UpgradableGuard,
        timeout: R::Duration,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        self.upgrading(guard, |guard, pending| {
            // SAFETY: *Held*.
            pending.wait_timeout(|| unsafe { self.inner.try_upgrade_for(guard, timeout) })
        })
    }

    #[track_caller]
    unsafe fn try_upgrade_until(
        &self,
        guard: R::UpgradableGuard,
        timeout: R::Instant,
    ) -> Result<R::ExclusiveGuard, R::UpgradableGuard> {
        self.upgrading(guard, |guard, pending| {
            // SAFETY: *Held*.
            pending.wait_timeout(|| unsafe { self.inner.try_upgrade_until(guard, timeout) })
        })
    }
}
