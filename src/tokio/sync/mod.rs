//! [`tokio::sync`], with its locks checked.
//!
//! A task that waits for a lock does not block its thread, so a lock is held by a task, in whatever
//! thread it is polled. [`Mutex`], [`RwLock`], [`Semaphore`] and [`OnceCell`] are checked, with all
//! their guards; the rest is tokio's own.
//!
//! ```
//! # #[::tokio::main(flavor = "current_thread")] async fn main() {
//! use lockdep::tokio::sync::{Mutex, RwLock}; // was: use tokio::sync::{Mutex, RwLock};
//!
//! let (accounts, rates) = (Mutex::new(vec![100, 200]), RwLock::new(1.5));
//! let mut accounts = accounts.lock().await;
//! accounts[0] += (*rates.read().await * 10.0) as i32;
//! assert_eq!(*accounts, [115, 200]);
//! # }
//! ```

#![allow(clippy::must_use_candidate, reason = "tokio's own have no `must_use`")]

mod acquire;
mod block_on;
mod in_task;
mod mutex;
mod once_cell;
mod raw;
mod rwlock;
mod semaphore;

pub(crate) use self::in_task::is_in_task;
pub use ::tokio::sync::*;

pub use self::{
    mutex::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard},
    once_cell::OnceCell,
    rwlock::{
        OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock,
        RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard,
    },
    semaphore::{OwnedSemaphorePermit, Semaphore, SemaphorePermit},
};

/// Implements the traits that all guards have: `Deref`, and `Debug` and `Display` of the target.
macro_rules! guard {
    (@deref [$($parameters:tt)*] $guard:ty => $target:ident) => {
        impl<$($parameters)*> std::ops::Deref for $guard {
            type Target = $target;

            #[inline]
            fn deref(&self) -> &$target {
                // SAFETY: the guard holds the lock, and the pointer is to its value or a part of
                // it.
                unsafe { &*self.data() }
            }
        }

        impl<$($parameters)*> std::fmt::Debug for $guard
        where
            $target: std::fmt::Debug,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }

        impl<$($parameters)*> std::fmt::Display for $guard
        where
            $target: std::fmt::Display,
        {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                (**self).fmt(f)
            }
        }
    };
    (read [$($parameters:tt)*] $guard:ty => $target:ident) => {
        guard!(@deref [$($parameters)*] $guard => $target);
    };
    (write [$($parameters:tt)*] $guard:ty => $target:ident) => {
        guard!(@deref [$($parameters)*] $guard => $target);

        impl<$($parameters)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $target {
                // SAFETY: the guard holds the lock exclusively, and the pointer is to its value or
                // a part of it.
                unsafe { &mut *self.data() }
            }
        }
    };
}
use guard;
