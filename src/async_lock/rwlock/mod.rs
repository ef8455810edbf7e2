//! [`RwLock`].

#![allow(unsafe_code, reason = "a lock guards a value")]

pub(super) mod futures;
mod guards;
mod parts;
mod read_arc;

use std::{any::type_name, cell::UnsafeCell, fmt, marker::PhantomData, sync::Arc};

use ::async_lock as real;

use self::{
    futures::{Read, ReadArc, UpgradableRead, UpgradableReadArc, Write, WriteArc},
    read_arc::ReadHandle,
};
pub use self::{
    guards::{
        RwLockReadGuard, RwLockUpgradableReadGuard, RwLockUpgradableReadGuardArc, RwLockWriteGuard,
        RwLockWriteGuardArc,
    },
    read_arc::RwLockReadGuardArc,
};
use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
    wrapped_async::{Acquire, HasRaw, Raw, Request, block_on, try_acquire},
};

type RealLock = real::RwLock<()>;

/// [`async_lock::RwLock`](real::RwLock), checked.
///
/// Readers wait behind a waiting writer. A task that reads twice deadlocks if a writer begins to
/// wait in between: see [`RecursiveRead`](crate::FindingKind::RecursiveRead).
pub struct RwLock<T: ?Sized> {
    raw: Raw<RealLock>,
    value: UnsafeCell<T>,
}

// SAFETY: the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers in several threads share the value; a writer is alone with it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T> RwLock<T> {
    /// Creates a lock. Reports show the caller's location as the place of creation.
    #[must_use]
    #[track_caller]
    pub const fn new(t: T) -> Self {
        Self { raw: Raw::new(real::RwLock::new(())), value: UnsafeCell::new(t) }
    }

    /// Consumes the lock and returns the value.
    #[must_use]
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }

    /// As [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    #[track_caller]
    pub fn try_read_arc(self: &Arc<Self>) -> Option<RwLockReadGuardArc<T>> {
        let handle = ReadHandle::new(Arc::clone(self));
        try_acquire(handle, Self::shared(), RealLock::try_read).map(RwLockReadGuardArc::new)
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive, so that it can move to
    /// another task.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn read_arc(self: &Arc<Self>) -> ReadArc<'_, T> {
        let handle = ReadHandle::new(Arc::clone(self));
        let inner = Acquire::new(handle, Self::shared(), RealLock::read);
        ReadArc { inner, rest: PhantomData }
    }

    /// As [`read_blocking`](Self::read_blocking), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// As [`read_blocking`](Self::read_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn read_arc_blocking(self: &Arc<Self>) -> RwLockReadGuardArc<T> {
        let handle = ReadHandle::new(Arc::clone(self));
        let block = RealLock::read_blocking;
        RwLockReadGuardArc::new(block_on(handle, Self::shared(), RealLock::try_read, block))
    }
}

impl<T: ?Sized> RwLock<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "async_lock::RwLock",
        of: LockOf::Woken(type_name::<T>),
        role: Role::Lock,
    };

    fn shared() -> Request {
        Request { kind: Self::KIND, mode: Mode::Shared, is_write: false }
    }

    fn upgradable() -> Request {
        Request { kind: Self::KIND, mode: Mode::Upgradable, is_write: false }
    }

    fn exclusive() -> Request {
        Request { kind: Self::KIND, mode: Mode::Exclusive, is_write: true }
    }

    /// Acquires the lock for reading if no task writes or waits to write. Never a finding: it does
    /// not wait.
    #[track_caller]
    pub fn try_read(&self) -> Option<RwLockReadGuard<'_, T>> {
        let hold = try_acquire(&self.raw, Self::shared(), RealLock::try_read)?;
        Some(RwLockReadGuard { hold, value: self.value.get() })
    }

    /// Acquires the lock for reading, shared with other readers. The task waits while another task
    /// writes or waits to write.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn read(&self) -> Read<'_, T> {
        let inner = Acquire::new(&self.raw, Self::shared(), RealLock::read);
        Read { inner, rest: self.value.get() }
    }

    /// As [`read`](Self::read), by blocking the thread, for code that is not async.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn read_blocking(&self) -> RwLockReadGuard<'_, T> {
        let block = RealLock::read_blocking;
        let hold = block_on(&self.raw, Self::shared(), RealLock::try_read, block);
        RwLockReadGuard { hold, value: self.value.get() }
    }

    /// Acquires the lock for reading, with the right to upgrade, if no other task has that right or
    /// writes. Never a finding: it does not wait.
    #[track_caller]
    pub fn try_upgradable_read(&self) -> Option<RwLockUpgradableReadGuard<'_, T>> {
        let hold = try_acquire(&self.raw, Self::upgradable(), RealLock::try_upgradable_read)?;
        Some(RwLockUpgradableReadGuard { hold, value: self.value.get() })
    }

    /// Acquires the lock for reading, with the right to upgrade to a writer. One task at a time has
    /// that right, and no other task can write meanwhile.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn upgradable_read(&self) -> UpgradableRead<'_, T> {
        let inner = Acquire::new(&self.raw, Self::upgradable(), RealLock::upgradable_read);
        UpgradableRead { inner, rest: self.value.get() }
    }

    /// As [`upgradable_read`](Self::upgradable_read), by blocking the thread.
    ///
    /// # Panics
    ///
    /// As [`read_blocking`](Self::read_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn upgradable_read_blocking(&self) -> RwLockUpgradableReadGuard<'_, T> {
        let (attempt, block) = (RealLock::try_upgradable_read, RealLock::upgradable_read_blocking);
        let hold = block_on(&self.raw, Self::upgradable(), attempt, block);
        RwLockUpgradableReadGuard { hold, value: self.value.get() }
    }

    /// As [`upgradable_read_blocking`](Self::upgradable_read_blocking), with a guard that keeps the
    /// lock alive.
    ///
    /// # Panics
    ///
    /// As [`read_blocking`](Self::read_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn upgradable_read_arc_blocking(self: &Arc<Self>) -> RwLockUpgradableReadGuardArc<T> {
        let (attempt, block) = (RealLock::try_upgradable_read, RealLock::upgradable_read_blocking);
        let hold = block_on(Arc::clone(self), Self::upgradable(), attempt, block);
        RwLockUpgradableReadGuardArc { hold }
    }

    /// As [`try_upgradable_read`](Self::try_upgradable_read), with a guard that keeps the lock
    /// alive.
    #[track_caller]
    pub fn try_upgradable_read_arc(self: &Arc<Self>) -> Option<RwLockUpgradableReadGuardArc<T>> {
        let attempt = RealLock::try_upgradable_read;
        let hold = try_acquire(Arc::clone(self), Self::upgradable(), attempt)?;
        Some(RwLockUpgradableReadGuardArc { hold })
    }

    /// As [`upgradable_read`](Self::upgradable_read), with a guard that keeps the lock alive, so
    /// that it can move to another task.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn upgradable_read_arc(self: &Arc<Self>) -> UpgradableReadArc<'_, T> {
        let handle = Arc::clone(self);
        let inner = Acquire::new(handle, Self::upgradable(), RealLock::upgradable_read);
        UpgradableReadArc { inner, rest: PhantomData }
    }

    /// Acquires the lock for writing if it is free. Never a finding: it does not wait.
    #[track_caller]
    pub fn try_write(&self) -> Option<RwLockWriteGuard<'_, T>> {
        let hold = try_acquire(&self.raw, Self::exclusive(), RealLock::try_write)?;
        Some(RwLockWriteGuard { hold, value: self.value.get() })
    }

    /// Acquires the lock for writing. The task waits until all others have released it.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn write(&self) -> Write<'_, T> {
        let inner = Acquire::new(&self.raw, Self::exclusive(), RealLock::write);
        Write { inner, rest: self.value.get() }
    }

    /// As [`write`](Self::write), by blocking the thread, for code that is not async.
    ///
    /// # Panics
    ///
    /// As [`read_blocking`](Self::read_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn write_blocking(&self) -> RwLockWriteGuard<'_, T> {
        let block = RealLock::write_blocking;
        let hold = block_on(&self.raw, Self::exclusive(), RealLock::try_write, block);
        RwLockWriteGuard { hold, value: self.value.get() }
    }

    /// As [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    #[track_caller]
    pub fn try_write_arc(self: &Arc<Self>) -> Option<RwLockWriteGuardArc<T>> {
        let hold = try_acquire(Arc::clone(self), Self::exclusive(), RealLock::try_write)?;
        Some(RwLockWriteGuardArc { hold })
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive, so that it can move to
    /// another task.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    #[track_caller]
    pub fn write_arc(self: &Arc<Self>) -> WriteArc<'_, T> {
        let inner = Acquire::new(Arc::clone(self), Self::exclusive(), RealLock::write);
        WriteArc { inner, rest: PhantomData }
    }

    /// As [`write_blocking`](Self::write_blocking), with a guard that keeps the lock alive.
    ///
    /// # Panics
    ///
    /// As [`read_blocking`](Self::read_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn write_arc_blocking(self: &Arc<Self>) -> RwLockWriteGuardArc<T> {
        let (handle, block) = (Arc::clone(self), RealLock::write_blocking);
        let hold = block_on(handle, Self::exclusive(), RealLock::try_write, block);
        RwLockWriteGuardArc { hold }
    }

    /// Returns the value. `&mut self` proves that the lock is free.
    #[must_use]
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.raw.tracked()
    }
}

impl<T: ?Sized> HasRaw for RwLock<T> {
    type Real = RealLock;

    fn raw(&self) -> &Raw<RealLock> {
        &self.raw
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RwLock");
        match self.raw.real().try_read() {
            // SAFETY: the lock is held for reading meanwhile.
            Some(_held) => f.field("value", &unsafe { &*self.value.get() }),
            None => f.field("value", &format_args!("<locked>")),
        };
        f.finish()
    }
}
