//! [`MappedMutexGuard`] and [`OwnedMappedMutexGuard`].

use std::{marker::PhantomData, ptr, sync::Arc};

use super::{
    super::{
        guard,
        raw::{Hold, RawLock},
    },
    Mutex,
};

/// The guard of a [`Mutex`], narrowed to a part of its value by
/// [`MutexGuard::map`](super::MutexGuard::map).
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MappedMutexGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a RawLock, true>,
    pub(super) data: *mut T,
    pub(super) marker: PhantomData<&'a mut T>,
}

/// The guard of a [`Mutex`], which it keeps alive, narrowed to a part of its value by
/// [`OwnedMutexGuard::map`](super::OwnedMutexGuard::map).
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct OwnedMappedMutexGuard<T: ?Sized, U: ?Sized = T> {
    pub(super) hold: Hold<Arc<Mutex<T>>, true>,
    pub(super) data: *mut U,
}

// SAFETY: a `&MappedMutexGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MappedMutexGuard<'_, T> {}
// SAFETY: sends a `&mut T`, and the right to release the mutex, which is not bound to a thread.
unsafe impl<T: ?Sized + Send> Send for MappedMutexGuard<'_, T> {}
// SAFETY: a `&OwnedMappedMutexGuard` gives access to `&U` only.
unsafe impl<T, U> Sync for OwnedMappedMutexGuard<T, U>
where
    T: ?Sized + Send + Sync,
    U: ?Sized + Send + Sync,
{
}
// SAFETY: sends a `&mut U` and an `Arc` of the mutex, which may drop the `T`.
unsafe impl<T, U> Send for OwnedMappedMutexGuard<T, U>
where
    T: ?Sized + Send,
    U: ?Sized + Send,
{
}

guard!(write ['a, T: ?Sized] MappedMutexGuard<'a, T> => T);
guard!(write [T: ?Sized, U: ?Sized] OwnedMappedMutexGuard<T, U> => U);

impl<'a, T: ?Sized> MappedMutexGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<U, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        MappedMutexGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<U, F>(mut this: Self, f: F) -> Result<MappedMutexGuard<'a, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => Ok(MappedMutexGuard { hold: this.hold, data, marker: PhantomData }),
            None => Err(this),
        }
    }
}

impl<T: ?Sized, U: ?Sized> OwnedMappedMutexGuard<T, U> {
    fn data(&self) -> *mut U {
        self.data
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<S, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, S>
    where
        S: ?Sized,
        F: FnOnce(&mut U) -> &mut S,
    {
        let data = ptr::from_mut(f(&mut this));
        OwnedMappedMutexGuard { hold: this.hold, data }
    }

    /// Narrows the guard to a part of what it refers to, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<S, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, S>, Self>
    where
        S: ?Sized,
        F: FnOnce(&mut U) -> Option<&mut S>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => Ok(OwnedMappedMutexGuard { hold: this.hold, data }),
            None => Err(this),
        }
    }
}
