//! [`RwLockMappedWriteGuard`] and [`OwnedRwLockMappedWriteGuard`].

use std::{marker::PhantomData, ptr, sync::Arc};

use super::{
    super::{
        guard,
        raw::{Hold, RawLock},
    },
    RwLock,
};

/// The guard of a [`RwLock`] that is written, narrowed to a part of its value by
/// [`RwLockWriteGuard::map`](super::RwLockWriteGuard::map).
#[clippy::has_significant_drop]
pub struct RwLockMappedWriteGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a RawLock, true>,
    pub(super) data: *mut T,
    pub(super) marker: PhantomData<&'a mut T>,
}

/// The guard of a [`RwLock`] that is written, which it keeps alive, narrowed to a part of its value
/// by [`OwnedRwLockWriteGuard::map`](super::OwnedRwLockWriteGuard::map).
#[clippy::has_significant_drop]
pub struct OwnedRwLockMappedWriteGuard<T: ?Sized, U: ?Sized = T> {
    pub(super) hold: Hold<Arc<RwLock<T>>, true>,
    pub(super) data: *mut U,
    pub(super) marker: PhantomData<T>,
}

// SAFETY: sends a `&mut T`, and the right to release the lock, which is not bound to a thread.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: a `&RwLockMappedWriteGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockMappedWriteGuard<'_, T> {}
// SAFETY: sends a `&mut U` and an `Arc` of the lock.
unsafe impl<T, U> Send for OwnedRwLockMappedWriteGuard<T, U>
where
    T: ?Sized + Send + Sync,
    U: ?Sized + Send + Sync,
{
}
// SAFETY: a `&OwnedRwLockMappedWriteGuard` gives access to `&U`, and to an `Arc` of the lock.
unsafe impl<T, U> Sync for OwnedRwLockMappedWriteGuard<T, U>
where
    T: ?Sized + Send + Sync,
    U: ?Sized + Send + Sync,
{
}

guard!(write ['a, T: ?Sized] RwLockMappedWriteGuard<'a, T> => T);
guard!(write [T: ?Sized, U: ?Sized] OwnedRwLockMappedWriteGuard<T, U> => U);

impl<'a, T: ?Sized> RwLockMappedWriteGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        RwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<RwLockMappedWriteGuard<'a, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => Ok(RwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }),
            None => Err(this),
        }
    }
}

impl<T: ?Sized, U: ?Sized> OwnedRwLockMappedWriteGuard<T, U> {
    fn data(&self) -> *mut U {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<F, V: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let data = ptr::from_mut(f(&mut this));
        OwnedRwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<F, V: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, V>, Self>
    where
        F: FnOnce(&mut U) -> Option<&mut V>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => {
                Ok(OwnedRwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData })
            }
            None => Err(this),
        }
    }

    /// Returns the lock.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.hold.handle()
    }
}
