//! [`RwLockWriteGuard`] and [`OwnedRwLockWriteGuard`].

use std::{marker::PhantomData, ptr, sync::Arc};

use super::{
    super::{
        guard,
        raw::{HasRaw, Hold, RawLock},
    },
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, RwLock, RwLockMappedWriteGuard,
    RwLockReadGuard,
};

/// The guard of a [`RwLock`] that is written. Dropping it releases the lock.
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// # use lockdep::tokio::sync::RwLock;
/// let rates = RwLock::new(vec![1.5]);
/// let mut writer = rates.write().await;
/// writer.push(2.5);
/// let reader = writer.downgrade();
/// assert_eq!(reader.len(), rates.try_read().unwrap().len());
/// # }
/// ```
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'a, T: ?Sized> {
    hold: Hold<&'a RawLock, true>,
    data: *mut T,
    marker: PhantomData<&'a mut T>,
}

/// The guard of a [`RwLock`] that is written, which it keeps alive. Dropping it releases the lock.
#[clippy::has_significant_drop]
pub struct OwnedRwLockWriteGuard<T: ?Sized> {
    hold: Hold<Arc<RwLock<T>>, true>,
    data: *mut T,
    marker: PhantomData<T>,
}

// SAFETY: sends a `&mut T`, and the right to release the lock, which is not bound to a thread.
unsafe impl<T: ?Sized + Send + Sync> Send for RwLockWriteGuard<'_, T> {}
// SAFETY: a `&RwLockWriteGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLockWriteGuard<'_, T> {}
// SAFETY: sends a `&mut T` and an `Arc` of the lock.
unsafe impl<T: ?Sized + Send + Sync> Send for OwnedRwLockWriteGuard<T> {}
// SAFETY: a `&OwnedRwLockWriteGuard` gives access to `&T`, and to an `Arc` of the lock.
unsafe impl<T: ?Sized + Send + Sync> Sync for OwnedRwLockWriteGuard<T> {}

guard!(write ['a, T: ?Sized] RwLockWriteGuard<'a, T> => T);
guard!(write [T: ?Sized] OwnedRwLockWriteGuard<T> => T);

impl<'a, T: ?Sized> RwLockWriteGuard<'a, T> {
    /// Creates the guard of a lock that was just acquired.
    pub(super) fn new(lock: &'a RwLock<T>) -> Self {
        Self { hold: Hold::new(lock.raw()), data: lock.value.get(), marker: PhantomData }
    }

    fn data(&self) -> *mut T {
        self.data
    }

    /// Narrows the guard to a part of the value.
    #[inline]
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        RwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, and [downgrades](Self::downgrade) it.
    #[inline]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> RwLockReadGuard<'a, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let data = ptr::from_ref(f(&this));
        RwLockReadGuard { hold: this.hold.downgrade(), data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, if there is one.
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

    /// Narrows the guard to a part of the value, if there is one, and [downgrades](Self::downgrade)
    /// it.
    ///
    /// # Errors
    ///
    /// Returns the guard, not downgraded, if the closure returns `None`.
    #[inline]
    pub fn try_downgrade_map<F, U: ?Sized>(this: Self, f: F) -> Result<RwLockReadGuard<'a, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match f(&this).map(ptr::from_ref) {
            Some(data) => {
                Ok(RwLockReadGuard { hold: this.hold.downgrade(), data, marker: PhantomData })
            }
            None => Err(this),
        }
    }

    /// Turns the guard into a mapped guard of the whole value.
    #[inline]
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        Self::map(this, |value| value)
    }

    /// Turns the guard into a read guard and lets other readers in. No writer can intervene.
    pub fn downgrade(self) -> RwLockReadGuard<'a, T> {
        RwLockReadGuard { hold: self.hold.downgrade(), data: self.data, marker: PhantomData }
    }
}

impl<T: ?Sized> OwnedRwLockWriteGuard<T> {
    /// Creates the guard of a lock that was just acquired.
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        let data = lock.value.get();
        Self { hold: Hold::new(lock), data, marker: PhantomData }
    }

    fn data(&self) -> *mut T {
        self.data
    }

    /// Narrows the guard to a part of the value.
    #[inline]
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        OwnedRwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, and [downgrades](Self::downgrade) it.
    #[inline]
    pub fn downgrade_map<F, U: ?Sized>(this: Self, f: F) -> OwnedRwLockReadGuard<T, U>
    where
        F: FnOnce(&T) -> &U,
    {
        let data = ptr::from_ref(f(&this));
        OwnedRwLockReadGuard { hold: this.hold.downgrade(), data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, if there is one.
    ///
    /// # Errors
    ///
    /// Returns the guard if the closure returns `None`.
    #[inline]
    pub fn try_map<F, U: ?Sized>(
        mut this: Self,
        f: F,
    ) -> Result<OwnedRwLockMappedWriteGuard<T, U>, Self>
    where
        F: FnOnce(&mut T) -> Option<&mut U>,
    {
        match f(&mut this).map(ptr::from_mut) {
            Some(data) => {
                Ok(OwnedRwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData })
            }
            None => Err(this),
        }
    }

    /// Narrows the guard to a part of the value, if there is one, and [downgrades](Self::downgrade)
    /// it.
    ///
    /// # Errors
    ///
    /// Returns the guard, not downgraded, if the closure returns `None`.
    #[inline]
    pub fn try_downgrade_map<F, U: ?Sized>(
        this: Self,
        f: F,
    ) -> Result<OwnedRwLockReadGuard<T, U>, Self>
    where
        F: FnOnce(&T) -> Option<&U>,
    {
        match f(&this).map(ptr::from_ref) {
            Some(data) => {
                Ok(OwnedRwLockReadGuard { hold: this.hold.downgrade(), data, marker: PhantomData })
            }
            None => Err(this),
        }
    }

    /// Turns the guard into a mapped guard of the whole value.
    #[inline]
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        Self::map(this, |value| value)
    }

    /// Turns the guard into a read guard and lets other readers in. No writer can intervene.
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { hold: self.hold.downgrade(), data: self.data, marker: PhantomData }
    }

    /// Returns the lock.
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.hold.handle()
    }
}
