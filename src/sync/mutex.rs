//! [`Mutex`] and its guard.

use std::{
    fmt,
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
    sync::{self, LockResult, TryLockError, TryLockResult},
};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::{
        Held, PendingAcquire, Tracked, Wrapper, drop_guard, map_guard, not_free, taken, token,
    },
};

/// [`std::sync::Mutex`], checked.
///
/// Has all of std's methods with the same behaviour, except that [`lock`](Self::lock) panics where
/// it would violate the lock order.
///
/// ```
/// use lockdep::sync::Mutex;
///
/// static COUNT: Mutex<u64> = Mutex::new(0);
///
/// std::thread::scope(|scope| {
///     scope.spawn(|| *COUNT.lock().unwrap() += 1);
///     scope.spawn(|| *COUNT.lock().unwrap() += 1);
/// });
/// assert_eq!(*COUNT.lock().unwrap(), 2);
/// ```
pub struct Mutex<T: ?Sized> {
    tracked: Tracked,
    inner: sync::Mutex<T>,
}

/// The guard of a [`Mutex`]: [`std::sync::MutexGuard`].
#[must_use = "if unused the Mutex will immediately unlock"]
#[clippy::has_significant_drop]
pub struct MutexGuard<'a, T: ?Sized> {
    lock: &'a Mutex<T>,
    /// Initialized until the guard is dropped or taken apart.
    inner: ManuallyDrop<sync::MutexGuard<'a, T>>,
}

#[allow(unsafe_code, reason = "`&Mutex<T>` alone would require `T: Send`, which std does not")]
// SAFETY: a `&MutexGuard` exposes only `&T`, so `T: Sync` suffices; the lock is reachable only
// through an owned guard.
unsafe impl<T: ?Sized + Sync> Sync for MutexGuard<'_, T> {}

impl<T: ?Sized> MutexGuard<'_, T> {
    /// Called for a guard that a condition variable has returned.
    pub(super) fn note_condition(&self) {
        self.lock.note_condition();
    }
}

impl<T: ?Sized> Mutex<T> {
    /// Called when a condition variable has returned a guard of this mutex.
    pub(super) fn note_condition(&self) {
        self.tracked.note_condition();
    }
}

impl<T> Mutex<T> {
    /// As [`std::sync::Mutex::new`]. Reports show the caller's location as the place of creation.
    #[track_caller]
    #[inline]
    pub const fn new(t: T) -> Self {
        Self { tracked: Tracked::new(), inner: sync::Mutex::new(t) }
    }
}

impl<T: ?Sized> Mutex<T> {
    pub(crate) const KIND: &'static LockKind = &LockKind {
        wrapper: "Mutex",
        of: LockOf::Value(std::any::type_name::<T>),
        role: Role::Lock,
    };

    /// As [`std::sync::Mutex::lock`].
    ///
    /// # Errors
    ///
    /// If another thread panicked while it held the lock. A panic for a finding
    /// does not count.
    ///
    /// # Panics
    ///
    /// If taking the lock here is a finding at [`Level::Deny`](crate::Level::Deny). The panic comes
    /// before the lock is taken and poisons nothing.
    #[track_caller]
    #[inline(always)]
    pub fn lock(&self) -> LockResult<MutexGuard<'_, T>> {
        if let Some(fast) = &self.tracked.try_fast(Self::KIND, Mode::Exclusive) {
            match self.inner.try_lock() {
                Ok(inner) => {
                    // Unoptimized builds move a guard in 8-byte reads. Its last byte would just
                    // have been written, and the read would stall on it for 4 ns. So it is created
                    // before this call and moved after it.
                    let guard = MutexGuard { lock: self, inner: ManuallyDrop::new(inner) };
                    fast.acquired();
                    return Ok(guard);
                }
                Err(error) => not_free(error),
            }
        }
        map_guard(self.lock_slow(), |inner| MutexGuard {
            lock: self,
            inner: ManuallyDrop::new(inner),
        })
    }

    /// Returns the inner guard. Returning the wrapper's guard would force it into memory on the
    /// fast path too, and copying as a whole what was just written in parts stalls the processor
    /// for 10 ns.
    #[cold]
    #[track_caller]
    fn lock_slow(&self) -> LockResult<sync::MutexGuard<'_, T>> {
        let mut pending = self.tracked.about_to_block(Self::KIND, Mode::Exclusive);
        let try_lock = || taken(self.inner.try_lock());
        let result = match try_lock() {
            Some(result) => result,
            None => pending.contended(try_lock, || self.inner.lock()),
        };
        pending.finish(result, || self.inner.clear_poison())
    }

    /// As [`std::sync::Mutex::try_lock`]. Never a finding: it cannot block.
    ///
    /// # Errors
    ///
    /// If the lock is held, or poisoned.
    #[track_caller]
    #[inline]
    pub fn try_lock(&self) -> TryLockResult<MutexGuard<'_, T>> {
        let pending = self.tracked.about_to_try(Self::KIND, Mode::Exclusive);
        match self.inner.try_lock() {
            Ok(inner) => Ok(self.guard(pending, Ok(inner))?),
            Err(TryLockError::Poisoned(poisoned)) => Ok(self.guard(pending, Err(poisoned))?),
            Err(TryLockError::WouldBlock) => {
                pending.abandon();
                Err(TryLockError::WouldBlock)
            }
        }
    }

    /// As [`std::sync::Mutex::is_poisoned`].
    #[inline]
    pub fn is_poisoned(&self) -> bool {
        self.inner.is_poisoned() && !self.tracked.is_forgiven()
    }

    /// As [`std::sync::Mutex::clear_poison`].
    #[inline]
    pub fn clear_poison(&self) {
        self.inner.clear_poison();
        self.tracked.clear_forgiven();
    }

    /// As [`std::sync::Mutex::into_inner`].
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

    /// As [`std::sync::Mutex::get_mut`].
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

    /// Creates the guard of a lock that the wrapped mutex just acquired.
    pub(super) fn guard<'a>(
        &'a self,
        pending: PendingAcquire<'a>,
        result: LockResult<sync::MutexGuard<'a, T>>,
    ) -> LockResult<MutexGuard<'a, T>> {
        let result = pending.finish(result, || self.inner.clear_poison());
        map_guard(result, |inner| MutexGuard { lock: self, inner: ManuallyDrop::new(inner) })
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl<T: ?Sized> Wrapper for Mutex<T> {
    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    fn is_poisoned_inside(&self) -> bool {
        self.inner.is_poisoned()
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

impl<T: ?Sized + fmt::Debug> fmt::Debug for Mutex<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

impl<'a, T: ?Sized> MutexGuard<'a, T> {
    /// Splits the guard into its parts, for a condition variable, which releases and reacquires the
    /// lock.
    #[allow(unsafe_code, reason = "there is no other way to move out of a type with a destructor")]
    pub(super) fn into_parts(self) -> (&'a Mutex<T>, sync::MutexGuard<'a, T>, Held<'a>) {
        let mut this = ManuallyDrop::new(self);
        let held = token(this.lock, Mode::Exclusive);
        // SAFETY: `inner` is initialized, and `this` is never dropped, so it is not used
        // afterwards.
        let inner = unsafe { ManuallyDrop::take(&mut this.inner) };
        (this.lock, inner, held)
    }
}

impl<T: ?Sized> Drop for MutexGuard<'_, T> {
    #[inline(always)]
    #[allow(unsafe_code, reason = "see `drop_guard`")]
    fn drop(&mut self) {
        // SAFETY: `inner` is initialized, and the guard ends here, so it is not used afterwards.
        unsafe { drop_guard(self.lock, Mode::Exclusive, &mut self.inner) };
    }
}

impl<T: ?Sized> Deref for MutexGuard<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.inner
    }
}

impl<T: ?Sized> DerefMut for MutexGuard<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.inner
    }
}

impl<T: ?Sized + fmt::Debug> fmt::Debug for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl<T: ?Sized + fmt::Display> fmt::Display for MutexGuard<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}
