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

use ::async_lock as real;
use pin_project_lite::pin_project;

use super::{MutexGuard, MutexGuardArc};
use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
    wrapped_async::{Acquire, HasRaw, Raw, Request, block_on, try_acquire},
};

/// [`async_lock::Mutex`](real::Mutex), checked.
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
    #[track_caller]
    pub const fn new(data: T) -> Self {
        Self { raw: Raw::new(real::Mutex::new(())), value: UnsafeCell::new(data) }
    }

    /// Consumes the mutex and returns the value.
    ///
    /// ```
    /// use lockdep::async_lock::Mutex;
    ///
    /// let mutex = Mutex::new(10);
    /// assert_eq!(mutex.into_inner(), 10);
    /// ```
    pub fn into_inner(self) -> T {
        self.value.into_inner()
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "async_lock::Mutex",
        of: LockOf::Woken(type_name::<T>),
        role: Role::Lock,
    };

    fn request() -> Request {
        Request { kind: Self::KIND, mode: Mode::Exclusive, is_write: false }
    }

    /// Acquires the mutex. If it is held, the task waits.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn lock(&self) -> Lock<'_, T> {
        Lock { acquire: Acquire::new(self, Self::request(), real::Mutex::lock) }
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive, so that it can move to
    /// another task.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_arc(self: &Arc<Self>) -> LockArc<T> {
        LockArc { acquire: Acquire::new(Arc::clone(self), Self::request(), real::Mutex::lock) }
    }

    /// Acquires the mutex by blocking the thread.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn lock_blocking(&self) -> MutexGuard<'_, T> {
        let block = real::Mutex::lock_blocking;
        MutexGuard { hold: block_on(self, Self::request(), real::Mutex::try_lock, block) }
    }

    /// As [`lock_blocking`](Self::lock_blocking), with a guard that keeps the mutex alive.
    ///
    /// # Panics
    ///
    /// As [`lock_blocking`](Self::lock_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn lock_arc_blocking(self: &Arc<Self>) -> MutexGuardArc<T> {
        let (lock, block) = (Arc::clone(self), real::Mutex::lock_blocking);
        MutexGuardArc { hold: block_on(lock, Self::request(), real::Mutex::try_lock, block) }
    }

    /// Acquires the mutex if it is free. Never a finding: it does not wait.
    #[track_caller]
    pub fn try_lock(&self) -> Option<MutexGuard<'_, T>> {
        let hold = try_acquire(self, Self::request(), real::Mutex::try_lock)?;
        Some(MutexGuard { hold })
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    #[track_caller]
    pub fn try_lock_arc(self: &Arc<Self>) -> Option<MutexGuardArc<T>> {
        let hold = try_acquire(Arc::clone(self), Self::request(), real::Mutex::try_lock)?;
        Some(MutexGuardArc { hold })
    }

    /// Returns the value. `&mut self` proves that the mutex is free.
    ///
    /// ```
    /// use lockdep::async_lock::Mutex;
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
    fn from(data: T) -> Self {
        Self::new(data)
    }
}

impl<T: Default> Default for Mutex<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        struct Locked;
        impl fmt::Debug for Locked {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("<locked>")
            }
        }

        let Some(_held) = self.raw.real().try_lock() else {
            return f.debug_struct("Mutex").field("data", &Locked).finish();
        };
        // SAFETY: the mutex is held meanwhile.
        let value = unsafe { &*self.value.get() };
        f.debug_struct("Mutex").field("data", &value).finish()
    }
}

type Real = real::futures::Lock<'static, ()>;

pin_project! {
    /// The future of [`Mutex::lock`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Lock<'a, T: ?Sized> {
        #[pin]
        acquire: Acquire<&'a Mutex<T>, Real>,
    }
}

pin_project! {
    /// The future of [`Mutex::lock_arc`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct LockArc<T: ?Sized> {
        #[pin]
        acquire: Acquire<Arc<Mutex<T>>, Real>,
    }
}

// SAFETY: a `&Lock` gives access to nothing but `Debug`, which reads nothing.
unsafe impl<T: ?Sized + Sync> Sync for Lock<'_, T> {}
// SAFETY: as above.
unsafe impl<T: ?Sized + Sync> Sync for LockArc<T> {}

macro_rules! future {
    ([$($parameters:tt)*] $future:ident<$($own:tt),*> => $guard:ident<$($arguments:tt),*>) => {
        impl<$($parameters)*> Future for $future<$($own),*> {
            type Output = $guard<$($arguments),*>;

            /// `track_caller`, so that a panic shows the location of the `.await`.
            #[track_caller]
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.project().acquire.poll(cx).map(|hold| $guard { hold })
            }
        }

        impl<$($parameters)*> fmt::Debug for $future<$($own),*> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!(stringify!($future), " { .. }"))
            }
        }
    };
}

future!(['a, T: ?Sized] Lock<'a, T> => MutexGuard<'a, T>);
future!([T: ?Sized] LockArc<T> => MutexGuardArc<T>);
