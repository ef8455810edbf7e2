//! Acquisitions of a [`Semaphore`] in an `Arc`.

use std::{future::Future, sync::Arc};

use ::tokio::sync::{AcquireError, TryAcquireError};

use super::{
    super::acquire::{acquire, blocking_acquire, try_acquire},
    OwnedSemaphorePermit, Permits, Semaphore,
};

impl Semaphore {
    /// As [`acquire`](Self::acquire), with a permit that keeps the semaphore alive, so that it can
    /// move to another task.
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
    ///
    /// # Examples
    ///
    /// ```
    /// # #[::tokio::main(flavor = "current_thread")] async fn main() {
    /// # use std::sync::Arc;
    /// # use lockdep::tokio::{self, sync::Semaphore};
    /// let connections = Arc::new(Semaphore::new(10));
    /// for job in 0..100 {
    ///     let permit = connections.clone().acquire_owned().await.unwrap();
    ///     tokio::spawn(async move { drop((job, permit)) });
    /// }
    /// # }
    /// ```
    #[track_caller]
    pub fn acquire_owned(
        self: Arc<Self>,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        self.acquire_many_owned(1)
    }

    /// As [`acquire_owned`](Self::acquire_owned), for `n` permits at once.
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
    pub fn acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> impl Future<Output = Result<OwnedSemaphorePermit, AcquireError>> {
        let request = self.request(n);
        acquire(self, request, move |sem, acquired| {
            Ok(OwnedSemaphorePermit(Permits::new(sem, n, acquired?)))
        })
    }

    /// As [`try_acquire`](Self::try_acquire), with a permit that keeps the semaphore alive.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[track_caller]
    pub fn try_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        self.try_acquire_many_owned(1)
    }

    /// As [`try_acquire_owned`](Self::try_acquire_owned), for `n` permits.
    ///
    /// # Errors
    ///
    /// As [`try_acquire`](Self::try_acquire).
    #[track_caller]
    pub fn try_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, TryAcquireError> {
        let is_held = try_acquire(&self, self.request(n))?;
        Ok(OwnedSemaphorePermit(Permits::new(self, n, is_held)))
    }

    /// As [`blocking_acquire`](Self::blocking_acquire), with a permit that keeps the semaphore
    /// alive.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_owned(self: Arc<Self>) -> Result<OwnedSemaphorePermit, AcquireError> {
        self.blocking_acquire_many_owned(1)
    }

    /// As [`blocking_acquire_owned`](Self::blocking_acquire_owned), for `n` permits at once.
    ///
    /// # Errors
    ///
    /// As [`acquire`](Self::acquire).
    ///
    /// # Panics
    ///
    /// As [`blocking_acquire`](Self::blocking_acquire).
    #[track_caller]
    pub fn blocking_acquire_many_owned(
        self: Arc<Self>,
        n: u32,
    ) -> Result<OwnedSemaphorePermit, AcquireError> {
        let is_held = blocking_acquire(&self, self.request(n))?;
        Ok(OwnedSemaphorePermit(Permits::new(self, n, is_held)))
    }
}
