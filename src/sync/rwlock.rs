//! [`RwLock`] and its guards.

use std::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    sync::{self, LockResult, TryLockError, TryLockResult},
};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::{PendingAcquire, Tracked, Wrapper, drop_guard, map_guard, not_free, taken, token},
};

/// [`std::sync::RwLock`], checked.
///
/// Has all of std's methods with the same behaviour, except that [`read`](Self::read) and
/// [`write`](Self::write) panic where they would violate the lock order.
///
/// ```
/// use lockdep::sync::RwLock;
///
/// let rates = RwLock::new(vec![1.5]);
/// assert_eq!(rates.read().unwrap()[0], 1.5);
/// rates.write().unwrap().push(2.0);
/// assert_eq!(rates.read().unwrap().len(), 2);
/// ```
pub struct RwLock<T: ?Sized> {
    tracked: Tracked,
    inner: sync::RwLock<T>,
}

/// The guard of a reader: [`std::sync::RwLockReadGuard`].
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockReadGuard<'rwlock, T: ?Sized + 'rwlock> {
    lock: &'rwlock Tracked,
    /// Initialized until the guard is dropped or taken apart.
    inner: ManuallyDrop<sync::RwLockReadGuard<'rwlock, T>>,
}

/// The guard of a writer: [`std::sync::RwLockWriteGuard`].
#[must_use = "if unused the RwLock will immediately unlock"]
#[clippy::has_significant_drop]
pub struct RwLockWriteGuard<'rwlock, T: ?Sized + 'rwlock> {
    lock: &'rwlock RwLock<T>,
    /// Initialized until the guard is dropped or taken apart.
    inner: ManuallyDrop<sync::RwLockWriteGuard<'rwlock, T>>,
}

impl<T> RwLock<T> {
    /// As [`std::sync::RwLock::new`]. Reports show the caller's location as the place of creation.
    #[track_caller]
    #[inline]
    pub const fn new(t: T) -> Self {
        Self { tracked: Tracked::new(), inner: sync::RwLock::new(t) }
    }
}

impl<T: ?Sized> RwLock<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "RwLock",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Lock,
    };

    /// As [`std::sync::RwLock::read`].
    ///
    /// # Errors
    ///
    /// If a writer panicked while it held the lock. A panic for a finding does not
    /// count.
    ///
    /// # Panics
    ///
    /// If reading here is a finding at [`Level::Deny`](crate::Level::Deny). The panic comes before
    /// the lock is taken and poisons nothing.
    #[track_caller]
    #[inline(always)]
    pub fn read(&self) -> LockResult<RwLockReadGuard<'_, T>> {
        if let Some(fast) = &self.tracked.try_fast(Self::KIND, Mode::Shared) {
            match self.inner.try_read() {
                Ok(inner) => {
                    let guard =
                        RwLockReadGuard { lock: &self.tracked, inner: ManuallyDrop::new(inner) };
                    fast.acquired();
                    return Ok(guard);
                }
                Err(error) => not_free(error),
            }
        }
        map_guard(self.read_slow(), |inner| RwLockReadGuard {
            lock: &self.tracked,
            inner: ManuallyDrop::new(inner),
        })
    }

    /// Returns the inner guard: see `Mutex::lock_slow`.
    #[cold]
    #[track_caller]
    fn read_slow(&self) -> LockResult<sync::RwLockReadGuard<'_, T>> {
        let mut pending = self.tracked.about_to_block(Self::KIND, Mode::Shared);
        let try_read = || taken(self.inner.try_read());
        let result = match try_read() {
            Some(result) => result,
            None => pending.contended(try_read, || self.inner.read()),
        };
        pending.finish(result, || self.inner.clear_poison())
    }

    /// As [`std::sync::RwLock::try_read`]. Never a finding: it cannot block.
    ///
    /// # Errors
    ///
    /// If a writer holds the lock, or it is poisoned.
    #[track_caller]
    #[inline]
    pub fn try_read(&self) -> TryLockResult<RwLockReadGuard<'_, T>> {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Shared);
        match self.inner.try_read() {
            Ok(inner) => Ok(self.read_guard(pending, Ok(inner))?),
            Err(TryLockError::Poisoned(poisoned)) => Ok(self.read_guard(pending, Err(poisoned))?),
            Err(TryLockError::WouldBlock) => {
                pending.abandon();
                Err(TryLockError::WouldBlock)
            }
        }
    }

    /// As [`std::sync::RwLock::write`].
    ///
    /// # Errors
    ///
    /// If a writer panicked while it held the lock. A panic for a finding does not
    /// count.
    ///
    /// # Panics
    ///
    /// If writing here is a finding at [`Level::Deny`](crate::Level::Deny). The panic comes before
    /// the lock is taken and poisons nothing.
    #[track_caller]
    #[inline(always)]
    pub fn write(&self) -> LockResult<RwLockWriteGuard<'_, T>> {
        if let Some(fast) = &self.tracked.try_fast_write(Self::KIND) {
            match self.inner.try_write() {
                Ok(inner) => {
                    // Made before the call: see `Mutex::lock`.
                    let guard = RwLockWriteGuard { lock: self, inner: ManuallyDrop::new(inner) };
                    fast.acquired();
                    return Ok(guard);
                }
                Err(error) => not_free(error),
            }
        }
        map_guard(self.write_slow(), |inner| RwLockWriteGuard {
            lock: self,
            inner: ManuallyDrop::new(inner),
        })
    }

    /// Returns the inner guard: see `Mutex::lock_slow`.
    #[cold]
    #[track_caller]
    fn write_slow(&self) -> LockResult<sync::RwLockWriteGuard<'_, T>> {
        let mut pending = self.tracked.about_to_write(Self::KIND, Mode::Exclusive);
        let try_write = || taken(self.inner.try_write());
        let result = match try_write() {
            Some(result) => result,
            None => pending.contended(try_write, || self.inner.write()),
        };
        pending.finish(result, || self.inner.clear_poison())
    }

    /// As [`std::sync::RwLock::try_write`]. Never a finding: it cannot block.
    ///
    /// # Errors
    ///
    /// If the lock is held, or poisoned.
    #[track_caller]
    #[inline]
    pub fn try_write(&self) -> TryLockResult<RwLockWriteGuard<'_, T>> {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        match self.inner.try_write() {
            Ok(inner) => Ok(self.write_guard(pending, Ok(inner))?),
            Err(TryLockError::Poisoned(poisoned)) => Ok(self.write_guard(pending, Err(poisoned))?),
            Err(TryLockError::WouldBlock) => {
                pending.abandon();
                Err(TryLockError::WouldBlock)
            }
        }
    }

    /// As [`std::sync::RwLock::is_poisoned`].
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.inner.is_poisoned() && !self.tracked.is_forgiven()
    }

    /// As [`std::sync::RwLock::clear_poison`].
    #[inline]
    pub fn clear_poison(&self) {
        self.inner.clear_poison();
        self.tracked.clear_forgiven();
    }

    /// As [`std::sync::RwLock::into_inner`].
    ///
    /// # Errors
    ///
    /// If the lock is poisoned.
    pub fn into_inner(self) -> LockResult<T>
    where
        T: Sized,
    {
        let Self { tracked, inner } = self;
        if tracked.is_forgiven() {
            inner.clear_poison();
        }
        inner.into_inner()
    }

    /// As [`std::sync::RwLock::get_mut`].
    ///
    /// # Errors
    ///
    /// If the lock is poisoned.
    pub fn get_mut(&mut self) -> LockResult<&mut T> {
        if self.tracked.is_forgiven() {
            self.clear_poison();
        }
        self.inner.get_mut()
    }

    fn read_guard<'a>(
        &'a self,
        pending: PendingAcquire<'a>,
        result: LockResult<sync::RwLockReadGuard<'a, T>>,
    ) -> LockResult<RwLockReadGuard<'a, T>> {
        let result = pending.finish(result, || self.inner.clear_poison());
        map_guard(result, |inner| RwLockReadGuard {
            lock: &self.tracked,
            inner: ManuallyDrop::new(inner),
        })
    }

    fn write_guard<'a>(
        &'a self,
        pending: PendingAcquire<'a>,
        result: LockResult<sync::RwLockWriteGuard<'a, T>>,
    ) -> LockResult<RwLockWriteGuard<'a, T>> {
        let result = pending.finish(result, || self.inner.clear_poison());
        map_guard(result, |inner| RwLockWriteGuard { lock: self, inner: ManuallyDrop::new(inner) })
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl<T: ?Sized> Wrapper for RwLock<T> {
    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    fn is_poisoned_inside(&self) -> bool {
        self.inner.is_poisoned()
    }
}

#[allow(unsafe_code, reason = "`&RwLock<T>` alone would require `T: Send`, which std does not")]
// SAFETY: a `&RwLockWriteGuard` exposes only `&T`, so `T: Sync` suffices; the lock is reachable
// only through an owned guard.
unsafe impl<T: ?Sized + Sync> Sync for RwLockWriteGuard<'_, T> {}

impl<T: ?Sized> Drop for RwLockReadGuard<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code, reason = "see `drop_guard`")]
    fn drop(&mut self) {
        // SAFETY: `inner` is initialized, and the guard ends here, so it is not used afterwards.
        unsafe { drop_guard(self.lock, Mode::Shared, &mut self.inner) };
    }
}

impl<T: ?Sized> Drop for RwLockWriteGuard<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code, reason = "see `drop_guard`")]
    fn drop(&mut self) {
        // SAFETY: `inner` is initialized, and the guard ends here, so it is not used afterwards.
        unsafe { drop_guard(self.lock, Mode::Exclusive, &mut self.inner) };
    }
}

impl<T> From<T> for RwLock<T> {
    #[track_caller]
    fn from(t: T) -> Self {
        Self::new(t)
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
        self.inner.fmt(f)
    }
}

impl<'rwlock, T: ?Sized> RwLockWriteGuard<'rwlock, T> {
    /// As [`std::sync::RwLockWriteGuard::downgrade`]: the lock stays held, for reading.
    #[allow(unsafe_code, reason = "there is no other way to move out of a type with a destructor")]
    pub fn downgrade(s: Self) -> RwLockReadGuard<'rwlock, T> {
        let mut this = ManuallyDrop::new(s);
        let held = token(this.lock, Mode::Exclusive);
        // SAFETY: `inner` is initialized, and `this` is never dropped, so it is not used
        // afterwards.
        let inner = unsafe { ManuallyDrop::take(&mut this.inner) };
        let inner = sync::RwLockWriteGuard::downgrade(inner);
        held.into_mode(Mode::Shared).forget();
        RwLockReadGuard { lock: &this.lock.tracked, inner: ManuallyDrop::new(inner) }
    }
}

impl<T: ?Sized> Deref for RwLockReadGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> Deref for RwLockWriteGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for RwLockWriteGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockReadGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for RwLockWriteGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
