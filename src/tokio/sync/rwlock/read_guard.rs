//! [`RwLockReadGuard`] and [`OwnedRwLockReadGuard`].

use std::{marker::PhantomData, ptr, sync::Arc};

use super::{
    super::{
        guard,
        raw::{HasRaw, Hold, RawLock},
    },
    RwLock,
};

/// The guard of a [`RwLock`] that is read. Dropping it releases the lock.
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a RawLock, false>,
    pub(super) data: *const T,
    pub(super) marker: PhantomData<&'a T>,
}

/// The guard of a [`RwLock`] that is read, which it keeps alive. Dropping it releases the lock.
#[clippy::has_significant_drop]
pub struct OwnedRwLockReadGuard<T: ?Sized, U: ?Sized = T> {
    pub(super) hold: Hold<Arc<RwLock<T>>, false>,
    pub(super) data: *const U,
    pub(super) marker: PhantomData<T>,
}

// SAFETY: sends a `&T`, and the right to release the lock, which is not bound to a thread.
unsafe impl<T: ?Sized + Sync> Send for RwLockReadGuard<'_, T> {}
// SAFETY: a `&RwLockReadGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockReadGuard<'_, T> {}
// SAFETY: sends a `&U` and an `Arc` of the lock.
unsafe impl<T, U> Send for OwnedRwLockReadGuard<T, U>
where
    T: ?Sized + Send + Sync,
    U: ?Sized + Sync,
{
}
// SAFETY: a `&OwnedRwLockReadGuard` gives access to `&U`, and to an `Arc` of the lock.
unsafe impl<T, U> Sync for OwnedRwLockReadGuard<T, U>
where
    T: ?Sized + Send + Sync,
    U: ?Sized + Send + Sync,
{
}

guard!(read ['a, T: ?Sized] RwLockReadGuard<'a, T> => T);
guard!(read [T: ?Sized, U: ?Sized] OwnedRwLockReadGuard<T, U> => U);

impl<'a, T: ?Sized> RwLockReadGuard<'a, T> {
    /// Creates the guard of a lock that was just acquired.
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { hold: Hold::new(lock.raw()), data: lock.value.get(), marker: PhantomData }
    }

    fn data(&self) -> *const T {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let data = ptr::from_ref(f(&this));
        RwLockReadGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match f(&this).map(ptr::from_ref) {
            Some(data) => Ok(RwLockReadGuard { hold: this.hold, data, marker: PhantomData }),
            None => Err(this),
        }
    }
}

impl<T: ?Sized> OwnedRwLockReadGuard<T> {
    /// Creates the guard of a lock that was just acquired.
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        let data = lock.value.get();
        Self { hold: Hold::new(lock), data, marker: PhantomData }
    }
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockReadGuard<T, U> {
    fn data(&self) -> *const U {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<F, V: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, V>
    where
        F: FnOnce(&U) -> &V,
    {
        let data = ptr::from_ref(f(&this));
        OwnedRwLockReadGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<F, V: ?Sized>(this: Self, f: F) -> Result<OwnedRwLockReadGuard<T, V>, Self>
    where
        F: FnOnce(&U) -> Option<&V>,
    {
        match f(&this).map(ptr::from_ref) {
            Some(data) => Ok(OwnedRwLockReadGuard { hold: this.hold, data, marker: PhantomData }),
            None => Err(this),
        }
    }

    /// Returns the lock.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.hold.handle()
    }
}
