//! [`Mutex`], and its futures.

#![allow(unsafe_code, reason = "a lock guards a value")]
#![allow(clippy::must_use_candidate, reason = "the originals have no `must_use`")]

use std::{
    any::type_name,
    cell::UnsafeCell,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use ::futures_util::{future::FusedFuture, lock as real};

use super::{MutexGuard, OwnedMutexGuard};
use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
    wrapped_async::{Acquire, HasRaw, Raw, Request, try_acquire},
};

/// [`futures_util::lock::Mutex`](real::Mutex), checked.
pub struct Mutex<T: ?Sized> {
    raw: Raw<real::Mutex<()>>,
    pub(super) value: UnsafeCell<T>,
}

// SAFETY: the mutex owns the value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: only the holder of the mutex accesses the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T> Mutex<T> {
    /// Creates a mutex. Reports show the caller's location as the place of creation.
    #[cfg(not(futures_no_const_new))]
    #[track_caller]
    pub const fn new(t: T) -> Self {
        Self { raw: Raw::new(real::Mutex::new(())), value: UnsafeCell::new(t) }
    }

    /// As above, for versions of futures in which this is not `const`.
    #[cfg(futures_no_const_new)]
    #[track_caller]
    pub fn new(t: T) -> Self {
        Self { raw: Raw::new(real::Mutex::new(())), value: UnsafeCell::new(t) }
    }

    /// Consumes the mutex and returns the value.
    ///
    /// ```
    /// use lockdep::futures_lock::Mutex;
    ///
    /// let mutex = Mutex::new(0);
    /// assert_eq!(mutex.into_inner(), 0);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "futures::Mutex",
        of: LockOf::Woken(type_name::<T>),
        role: Role::Lock,
    };

    fn request() -> Request {
        Request { kind: Self::KIND, mode: Mode::Exclusive, is_write: false }
    }

    /// Acquires the mutex if it is free. Never a finding: it does not wait.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let hold = try_acquire(self, Self::request(), real::Mutex::try_lock)?;
        Some(MutexGuard { hold })
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[track_caller]
    pub fn try_lock_owned(self: &Arc<Self>) -> Option<OwnedMutexGuard<T>> {
        let hold = try_acquire(Arc::clone(self), Self::request(), real::Mutex::try_lock)?;
        Some(OwnedMutexGuard { hold })
    }

    /// Acquires the mutex. If it is held, the task waits.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn lock(&self) -> MutexLockFuture<'_, T> {
        MutexLockFuture { acquire: Acquire::new(self, Self::request(), real::Mutex::lock) }
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive, so that it can move to
    /// another task.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> OwnedMutexLockFuture<T> {
        OwnedMutexLockFuture { acquire: Acquire::new(self, Self::request(), real::Mutex::lock) }
    }

    /// Returns the value. `&mut self` proves that the mutex is free.
    ///
    /// ```
    /// use lockdep::futures_lock::Mutex;
    ///
    /// let mut mutex = Mutex::new(0);
    /// *mutex.get_mut() = 10;
    /// assert_eq!(mutex.into_inner(), 10);
    /// ```
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.raw.tracked()
    }
}

impl<T: ?Sized> HasRaw for Mutex<T> {
    type Real = real::Mutex<()>;

    fn raw(&self) -> &Raw<Self::Real> {
        &self.raw
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        Self::new(t)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.real().fmt(f)
    }
}

type Real = real::MutexLockFuture<'static, ()>;

/// The future of [`Mutex::lock`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct MutexLockFuture<'a, T: ?Sized> {
    acquire: Acquire<&'a Mutex<T>, Real>,
}

/// The future of [`Mutex::lock_owned`].
#[must_use = "futures do nothing unless you `.await` or poll them"]
pub struct OwnedMutexLockFuture<T: ?Sized> {
    acquire: Acquire<Arc<Mutex<T>>, Real>,
}

// SAFETY: a `&MutexLockFuture` gives access to nothing but `Debug`, which does not read the value.
unsafe impl<T: ?Sized> Sync for MutexLockFuture<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized> Sync for OwnedMutexLockFuture<T> {}

macro_rules! future {
    ([$($parameters:tt)*] $future:ident<$($own:tt),*> => $guard:ident<$($arguments:tt),*>) => {
        impl<$($parameters)*> Future for $future<$($own),*> {
            type Output = $guard<$($arguments),*>;

            /// `track_caller`, so that a panic shows the location of the `.await`.
            #[track_caller]
            fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                Pin::new(&mut self.acquire).poll(cx).map(|hold| $guard { hold })
            }
        }

        impl<$($parameters)*> FusedFuture for $future<$($own),*> {
            fn is_terminated(&self) -> bool {
                self.acquire.future().is_none()
            }
        }

        impl<$($parameters)*> fmt::Debug for $future<$($own),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($future))
                    .field("was_acquired", &self.is_terminated())
                    .finish_non_exhaustive()
            }
        }
    };
}

future!(['a, T: ?Sized] MutexLockFuture<'a, T> => MutexGuard<'a, T>);
future!([T: ?Sized] OwnedMutexLockFuture<T> => OwnedMutexGuard<T>);
