//! [`Semaphore`].

mod forgetful;
mod owned;
mod permit;

use std::{
    fmt,
    future::Future,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use ::tokio::sync::{AcquireError, Semaphore as Inner, TryAcquireError};

use self::permit::Permits;
pub use self::permit::{OwnedSemaphorePermit, SemaphorePermit};
use super::acquire::{Acquirable, Request, acquire, blocking_acquire, try_acquire};
use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::{Pool, Tracked},
};

/// [`tokio::sync::Semaphore`], checked.
///
/// What is checked depends on the number of permits that it is created with:
///
/// - One: it has its place in the lock order, like a mutex. Since any task may add a permit, a wait
///   for it is never reported as permanent.
/// - Several: it is a pool. A task that holds a permit while it waits for another one is a
///   [`PoolExhaustion`](crate::FindingKind::PoolExhaustion). If all permits are held by tasks and threads that wait for
///   each other, that is a [`Deadlock`](crate::FindingKind::Deadlock), as a warning. A pool is not part of the lock order.
/// - None: it is a signal, which any task can send, and is not checked.
///
/// Checks end with the first [`add_permits`](Self::add_permits), and when the only permit is
/// forgotten.
///
/// ```
/// # #[::tokio::main(flavor = "current_thread")] async fn main() {
/// use lockdep::tokio::sync::Semaphore;
///
/// let connections = Semaphore::new(10);
/// let permit = connections.acquire().await.unwrap();
/// assert_eq!(connections.available_permits(), 9);
/// # }
/// ```
pub struct Semaphore {
    tracked: Tracked,
    inner: Inner,
    mode: Mode,
    is_signal: AtomicBool,
    pool: Pool,
}

impl Semaphore {
    pub(crate) const KIND: &'static LockKind =
        &LockKind { wrapper: "tokio::Semaphore", of: LockOf::Nothing, role: Role::Pool };

    /// The greatest number of permits that a semaphore can have.
    pub const MAX_PERMITS: usize = Inner::MAX_PERMITS;

    /// Creates a semaphore. Reports show the caller's location as the place of creation.
    ///
    /// # Panics
    ///
    /// If `permits` is greater than [`MAX_PERMITS`](Self::MAX_PERMITS).
    #[track_caller]
    pub fn new(permits: usize) -> Self {
        Self::made_of(permits, Inner::new(permits))
    }

    /// Creates a semaphore in a constant context, for a `static`.
    ///
    /// # Panics
    ///
    /// As [`new`](Self::new).
    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub const fn const_new(permits: usize) -> Self {
        Self::made_of(permits, Inner::const_new(permits))
    }

    #[track_caller]
    const fn made_of(permits: usize, inner: Inner) -> Self {
        let mode = if permits == 1 { Mode::Exclusive } else { Mode::Shared };
        let is_signal = AtomicBool::new(permits == 0);
        Self { tracked: Tracked::new(), inner, mode, is_signal, pool: Pool::new(permits) }
    }

    fn request(&self, permits: u32) -> Request {
        Request { kind: Self::KIND, mode: self.mode, is_write: false, permits }
    }

    /// Called when permits were forgotten. Without its only permit, the semaphore waits for
    /// `add_permits`.
    fn note_forgotten(&self) {
        self.note_change();
        if self.mode == Mode::Exclusive {
            self.is_signal.store(true, Relaxed);
        }
    }

    /// Called when the number of permits changes, or those that wait get none.
    fn note_change(&self) {
        self.pool.note_change(&self.tracked, Self::KIND);
    }

    /// Returns the number of free permits.
    pub fn available_permits(&self) -> usize {
        self.inner.available_permits()
    }

    /// Adds permits. From then on nothing is checked, because any task may add more.
    ///
    /// # Panics
    ///
    /// If the sum is greater than [`MAX_PERMITS`](Self::MAX_PERMITS).
    pub fn add_permits(&self, n: usize) {
        if n > 0 {
            self.note_change();
            self.is_signal.store(true, Relaxed);
        }
        self.inner.add_permits(n);
    }

    /// Removes up to `n` of the free permits. Returns how many it removed.
    pub fn forget_permits(&self, n: usize) -> usize {
        #[allow(unused_imports, reason = "used with an old tokio")]
        use self::forgetful::Forgetful;
        let forgotten = self.inner.forget_permits(n);
        if forgotten > 0 {
            self.note_forgotten();
        }
        forgotten
    }

    /// Acquires a permit. The task waits until one is free. Waiting tasks get permits in FIFO
    /// order.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Errors
    ///
    /// If the semaphore is closed, even while the task waits.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn acquire(&self) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        self.acquire_many(1)
    }

    /// As [`acquire`](Self::acquire), for `n` permits at once. The task waits until it has all of
    /// them; later tasks wait behind it.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future only loses its place in the queue.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_many(
        &self,
        n: u32,
    ) -> impl Future<Output = Result<SemaphorePermit<'_>, AcquireError>> {
        acquire(self, self.request(n), move |sem, acquired| {
            Ok(SemaphorePermit(Permits::new(sem, n, acquired?)))
        })
    }

    /// Acquires a permit if one is free. Never a finding: it does not wait.
    ///
    /// # Errors
    ///
    /// If no permit is free, or the semaphore is closed.
    #[track_caller]
    pub fn try_acquire(&self) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        self.try_acquire_many(1)
    }

    /// As [`try_acquire`](Self::try_acquire), for `n` permits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[track_caller]
    pub fn try_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, TryAcquireError> {
        let is_held = try_acquire(&self, self.request(n))?;
        Ok(SemaphorePermit(Permits::new(self, n, is_held)))
    }

    /// As [`acquire`](Self::acquire), by blocking the thread, for code that is not async.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// In a thread that runs tokio's async code, and for a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn blocking_acquire(&self) -> Result<SemaphorePermit<'_>, AcquireError> {
        self.blocking_acquire_many(1)
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), for `n` permits at once.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_many(&self, n: u32) -> Result<SemaphorePermit<'_>, AcquireError> {
        let is_held = blocking_acquire(&self, self.request(n))?;
        Ok(SemaphorePermit(Permits::new(self, n, is_held)))
    }

    /// Closes the semaphore: all acquisitions fail from then on, including those that wait.
    pub fn close(&self) {
        self.note_change();
        self.inner.close();
    }

    /// Returns `true` if the semaphore is closed.
    pub fn is_closed(&self) -> bool {
        self.inner.is_closed()
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl Acquirable for Semaphore {
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    fn semaphore(&self) -> &Inner {
        &self.inner
    }

    fn is_checked(&self) -> bool {
        !self.is_signal.load(Relaxed) && !self.is_closed()
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
