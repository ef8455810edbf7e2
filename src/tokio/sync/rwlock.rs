//! [`RwLock`].

#![allow(unsafe_code, reason = "a lock guards a value")]

mod mapped_write_guard;
mod read_guard;
mod write_guard;

use std::{any::type_name, cell::UnsafeCell, fmt, future::Future, sync::Arc};

use ::tokio::sync::TryLockError;

pub use self::{
    mapped_write_guard::{OwnedRwLockMappedWriteGuard, RwLockMappedWriteGuard},
    read_guard::{OwnedRwLockReadGuard, RwLockReadGuard},
    write_guard::{OwnedRwLockWriteGuard, RwLockWriteGuard},
};
use super::{
    acquire::{
        Acquirable, Request, acquire, blocking_acquire, never_closed, try_acquire, would_block,
    },
    raw::{HasRaw, RawLock},
};
use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::Tracked,
};

/// The default number of readers at once, which is also the maximum, as in tokio.
const MAX_READERS: u32 = u32::MAX >> 3;

/// [`tokio::sync::RwLock`], checked.
///
/// Tasks acquire the lock in FIFO order, so readers wait behind a waiting writer. A task that reads
/// twice deadlocks if a writer queues in between: see
/// [`RecursiveRead`](crate::FindingKind::RecursiveRead).
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// use lockdep::tokio::sync::RwLock;
///
/// let rates = RwLock::new(vec![1.5, 2.5]);
/// rates.write().await.push(3.5);
/// assert_eq!(rates.read().await.len(), 3);
/// # }
/// ```
pub struct RwLock<T: ?Sized> {
    raw: RawLock,
    value: UnsafeCell<T>,
}

// SAFETY: the lock owns the value.
unsafe impl<T: ?Sized + Send> Send for RwLock<T> {}
// SAFETY: readers in several threads share the value; a writer is alone with it.
unsafe impl<T: ?Sized + Send + Sync> Sync for RwLock<T> {}

impl<T: ?Sized> RwLock<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "tokio::RwLock",
        of: LockOf::Awaited(type_name::<T>),
        role: Role::Lock,
    };

    fn shared() -> Request {
        RawLock::shared(Self::KIND)
    }

    fn written(&self) -> Request {
        self.raw.written(Self::KIND)
    }

    /// Creates a lock. Reports show the caller's location as the place of creation.
    #[track_caller]
    pub fn new(value: T) -> Self
    where
        T: Sized,
    {
        Self { raw: RawLock::new(MAX_READERS), value: UnsafeCell::new(value) }
    }

    /// Creates a lock with a maximum number of readers at once. Further readers wait.
    ///
    /// # Panics
    ///
    /// If `max_reads` is 0, or greater than `u32::MAX >> 3`.
    #[track_caller]
    pub fn with_max_readers(value: T, max_reads: u32) -> Self
    where
        T: Sized,
    {
        assert_ne!(max_reads, 0, "a RwLock may not be created with 0 readers");
        assert!(
            max_reads <= MAX_READERS,
            "a RwLock may not be created with more than {MAX_READERS} readers"
        );
        Self { raw: RawLock::new(max_reads), value: UnsafeCell::new(value) }
    }

    /// Creates a lock in a constant context, for a `static`.
    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub const fn const_new(value: T) -> Self
    where
        T: Sized,
    {
        Self { raw: RawLock::const_new(MAX_READERS), value: UnsafeCell::new(value) }
    }

    /// As [`with_max_readers`](Self::with_max_readers), in a constant context.
    ///
    /// # Panics
    ///
    /// As [`with_max_readers`](Self::with_max_readers).
    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub const fn const_with_max_readers(value: T, max_reads: u32) -> Self
    where
        T: Sized,
    {
        assert!(max_reads != 0, "a RwLock may not be created with 0 readers");
        assert!(max_reads <= MAX_READERS);
        Self { raw: RawLock::const_new(max_reads), value: UnsafeCell::new(value) }
    }

    /// Acquires the lock for reading, shared with other readers. The task waits while another task
    /// writes, and behind writers that queued earlier.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn read(&self) -> impl Future<Output = RwLockReadGuard<'_, T>> {
        acquire(self, Self::shared(), |lock, acquired| {
            never_closed(acquired);
            RwLockReadGuard::new(lock)
        })
    }

    /// As [`read`](Self::read), by blocking the thread, for code that is not async.
    ///
    /// # Panics
    ///
    /// In a thread that runs tokio's async code, and for a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn blocking_read(&self) -> RwLockReadGuard<'_, T> {
        never_closed(blocking_acquire(&self, Self::shared()));
        RwLockReadGuard::new(self)
    }

    /// As [`read`](Self::read), with a guard that keeps the lock alive, so that it can move to
    /// another task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// As [`read`](Self::read).
    #[track_caller]
    pub fn read_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockReadGuard<T>> {
        acquire(self, Self::shared(), |lock, acquired| {
            never_closed(acquired);
            OwnedRwLockReadGuard::new(lock)
        })
    }

    /// Acquires the lock for reading if it is free for readers. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// If a task writes, or waits to write.
    #[track_caller]
    pub fn try_read(&self) -> Result<RwLockReadGuard<'_, T>, TryLockError> {
        try_acquire(&self, Self::shared()).map_err(|_| would_block())?;
        Ok(RwLockReadGuard::new(self))
    }

    /// As [`try_read`](Self::try_read), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// As [`try_read`](Self::try_read).
    #[track_caller]
    pub fn try_read_owned(self: Arc<Self>) -> Result<OwnedRwLockReadGuard<T>, TryLockError> {
        try_acquire(&self, Self::shared()).map_err(|_| would_block())?;
        Ok(OwnedRwLockReadGuard::new(self))
    }

    /// Acquires the lock for writing. The task waits until all earlier tasks have released the
    /// lock.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn write(&self) -> impl Future<Output = RwLockWriteGuard<'_, T>> {
        acquire(self, self.written(), |lock, acquired| {
            never_closed(acquired);
            RwLockWriteGuard::new(lock)
        })
    }

    /// As [`write`](Self::write), by blocking the thread, for code that is not async.
    ///
    /// # Panics
    ///
    /// As [`blocking_read`](Self::blocking_read).
    #[track_caller]
    pub fn blocking_write(&self) -> RwLockWriteGuard<'_, T> {
        never_closed(blocking_acquire(&self, self.written()));
        RwLockWriteGuard::new(self)
    }

    /// As [`write`](Self::write), with a guard that keeps the lock alive, so that it can move to
    /// another task.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Panics
    ///
    /// As [`write`](Self::write).
    #[track_caller]
    pub fn write_owned(self: Arc<Self>) -> impl Future<Output = OwnedRwLockWriteGuard<T>> {
        let request = self.written();
        acquire(self, request, |lock, acquired| {
            never_closed(acquired);
            OwnedRwLockWriteGuard::new(lock)
        })
    }

    /// Acquires the lock for writing if it is free. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// If another task reads or writes.
    #[track_caller]
    pub fn try_write(&self) -> Result<RwLockWriteGuard<'_, T>, TryLockError> {
        try_acquire(&self, self.written()).map_err(|_| would_block())?;
        Ok(RwLockWriteGuard::new(self))
    }

    /// As [`try_write`](Self::try_write), with a guard that keeps the lock alive.
    ///
    /// # Errors
    ///
    /// As [`try_write`](Self::try_write).
    #[track_caller]
    pub fn try_write_owned(self: Arc<Self>) -> Result<OwnedRwLockWriteGuard<T>, TryLockError> {
        try_acquire(&self, self.written()).map_err(|_| would_block())?;
        Ok(OwnedRwLockWriteGuard::new(self))
    }

    /// Returns the value. `&mut self` proves that the lock is free.
    pub fn get_mut(&mut self) -> &mut T {
        self.value.get_mut()
    }

    /// Consumes the lock and returns the value.
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

impl<T: ?Sized> HasRaw for RwLock<T> {
    fn raw(&self) -> &RawLock {
        &self.raw
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(value: T) -> Self {
        Self::new(value)
    }
}

impl<T: Default> Default for RwLock<T> {
    #[track_caller]
    fn default() -> Self {
        Self::new(T::default())
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLock<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut f = f.debug_struct("RwLock");
        let data = self.raw.peek(|| {
            // SAFETY: `peek` holds a reader's permit during this call.
            f.field("data", &unsafe { &*self.value.get() });
        });
        if data.is_none() {
            f.field("data", &format_args!("<locked>"));
        }
        f.finish()
    }
}
