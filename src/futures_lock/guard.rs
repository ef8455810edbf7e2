//! The guards of a [`Mutex`].

#![allow(unsafe_code, reason = "a guard refers to the value")]

use std::{fmt, marker::PhantomData, ptr, sync::Arc};

use ::futures_util::lock as real;

use super::Mutex;
use crate::wrapped_async::{Hold, deref};

type Real = real::MutexGuard<'static, ()>;

/// The guard of a [`Mutex`]. Dropping it releases the mutex.
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MutexGuard<'a, T: ?Sized> {
    pub(super) hold: Hold<&'a Mutex<T>, Real>,
}

/// The guard of a [`Mutex`], which it keeps alive. Dropping it releases the mutex.
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct OwnedMutexGuard<T: ?Sized> {
    pub(super) hold: Hold<Arc<Mutex<T>>, Real>,
}

/// The guard of a [`Mutex`], narrowed to a part of its value by [`MutexGuard::map`].
#[clippy::has_significant_drop]
#[must_use = "if unused the Mutex will immediately unlock"]
pub struct MappedMutexGuard<'a, T: ?Sized, U: ?Sized> {
    hold: Hold<&'a Mutex<T>, Real>,
    value: *mut U,
    marker: PhantomData<&'a mut U>,
}

// SAFETY: sends a `&mut T`, and the right to release the mutex, which is not bound to a thread.
unsafe impl<T: ?Sized + Send> Send for MutexGuard<'_, T> {}
// SAFETY: a `&MutexGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: sends a `&mut T` and an `Arc` of the mutex, which may drop the `T`.
unsafe impl<T: ?Sized + Send> Send for OwnedMutexGuard<T> {}
// SAFETY: a `&OwnedMutexGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for OwnedMutexGuard<T> {}
// SAFETY: sends a `&mut U`, and the right to release the mutex.
unsafe impl<T: ?Sized + Send, U: ?Sized + Send> Send for MappedMutexGuard<'_, T, U> {}
// SAFETY: a `&MappedMutexGuard` gives access to `&U` only.
unsafe impl<T: ?Sized + Sync, U: ?Sized + Sync> Sync for MappedMutexGuard<'_, T, U> {}

deref!(write ['a, T: ?Sized] MutexGuard<'a, T> => T);
deref!(write [T: ?Sized] OwnedMutexGuard<T> => T);
deref!(write ['a, T: ?Sized, U: ?Sized] MappedMutexGuard<'a, T, U> => U);

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Narrows the guard to a part of the value.
    ///
    /// ```
    /// use lockdep::futures_lock::{Mutex, MutexGuard};
    ///
    /// let accounts = Mutex::new((100, 200));
    /// let mut second = MutexGuard::map(accounts.try_lock().unwrap(), |accounts| &mut accounts.1);
    /// *second += 10;
    /// ```
    #[inline]
    pub fn map<U: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, T, U>
    where
        F: FnOnce(&mut T) -> &mut U,
    {
        let value = ptr::from_mut(f(&mut this));
        MappedMutexGuard { hold: this.hold, value, marker: PhantomData }
    }
}

impl<T: ?Sized> OwnedMutexGuard<T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }
}

impl<'a, T: ?Sized, U: ?Sized> MappedMutexGuard<'a, T, U> {
    fn data(&self) -> *mut U {
        self.value
    }

    /// Narrows the guard to a part of what it refers to.
    #[inline]
    pub fn map<V: ?Sized, F>(mut this: Self, f: F) -> MappedMutexGuard<'a, T, V>
    where
        F: FnOnce(&mut U) -> &mut V,
    {
        let value = ptr::from_mut(f(&mut this));
        MappedMutexGuard { hold: this.hold, value, marker: PhantomData }
    }
}

macro_rules! debug {
    ([$($parameters:tt)*] $name:ident<$($arguments:tt),*> of $target:ident) => {
        impl<$($parameters)*> fmt::Debug for $name<$($arguments),*>
        where
            $target: fmt::Debug,
        {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("value", &&**self)
                    .field("mutex", self.hold.handle())
                    .finish()
            }
        }
    };
}

debug!(['a, T: ?Sized] MutexGuard<'a, T> of T);
debug!([T: ?Sized] OwnedMutexGuard<T> of T);
debug!(['a, T: ?Sized, U: ?Sized] MappedMutexGuard<'a, T, U> of U);
