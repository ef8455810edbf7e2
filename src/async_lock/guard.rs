//! The guards of a [`Mutex`].

#![allow(unsafe_code, reason = "a guard refers to the value")]
#![allow(clippy::must_use_candidate, reason = "the originals have no `must_use`")]

use std::{fmt, sync::Arc};

use ::async_lock as real;

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
pub struct MutexGuardArc<T: ?Sized> {
    pub(super) hold: Hold<Arc<Mutex<T>>, Real>,
}

// SAFETY: sends a `&mut T`, and the right to release the mutex, which is not bound to a thread.
unsafe impl<T: ?Sized + Send> Send for MutexGuard<'_, T> {}
// SAFETY: a `&MutexGuard` gives access to `&T` only.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}
// SAFETY: sends a `&mut T` and an `Arc` of the mutex, which may drop the `T`.
unsafe impl<T: ?Sized + Send> Send for MutexGuardArc<T> {}
// SAFETY: a `&MutexGuardArc` gives access to `&T`, and to the `Arc` only if `T` can be sent.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuardArc<T> {}

deref!(write ['a, T: ?Sized] MutexGuard<'a, T> => T);
deref!(write [T: ?Sized] MutexGuardArc<T> => T);

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Returns the mutex.
    ///
    /// ```
    /// use lockdep::async_lock::{Mutex, MutexGuard};
    ///
    /// let mutex = Mutex::new(10);
    /// let guard = mutex.try_lock().unwrap();
    /// assert!(MutexGuard::source(&guard).try_lock().is_none());
    /// ```
    pub fn source(guard: &MutexGuard<'a, T>) -> &'a Mutex<T> {
        guard.hold.handle()
    }
}

impl<T: ?Sized> MutexGuardArc<T> {
    fn data(&self) -> *mut T {
        self.hold.handle().value.get()
    }

    /// Returns the mutex.
    pub fn source(guard: &Self) -> &Arc<Mutex<T>>
    where
        T: Send,
    {
        guard.hold.handle()
    }
}

macro_rules! shown {
    ([$($parameters:tt)*] $guard:ty) => {
        impl<$($parameters)* + fmt::Debug> fmt::Debug for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($parameters)* + fmt::Display> fmt::Display for $guard {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                (**self).fmt(f)
            }
        }
    };
}

shown!([T: ?Sized] MutexGuard<'_, T>);
shown!([T: ?Sized] MutexGuardArc<T>);
