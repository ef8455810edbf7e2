//! [`SemaphorePermit`] and [`OwnedSemaphorePermit`].

use std::{fmt, mem, ptr, sync::Arc};

use super::{super::in_task::is_in_task, Semaphore};
use crate::tracked::{GuardKind, Handle};

/// Permits that were acquired together, or merged.
pub(super) struct Permits<H: Handle<Lock = Semaphore>> {
    sem: H,
    count: usize,
    /// `true` if they are recorded as held. Never if `count` is 0.
    is_held: bool,
}

impl<H: Handle<Lock = Semaphore>> Permits<H> {
    pub(super) fn new(sem: H, permits: u32, is_held: bool) -> Self {
        let permits = Self { sem, count: permits as usize, is_held };
        permits.count_in();
        permits
    }

    /// Returns `true` if the permits count as held. Those of an owned guard do not: it may be anywhere, so no deadlock
    /// of the semaphore is certain meanwhile.
    fn is_counted(&self) -> bool {
        self.is_held && H::GUARD == GuardKind::Borrowed
    }

    /// Adds the permits to those of the semaphore that are held.
    fn count_in(&self) {
        if self.is_counted() {
            let sem = self.sem.lock();
            sem.pool.add(&sem.tracked, Semaphore::KIND, self.count);
        }
    }

    /// Called before they are released, and before they change.
    fn count_out(&self) {
        if self.is_counted() {
            self.sem.lock().pool.remove(self.count);
        }
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
        self.count_out();
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
        let sum = sum.expect("number of permits overflowed");
        self.count_out();
        other.count_out();
        self.count = sum;
        other.count = 0;
        if self.is_held {
            other.release(|_| ());
        } else {
            self.is_held = mem::take(&mut other.is_held);
        }
        self.count_in();
    }

    #[track_caller]
    fn split(&mut self, n: usize) -> Option<Self>
    where
        H: Clone,
    {
        let left = self.count.checked_sub(n)?;
        self.count_out();
        let is_held = match (left, n) {
            (_, 0) => false,
            (0, _) => mem::take(&mut self.is_held),
            _ => self.is_held && self.record_once_more(),
        };
        self.count = left;
        let split_off = Self { sem: self.sem.clone(), count: n, is_held };
        self.count_in();
        split_off.count_in();
        Some(split_off)
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
            self.count_out();
            self.release(|sem| sem.inner.add_permits(permits));
        }
    }
}

/// Permits of a [`Semaphore`], returned when this is dropped.
#[must_use]
#[clippy::has_significant_drop]
pub struct SemaphorePermit<'a>(pub(super) Permits<&'a Semaphore>);

/// Permits of a [`Semaphore`], which this keeps alive. Returned when this is dropped.
#[must_use]
#[clippy::has_significant_drop]
pub struct OwnedSemaphorePermit(pub(super) Permits<Arc<Semaphore>>);

impl SemaphorePermit<'_> {
    /// Drops this without returning the permits.
    pub fn forget(mut self) {
        self.0.forget();
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    ///
    /// If `other` belongs to another semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Splits off `n` permits. Returns `None` if there are fewer.
    #[track_caller]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.0.split(n).map(Self)
    }

    /// Returns the semaphore.
    pub fn semaphore(&self) -> &Semaphore {
        self.0.sem
    }

    /// Returns the number of permits.
    pub fn num_permits(&self) -> usize {
        self.0.count
    }
}

impl OwnedSemaphorePermit {
    /// Drops this without returning the permits.
    pub fn forget(mut self) {
        self.0.forget();
    }

    /// Adds the permits of `other`.
    ///
    /// # Panics
    ///
    /// If `other` belongs to another semaphore.
    #[track_caller]
    pub fn merge(&mut self, other: Self) {
        self.0.merge(other.0);
    }

    /// Splits off `n` permits. Returns `None` if there are fewer.
    #[track_caller]
    pub fn split(&mut self, n: usize) -> Option<Self> {
        self.0.split(n).map(Self)
    }

    /// Returns the semaphore.
    pub fn semaphore(&self) -> &Arc<Semaphore> {
        &self.0.sem
    }

    /// Returns the number of permits.
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
