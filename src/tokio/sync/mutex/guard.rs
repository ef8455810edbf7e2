//! [`MutexGuard`] and [`OwnedMutexGuard`].

use std::{marker::PhantomData, ptr, sync::Arc};

use super::{
    super::{guard, raw::Hold},
    MappedMutexGuard, Mutex, OwnedMappedMutexGuard,
};

/// The guard of a [`Mutex`]. Dropping it releases the mutex.
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// # use lockdep::tokio::sync::{Mutex, MutexGuard};
/// let accounts = Mutex::new((100, 200));
/// let mut second = MutexGuard::map(accounts.lock().await, |accounts| &mut accounts.1);
/// *second += 10;
/// # }
/// ```
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a Mutex<T>, true>,
}

/// The guard of a [`Mutex`], which it keeps alive. Dropping it releases the mutex.
#[clippy::has_significant_drop]
pub struct OwnedMutexGuard<T: ?Sized> {
    pub(super) hold: Hold<Arc<Mutex<T>>, true>,
}

// SAFETY: a `&MutexGuard` gives access to `&T`, and to a `&Mutex<T>`, which is `Sync` for a `T:
// Send`.
unsafe impl<T: ?Sized + Send + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: as above, with an `Arc` of the mutex.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedMutexGuard<T> {}

guard!(write ['a, T: ?Sized] MutexGuard<'a, T> => T);
guard!(write [T: ?Sized] OwnedMutexGuard<T> => T);

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Narrows the guard to a part of the value.
    #[inline]
    pub fn map<U, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        MappedMutexGuard { hold: this.hold.into_raw(), data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, if there is one.
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
            Some(data) => {
                Ok(MappedMutexGuard { hold: this.hold.into_raw(), data, marker: PhantomData })
            }
            None => Err(this),
        }
    }

    /// Returns the mutex.
    #[inline]
    pub fn mutex(this: &Self) -> &'a Mutex<T> {
        this.hold.handle()
    }
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Narrows the guard to a part of the value.
    #[inline]
    pub fn map<U, F>(mut this: Self, f: F) -> OwnedMappedMutexGuard<T, U>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        OwnedMappedMutexGuard { hold: this.hold, data }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<U, F>(mut this: Self, f: F) -> Result<OwnedMappedMutexGuard<T, U>, Self>
    where
        U: ?Sized,
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => Ok(OwnedMappedMutexGuard { hold: this.hold, data }),
            None => Err(this),
        }
    }

    /// Returns the mutex.
    #[inline]
    pub fn mutex(this: &Self) -> &Arc<Mutex<T>> {
        this.hold.handle()
    }
}
