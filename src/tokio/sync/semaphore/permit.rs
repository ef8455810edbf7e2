//! [`SemaphorePermit`] and [`OwnedSemaphorePermit`].

use std::{fmt, mem, ptr, sync::Arc};

use super::{
    super::{acquire::Handle, in_task::is_in_task},
    Semaphore,
};

/// Permits that were acquired together, or merged.
pub(super) struct Permits<H: Handle<Lock = Semaphore>> {
    sem: H,
    count: usize,
    /// `true` if they are recorded as held. Never if `count` is 0.
    is_held: bool,
}

impl<H: Handle<Lock = Semaphore>> Permits<H> {
    pub(super) fn new(sem: H, permits: u32, is_held: bool) -> Self {
        Self { sem, count: permits as usize, is_held }
    }

    /// Records that the permits are no longer held, and runs `give_back`.
    fn release(&mut self, give_back: impl FnOnce(&Semaphore)) {
        let sem = self.sem.lock();
        if mem::take(&mut self.is_held) {
            sem.tracked.release(sem.mode, || give_back(sem));
        } else {
            give_back(sem);
        }
    }

    fn forget(&mut self) {
        if mem::take(&mut self.count) > 0 {
            self.release(Semaphore::note_forgotten);
        }
    }

    #[track_caller]
    fn merge(&mut self, mut other: Self) {
        assert!(
            ptr::eq(self.sem.lock(), other.sem.lock()),
            "merging permits from different semaphore instances"
        );
        let sum = self.count.checked_add(other.count);
        self.count = sum.expect("number of permits overflowed");
        other.count = 0;
        if self.is_held {
            other.release(|_| ());
        } else {
            self.is_held = mem::take(&mut other.is_held);
        }
    }

    #[track_caller]
    fn split(&mut self, n: usize) -> Option<Self>
    where
        H: Clone,
    {
        let left = self.count.checked_sub(n)?;
        let is_held = match (left, n) {
            (_, 0) => false,
            (0, _) => mem::take(&mut self.is_held),
            _ => self.is_held && self.record_once_more(),
        };
        self.count = left;
        Some(Self { sem: self.sem.clone(), count: n, is_held })
    }

    #[track_caller]
    fn record_once_more(&self) -> bool {
        let sem = self.sem.lock();
        let (kind, mode) = (Semaphore::KIND, sem.mode);
        let acquired = || Ok::<_, ()>(());
        sem.tracked.try_awaited(kind, mode, H::GUARD, is_in_task, acquired).is_ok()
    }

    fn fmt(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sem = self.sem.lock();
        f.debug_struct(name).field("sem", sem).field("permits", &self.count).finish()
    }
}

impl<H: Handle<Lock = Semaphore>> Drop for Permits<H> {
    fn drop(&mut self) {
        let permits = self.count;
        if permits > 0 {
            self.release(|sem| sem.inner.add_permits(permits));
        }
    }
}

/// Permits of a [`Semaphore`], returned when this is dropped.
///
/// ```
/// # use lockdep::tokio::sync::{Semaphore, SemaphorePermit};
/// let connections = Semaphore::new(10);
/// let permit: SemaphorePermit = connections.try_acquire().unwrap();
/// drop(permit);
/// assert_eq!(connections.available_permits(), 10);
/// ```
#[must_use]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a>(pub(super) Permits<&'a Semaphore>);

/// Permits of a [`Semaphore`], which this keeps alive. Returned when this is dropped.
///
/// ```
/// # use std::sync::Arc; use lockdep::tokio::sync::{OwnedSemaphorePermit, Semaphore};
/// let connections = Arc::new(Semaphore::new(10));
/// let permit: OwnedSemaphorePermit = connections.clone().try_acquire_owned().unwrap();
/// std::thread::spawn(move || drop(permit)).join().unwrap();
/// ```
#[must_use]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit(pub(super) Permits<Arc<Semaphore>>);

impl SemaphorePermit<'_> {
    /// Drops this without returning the permits.
    ///
    /// ```
    /// # use lockdep::tokio::sync::Semaphore;
    /// let connections = Semaphore::new(10);
    /// connections.try_acquire_many(4).unwrap().forget();
    /// assert_eq!(connections.available_permits(), 6);
    /// ```
    pub fn forget(mut self) {
        self.0.forget();
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    ///
    /// If `other` belongs to another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use lockdep::tokio::sync::Semaphore;
    /// let connections = Semaphore::new(10);
    /// let mut permits = connections.try_acquire_many(4).unwrap();
    /// permits.merge(connections.try_acquire().unwrap());
    /// assert_eq!(permits.num_permits(), 5);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Splits off `n` permits. Returns `None` if there are fewer.
    ///
    /// ```
    /// # use lockdep::tokio::sync::Semaphore;
    /// let connections = Semaphore::new(10);
    /// let mut permits = connections.try_acquire_many(4).unwrap();
    /// let one = permits.split(1).unwrap();
    /// assert_eq!((permits.num_permits(), one.num_permits()), (3, 1));
    /// ```
    #[track_caller]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.0.split(n).map(Self)
    }

    /// Returns the semaphore.
    ///
    /// ```
    /// # use lockdep::tokio::sync::Semaphore;
    /// let connections = Semaphore::new(10);
    /// let permit = connections.try_acquire().unwrap();
    /// assert_eq!(permit.semaphore().available_permits(), 9);
    /// ```
    pub fn semaphore(&self) -> &Semaphore {
        self.0.sem
    }

    /// Returns the number of permits.
    ///
    /// ```
    /// # use lockdep::tokio::sync::Semaphore;
    /// assert_eq!(Semaphore::new(10).try_acquire_many(4).unwrap().num_permits(), 4);
    /// ```
    pub fn num_permits(&self) -> usize {
        self.0.count
    }
}

impl OwnedSemaphorePermit {
    /// Drops this without returning the permits.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{Semaphore};
    /// let connections = Arc::new(Semaphore::new(10));
    /// connections.clone().try_acquire_owned().unwrap().forget();
    /// assert_eq!(connections.available_permits(), 9);
    /// ```
    pub fn forget(mut self) {
        self.0.forget();
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    ///
    /// If `other` belongs to another semaphore.
    ///
    /// # Examples
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{Semaphore};
    /// let connections = Arc::new(Semaphore::new(10));
    /// let mut permits = connections.clone().try_acquire_many_owned(4).unwrap();
    /// permits.merge(connections.try_acquire_owned().unwrap());
    /// assert_eq!(permits.num_permits(), 5);
    /// ```
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Splits off `n` permits. Returns `None` if there are fewer.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{Semaphore};
    /// let connections = Arc::new(Semaphore::new(10));
    /// let mut permits = connections.try_acquire_many_owned(4).unwrap();
    /// assert_eq!(permits.split(1).unwrap().num_permits(), 1);
    /// ```
    #[track_caller]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.0.split(n).map(Self)
    }

    /// Returns the semaphore.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{Semaphore};
    /// let connections = Arc::new(Semaphore::new(10));
    /// let permit = connections.clone().try_acquire_owned().unwrap();
    /// assert!(Arc::ptr_eq(permit.semaphore(), &connections));
    /// ```
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.0.sem
    }

    /// Returns the number of permits.
    ///
    /// ```
    /// # use std::sync::Arc; use lockdep::tokio::sync::{Semaphore};
    /// let permits = Arc::new(Semaphore::new(10)).try_acquire_many_owned(4).unwrap();
    /// assert_eq!(permits.num_permits(), 4);
    /// ```
    pub fn num_permits(&self) -> usize {
        self.0.count
    }
}

impl fmt::Debug for SemaphorePermit<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt("SemaphorePermit", f)
    }
}

impl fmt::Debug for OwnedSemaphorePermit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt("OwnedSemaphorePermit", f)
    }
}
