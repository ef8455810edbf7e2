//! [`Mutex`].

#![allow(unsafe_code, reason = "a lock guards a value")]

mod guard;
mod mapped;

use std::{any::type_name, cell::UnsafeCell, fmt, future::Future, sync::Arc};

use ::tokio::sync::TryLockError;

pub use self::{
    guard::{MutexGuard, OwnedMutexGuard},
    mapped::{MappedMutexGuard, OwnedMappedMutexGuard},
};
use super::{
    acquire::{
        Acquirable, Request, acquire, blocking_acquire, never_closed, try_acquire, would_block,
    },
    raw::{HasRaw, Hold, RawLock},
};
use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// [`tokio::sync::Mutex`], checked.
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// use lockdep::tokio::sync::Mutex;
///
/// let accounts = Mutex::new(vec![100, 200]);
/// accounts.lock().await[0] -= 10;
/// assert_eq!(*accounts.lock().await, [90, 200]);
/// # }
/// ```
pub struct Mutex<T: ?Sized> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the mutex owns the value.
unsafe impl<T: ?Sized + Send> Send for Mutex<T> {}
// SAFETY: only the holder of the one permit accesses the value.
unsafe impl<T: ?Sized + Send> Sync for Mutex<T> {}

impl<T: ?Sized> Mutex<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "tokio::Mutex",
        of: LockOf::Awaited(type_name::<T>),
        role: Role::Lock,
    };

    fn request() -> Request {
        RawLock::locked(Self::KIND)
    }

    /// Creates a mutex. Reports show the caller's location as the place of creation.
    #[track_caller]
    pub fn new(value: T) -> Self
    where
        T: Sized,
    {
        Self { raw: RawLock::new(1), value: UnsafeCell::new(value) }
    }

    /// Creates a mutex in a constant context, for a `static`.
    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub const fn const_new(value: T) -> Self
    where
        T: Sized,
    {
        Self { raw: RawLock::const_new(1), value: UnsafeCell::new(value) }
    }

    /// Acquires the mutex. If it is held, the task waits. Waiting tasks get it in FIFO order.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn lock(&self) -> impl Future<Output = MutexGuard<'_, T>> {
        acquire(self, Self::request(), |lock, acquired| {
            never_closed(acquired);
            MutexGuard { hold: Hold::new(lock) }
        })
    }

    /// Acquires the mutex by blocking the thread, for code that is not async.
    ///
    /// # Panics
    ///
    /// In a thread that runs tokio's async code, and for a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn blocking_lock(&self) -> MutexGuard<'_, T> {
        never_closed(blocking_acquire(&self, Self::request()));
        MutexGuard { hold: Hold::new(self) }
    }

    /// As [`blocking_lock`](Self::blocking_lock), with a guard that keeps the mutex alive.
    ///
    /// # Panics
    ///
    /// As [`blocking_lock`](Self::blocking_lock).
    #[track_caller]
    pub fn blocking_lock_owned(self: Arc<Self>) -> OwnedMutexGuard<T> {
        never_closed(blocking_acquire(&self, Self::request()));
        OwnedMutexGuard { hold: Hold::new(self) }
    }

    /// As [`lock`](Self::lock), with a guard that keeps the mutex alive, so that it can move to
    /// another task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// As [`lock`](Self::lock).
    #[track_caller]
    pub fn lock_owned(self: Arc<Self>) -> impl Future<Output = OwnedMutexGuard<T>> {
        acquire(self, Self::request(), |lock, acquired| {
            never_closed(acquired);
            OwnedMutexGuard { hold: Hold::new(lock) }
        })
    }

    /// Acquires the mutex if it is free. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// If the mutex is held.
    #[track_caller]
    pub fn try_lock(&self) -> Result<MutexGuard<'_, T>, TryLockError> {
        try_acquire(&self, Self::request()).map_err(|_| would_block())?;
        Ok(MutexGuard { hold: Hold::new(self) })
    }

    /// As [`try_lock`](Self::try_lock), with a guard that keeps the mutex alive.
    ///
    /// # Errors
    ///
    /// If the mutex is held.
    #[track_caller]
    pub fn try_lock_owned(self: Arc<Self>) -> Result<OwnedMutexGuard<T>, TryLockError> {
        try_acquire(&self, Self::request()).map_err(|_| would_block())?;
        Ok(OwnedMutexGuard { hold: Hold::new(self) })
    }

    /// Returns the value. `&mut self` proves that the mutex is free.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Consumes the mutex and returns the value.
    pub fn into_inner(self) -> T
    where
        T: Sized,
    {
        self.value.into_inner()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.raw.tracked()
    }
}

impl<T: ?Sized> HasRaw for Mutex<T> {
    fn raw(&self) -> &RawLock {
        &self.raw
    }
}

impl<T> From<T> for Mutex<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
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
        let mut f = f.debug_struct("Mutex");
        let data = self.raw.peek(|| {
            // SAFETY: `peek` holds the permit during this call.
            f.field("data", &unsafe { &*self.value.get() });
        });
        if data.is_none() {
            f.field("data", &format_args!("<locked>"));
        }
        f.finish()
    }
}
