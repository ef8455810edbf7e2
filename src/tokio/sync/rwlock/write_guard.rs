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
///
/// ```
/// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
/// let rates = Arc::new(RwLock::new((1, 2)));
/// let mut writer: OwnedRwLockWriteGuard<(i32, i32)> = rates.try_write_owned().unwrap();
/// writer.1 += 1;
/// ```
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
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// *RwLockWriteGuard::map(writer, |it| &mut it.1) += 1;
    /// ```
    #[inline]
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> RwLockMappedWriteGuard<'a, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        RwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, and [downgrades](Self::downgrade) it.
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// let reader = RwLockWriteGuard::downgrade_map(writer, |it| &it.1);
    /// assert_eq!((*reader, rates.try_read().unwrap().1), (2, 2));
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// let writer = RwLockWriteGuard::try_map(writer, |_| None::<&mut i32>).unwrap_err();
    /// *RwLockWriteGuard::try_map(writer, |it| Some(&mut it.1)).unwrap() += 1;
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// let writer = RwLockWriteGuard::try_downgrade_map(writer, |_| None::<&i32>).unwrap_err();
    /// let reader = RwLockWriteGuard::try_downgrade_map(writer, |it| Some(&it.1)).unwrap();
    /// assert!(rates.try_read().is_ok());
    /// ```
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
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// assert_eq!(*RwLockWriteGuard::into_mapped(writer), (1, 2));
    /// ```
    #[inline]
    pub fn into_mapped(this: Self) -> RwLockMappedWriteGuard<'a, T> {
        Self::map(this, |value| value)
    }

    /// Turns the guard into a read guard and lets other readers in. No writer can intervene.
    ///
    /// ```
    /// # use lockdep::tokio::sync::{RwLock, RwLockWriteGuard};
    /// let rates = RwLock::new((1, 2));
    /// let writer = rates.try_write().unwrap();
    /// let reader = writer.downgrade();
    /// assert!(rates.try_read().is_ok() && rates.try_write().is_err());
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// *OwnedRwLockWriteGuard::map(writer, |it| &mut it.1) += 1;
    /// ```
    #[inline]
    pub fn map<F, U: ?Sized>(mut this: Self, f: F) -> OwnedRwLockMappedWriteGuard<T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let data = ptr::from_mut(f(&mut this));
        OwnedRwLockMappedWriteGuard { hold: this.hold, data, marker: PhantomData }
    }

    /// Narrows the guard to a part of the value, and [downgrades](Self::downgrade) it.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// let reader = OwnedRwLockWriteGuard::downgrade_map(writer, |it| &it.1);
    /// assert_eq!((*reader, rates.try_read().unwrap().1), (2, 2));
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// let writer = OwnedRwLockWriteGuard::try_map(writer, |_| None::<&mut i32>).unwrap_err();
    /// *OwnedRwLockWriteGuard::try_map(writer, |it| Some(&mut it.1)).unwrap() += 1;
    /// ```
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
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// let writer = OwnedRwLockWriteGuard::try_downgrade_map(writer, |_| None::<&i32>).unwrap_err();
    /// let reader = OwnedRwLockWriteGuard::try_downgrade_map(writer, |it| Some(&it.1)).unwrap();
    /// assert!(rates.try_read().is_ok());
    /// ```
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
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// assert_eq!(*OwnedRwLockWriteGuard::into_mapped(writer), (1, 2));
    /// ```
    #[inline]
    pub fn into_mapped(this: Self) -> OwnedRwLockMappedWriteGuard<T> {
        Self::map(this, |value| value)
    }

    /// Turns the guard into a read guard and lets other readers in. No writer can intervene.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new((1, 2)));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// let reader = writer.downgrade();
    /// assert!(rates.try_read().is_ok() && rates.try_write().is_err());
    /// ```
    pub fn downgrade(self) -> OwnedRwLockReadGuard<T> {
        OwnedRwLockReadGuard { hold: self.hold.downgrade(), data: self.data, marker: PhantomData }
    }

    /// Returns the lock.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedRwLockWriteGuard, RwLock};
    /// let rates = Arc::new(RwLock::new(1.5));
    /// let writer = rates.clone().try_write_owned().unwrap();
    /// assert!(Arc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&writer), &rates));
    /// ```
    pub fn rwlock(this: &Self) -> &Arc<RwLock<T>> {
        this.hold.handle()
    }
}
