//! The guards of a [`RwLock`], but the one that is `RwLockReadGuardArc`.

#![allow(unsafe_code, reason = "a guard refers to the value")]
#![allow(clippy::must_use_candidate, reason = "the originals have no `must_use`")]

use std::sync::Arc;

use ::async_lock as real;

use super::{
    RealLock, RwLock, RwLockReadGuardArc,
    futures::{Upgrade, UpgradeArc},
    parts::{auto_traits, print_value},
    read_arc::ReadHandle,
};
use crate::{
    finding::Mode,
    wrapped_async::{Hold, Raw, Upgrading, deref},
};

type RealRead = real::RwLockReadGuard<'static, ()>;
type RealUpgradable = real::RwLockUpgradableReadGuard<'static, ()>;
type RealWrite = real::RwLockWriteGuard<'static, ()>;

/// The guard of a [`RwLock`] that is read. Dropping it releases the lock.
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    // Not a reference to the whole lock: the guard is covariant in `T`, as the original.
    #[expect(dead_code, reason = "dropping it releases the lock")]
    pub(super) hold: Hold<&'a Raw<RealLock>, RealRead>,
    pub(super) value: *const T,
}

/// The guard of a [`RwLock`] that is read, and that this guard can upgrade. Dropping it releases the
/// lock.
#[clippy::has_significant_drop]
pub struct RwLockUpgradableReadGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a Raw<RealLock>, RealUpgradable>,
    pub(super) value: *mut T,
}

/// As [`RwLockUpgradableReadGuard`], and keeps the lock alive.
#[clippy::has_significant_drop]
pub struct RwLockUpgradableReadGuardArc<T: ?Sized> {
    pub(super) hold: Hold<Arc<RwLock<T>>, RealUpgradable>,
}

/// The guard of a [`RwLock`] that is written. Dropping it releases the lock.
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a Raw<RealLock>, RealWrite>,
    pub(super) value: *mut T,
}

/// As [`RwLockWriteGuard`], and keeps the lock alive.
#[clippy::has_significant_drop]
pub struct RwLockWriteGuardArc<T: ?Sized> {
    pub(super) hold: Hold<Arc<RwLock<T>>, RealWrite>,
}

auto_traits!(RwLockReadGuard<'_, T>: Send [T: ?Sized + Sync] Sync [T: ?Sized + Sync]);
auto_traits!(
    RwLockUpgradableReadGuard<'_, T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Sync]
);
auto_traits!(
    RwLockUpgradableReadGuardArc<T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Send + Sync]
);
auto_traits!(RwLockWriteGuard<'_, T>: Send [T: ?Sized + Send] Sync [T: ?Sized + Sync]);
auto_traits!(RwLockWriteGuardArc<T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Send + Sync]);

deref!(read ['a, T: ?Sized] RwLockReadGuard<'a, T> => T);
deref!(read ['a, T: ?Sized] RwLockUpgradableReadGuard<'a, T> => T);
deref!(read [T: ?Sized] RwLockUpgradableReadGuardArc<T> => T);
deref!(write ['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);
deref!(write [T: ?Sized] RwLockWriteGuardArc<T> => T);
print_value!(['a, T: ?Sized] RwLockReadGuard<'a, T> => T);
print_value!(['a, T: ?Sized] RwLockUpgradableReadGuard<'a, T> => T);
print_value!([T: ?Sized] RwLockUpgradableReadGuardArc<T> => T);
print_value!(['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);
print_value!([T: ?Sized] RwLockWriteGuardArc<T> => T);

impl<T: ?Sized> RwLockReadGuard<'_, T> {
    fn data(&self) -> *const T {
        self.value
    }
}

impl<'a, T: ?Sized> RwLockUpgradableReadGuard<'a, T> {
    fn data(&self) -> *const T {
        self.value
    }

    /// Turns the guard into a plain reader's.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let hold = guard.hold.downgrade(Mode::Shared, RealUpgradable::downgrade);
        RwLockReadGuard { hold, value: guard.value }
    }

    /// Upgrades the guard to a writer's if there are no other readers.
    ///
    /// # Errors
    ///
    /// Returns the guard if there are other readers.
    #[track_caller]
    pub fn try_upgrade(guard: Self) -> Result<RwLockWriteGuard<'a, T>, Self> {
        let value = guard.value;
        match guard.hold.try_upgrade(RwLock::<T>::KIND, RealUpgradable::try_upgrade) {
            Ok(hold) => Ok(RwLockWriteGuard { hold, value }),
            Err(hold) => Err(Self { hold, value }),
        }
    }

    /// Upgrades the guard to a writer's. The task waits for other readers.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny). That releases
    /// the lock.
    #[track_caller]
    pub fn upgrade(guard: Self) -> Upgrade<'a, T> {
        let rest = guard.value;
        let inner = Upgrading::new(guard.hold, RwLock::<T>::KIND, RealUpgradable::upgrade);
        Upgrade { inner, rest }
    }

    /// As [`upgrade`](Self::upgrade), by blocking the thread.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny). That releases the lock.
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn upgrade_blocking(guard: Self) -> RwLockWriteGuard<'a, T> {
        let (attempt, block) = (RealUpgradable::try_upgrade, RealUpgradable::upgrade_blocking);
        let value = guard.value;
        let hold = guard.hold.block_to_upgrade(RwLock::<T>::KIND, attempt, block);
        RwLockWriteGuard { hold, value }
    }
}

impl<T> RwLockUpgradableReadGuardArc<T> {
    /// Turns the guard into a plain reader's.
    pub fn downgrade(guard: Self) -> RwLockReadGuardArc<T> {
        let hold = guard.hold.downgrade(Mode::Shared, RealUpgradable::downgrade);
        RwLockReadGuardArc::new(hold.with_handle(ReadHandle::new))
    }
}

impl<T: ?Sized> RwLockUpgradableReadGuardArc<T> {
    fn data(&self) -> *const T {
        self.hold.handle().value.get()
    }

    /// As [`RwLockUpgradableReadGuard::try_upgrade`].
    ///
    /// # Errors
    ///
    /// Returns the guard if there are other readers.
    #[track_caller]
    pub fn try_upgrade(guard: Self) -> Result<RwLockWriteGuardArc<T>, Self> {
        match guard.hold.try_upgrade(RwLock::<T>::KIND, RealUpgradable::try_upgrade) {
            Ok(hold) => Ok(RwLockWriteGuardArc { hold }),
            Err(hold) => Err(Self { hold }),
        }
    }

    /// As [`RwLockUpgradableReadGuard::upgrade`].
    ///
    /// # Panics
    ///
    /// As [`RwLockUpgradableReadGuard::upgrade`].
    #[track_caller]
    pub fn upgrade(guard: Self) -> UpgradeArc<T> {
        let inner = Upgrading::new(guard.hold, RwLock::<T>::KIND, RealUpgradable::upgrade);
        UpgradeArc { inner, rest: () }
    }

    /// As [`RwLockUpgradableReadGuard::upgrade_blocking`].
    ///
    /// # Panics
    ///
    /// As [`RwLockUpgradableReadGuard::upgrade_blocking`].
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn upgrade_blocking(guard: Self) -> RwLockWriteGuardArc<T> {
        let (attempt, block) = (RealUpgradable::try_upgrade, RealUpgradable::upgrade_blocking);
        let hold = guard.hold.block_to_upgrade(RwLock::<T>::KIND, attempt, block);
        RwLockWriteGuardArc { hold }
    }
}

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.value
    }

    /// Turns the guard into a plain reader's.
    pub fn downgrade(guard: Self) -> RwLockReadGuard<'a, T> {
        let hold = guard.hold.downgrade(Mode::Shared, RealWrite::downgrade);
        RwLockReadGuard { hold, value: guard.value }
    }

    /// Turns the guard into a reader's that can be upgraded again.
    pub fn downgrade_to_upgradable(guard: Self) -> RwLockUpgradableReadGuard<'a, T> {
        let hold = guard.hold.downgrade(Mode::Upgradable, RealWrite::downgrade_to_upgradable);
        RwLockUpgradableReadGuard { hold, value: guard.value }
    }
}

impl<T> RwLockWriteGuardArc<T> {
    /// Turns the guard into a plain reader's.
    pub fn downgrade(guard: Self) -> RwLockReadGuardArc<T> {
        let hold = guard.hold.downgrade(Mode::Shared, RealWrite::downgrade);
        RwLockReadGuardArc::new(hold.with_handle(ReadHandle::new))
    }
}

impl<T: ?Sized> RwLockWriteGuardArc<T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Turns the guard into a reader's that can be upgraded again.
    pub fn downgrade_to_upgradable(guard: Self) -> RwLockUpgradableReadGuardArc<T> {
        let hold = guard.hold.downgrade(Mode::Upgradable, RealWrite::downgrade_to_upgradable);
        RwLockUpgradableReadGuardArc { hold }
    }
}
