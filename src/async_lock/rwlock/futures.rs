//! The futures of acquisitions of a [`RwLock`].

use std::{marker::PhantomData, sync::Arc};

use ::async_lock::futures as real;

use super::{
    RealLock, RwLock, RwLockReadGuard, RwLockReadGuardArc, RwLockUpgradableReadGuard,
    RwLockUpgradableReadGuardArc, RwLockWriteGuard, RwLockWriteGuardArc,
    parts::{auto_traits, future},
    read_arc::ReadHandle,
};
use crate::wrapped_async::{Acquire, Raw, Upgrading};

type Borrowed<'a, T> = PhantomData<&'a Arc<RwLock<T>>>;

future! {
    /// The future of [`RwLock::read`].
    Read ['a, T: ?Sized] ['a, T]
    (Acquire<&'a Raw<RealLock>, real::Read<'static, ()>>, *const T) => RwLockReadGuard<'a, T>,
    prints "Read { .. }",
    |hold, value| RwLockReadGuard { hold, value }
}

future! {
    /// The future of [`RwLock::read_arc`].
    ReadArc ['a, T] ['a, T]
    (Acquire<ReadHandle<T>, real::Read<'static, ()>>, Borrowed<'a, T>) => RwLockReadGuardArc<T>,
    prints "ReadArc { .. }",
    |hold, _rest| RwLockReadGuardArc::new(hold)
}

future! {
    /// The future of [`RwLock::upgradable_read`].
    UpgradableRead ['a, T: ?Sized] ['a, T]
    (Acquire<&'a Raw<RealLock>, real::UpgradableRead<'static, ()>>, *mut T)
        => RwLockUpgradableReadGuard<'a, T>,
    prints "UpgradableRead { .. }",
    |hold, value| RwLockUpgradableReadGuard { hold, value }
}

future! {
    /// The future of [`RwLock::upgradable_read_arc`].
    UpgradableReadArc ['a, T: ?Sized] ['a, T]
    (Acquire<Arc<RwLock<T>>, real::UpgradableRead<'static, ()>>, Borrowed<'a, T>)
        => RwLockUpgradableReadGuardArc<T>,
    prints "UpgradableReadArc { .. }",
    |hold, _rest| RwLockUpgradableReadGuardArc { hold }
}

future! {
    /// The future of [`RwLock::write`].
    Write ['a, T: ?Sized] ['a, T]
    (Acquire<&'a Raw<RealLock>, real::Write<'static, ()>>, *mut T) => RwLockWriteGuard<'a, T>,
    prints "Write { .. }",
    |hold, value| RwLockWriteGuard { hold, value }
}

future! {
    /// The future of [`RwLock::write_arc`].
    WriteArc ['a, T: ?Sized] ['a, T]
    (Acquire<Arc<RwLock<T>>, real::Write<'static, ()>>, Borrowed<'a, T>) => RwLockWriteGuardArc<T>,
    prints "WriteArc { .. }",
    |hold, _rest| RwLockWriteGuardArc { hold }
}

future! {
    /// The future of [`RwLockUpgradableReadGuard::upgrade`]. Dropping it releases the lock.
    Upgrade ['a, T: ?Sized] ['a, T]
    (Upgrading<&'a Raw<RealLock>, real::Upgrade<'static, ()>>, *mut T) => RwLockWriteGuard<'a, T>,
    prints "Upgrade",
    |hold, value| RwLockWriteGuard { hold, value }
}

future! {
    /// The future of [`RwLockUpgradableReadGuardArc::upgrade`]. Dropping it releases the lock.
    UpgradeArc [T: ?Sized] [T]
    (Upgrading<Arc<RwLock<T>>, real::Upgrade<'static, ()>>, ()) => RwLockWriteGuardArc<T>,
    prints "ArcUpgrade",
    |hold, _rest| RwLockWriteGuardArc { hold }
}

auto_traits!(Read<'_, T>: Send [T: ?Sized + Sync] Sync [T: ?Sized + Sync]);
auto_traits!(ReadArc<'_, T>: Send [T: Send + Sync] Sync [T: Send + Sync]);
auto_traits!(UpgradableRead<'_, T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Sync]);
auto_traits!(
    UpgradableReadArc<'_, T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Send + Sync]
);
auto_traits!(Write<'_, T>: Send [T: ?Sized + Send] Sync [T: ?Sized + Sync]);
auto_traits!(WriteArc<'_, T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Send + Sync]);
auto_traits!(Upgrade<'_, T>: Send [T: ?Sized + Send] Sync [T: ?Sized + Sync]);
auto_traits!(UpgradeArc<T>: Send [T: ?Sized + Send + Sync] Sync [T: ?Sized + Send + Sync]);
