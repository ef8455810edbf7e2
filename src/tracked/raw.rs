//! Acquisitions of raw locks, which store no token. Shared by the adapters for both versions of
//! lock_api.

use std::{any::type_name, mem::ManuallyDrop};

use super::{PendingAcquire, Tracked};
use crate::finding::{LockKind, LockOf, Mode, Role};

/// The result of an attempt: a `bool` in lock_api 0.4, the state of a guard in lock_api 0.5.
pub trait Attempt {
    /// The state that a guard of the lock keeps.
    type Guard;

    /// Returns `true` if the attempt has succeeded.
    fn has_succeeded(&self) -> bool;

    /// Returns the state of the guard, if the attempt has succeeded.
    fn guard(self) -> Option<Self::Guard>;
}

impl Attempt for bool {
    type Guard = ();

    #[inline(always)]
    fn has_succeeded(&self) -> bool {
        *self
    }

    #[inline(always)]
    fn guard(self) -> Option<()> {
        if self { Some(()) } else { None }
    }
}

impl<G> Attempt for Option<G> {
    type Guard = G;

    #[inline(always)]
    fn has_succeeded(&self) -> bool {
        self.is_some()
    }

    #[inline(always)]
    fn guard(self) -> Option<G> {
        self
    }
}

/// The result of an attempt to upgrade. If it fails, the caller keeps the guard.
impl<G, U> Attempt for Result<G, U> {
    type Guard = G;

    fn has_succeeded(&self) -> bool {
        self.is_ok()
    }

    fn guard(self) -> Option<G> {
        self.ok()
    }
}

/// A raw lock in an adapter. A common trait for both versions of lock_api, which share none.
pub trait RawLock {
    /// The wrapped lock.
    type Raw;

    /// A type that is `Send` if guards may be sent to another thread.
    type Guard;

    /// The lock's type in reports.
    const WRAPPER: &'static str;

    /// `true` if the lock also has readers. After the first write, they may have to wait for each
    /// other.
    const HAS_READERS: bool;

    /// The lock's kind for the validator.
    const KIND: &'static LockKind = &LockKind {
        wrapper: Self::WRAPPER,
        of: LockOf::Raw { raw: type_name::<Self::Raw>, guard: type_name::<Self::Guard> },
        role: Role::Lock,
    };

    /// Returns the lock's identity.
    fn tracked(&self) -> &Tracked;

    /// Returns the wrapped lock.
    fn raw(&self) -> &Self::Raw;

    /// Acquires the lock, and blocks if necessary.
    #[track_caller]
    #[inline(always)]
    fn acquire<A: Attempt>(
        &self,
        mode: Mode,
        try_lock: impl Fn(&Self::Raw) -> A,
        lock: impl FnOnce(&Self::Raw) -> A::Guard,
    ) -> A::Guard {
        let fast = match mode {
            Mode::Exclusive if Self::HAS_READERS => self.tracked().try_fast_write(Self::KIND),
            mode => self.tracked().try_fast(Self::KIND, mode),
        };
        if let Some(fast) = &fast
            && let Some(guard) = try_lock(self.raw()).guard()
        {
            fast.acquired();
            return guard;
        }
        self.acquire_slow(mode, try_lock, lock)
    }

    /// Slow path of [`acquire`](Self::acquire).
    #[cold]
    #[track_caller]
    fn acquire_slow<A: Attempt>(
        &self,
        mode: Mode,
        try_lock: impl Fn(&Self::Raw) -> A,
        lock: impl FnOnce(&Self::Raw) -> A::Guard,
    ) -> A::Guard {
        let mut pending = match mode {
            Mode::Exclusive if Self::HAS_READERS => self.tracked().about_to_write(Self::KIND, mode),
            mode => self.tracked().about_to_block(Self::KIND, mode),
        };
        let try_lock = || try_lock(self.raw()).guard();
        let guard = match try_lock() {
            Some(guard) => guard,
            None => pending.contended(try_lock, || lock(self.raw())),
        };
        pending.acquired().forget();
        guard
    }

    /// Tries to acquire the lock without waiting.
    #[track_caller]
    fn try_acquire<A: Attempt>(&self, mode: Mode, try_lock: impl FnOnce(&Self::Raw) -> A) -> A {
        let pending = self.tracked().about_to_try(Self::KIND, mode);
        pending.finish_attempt(try_lock(self.raw()))
    }

    /// Tries to acquire the lock, with a timeout.
    #[track_caller]
    fn try_acquire_timed<A: Attempt>(
        &self,
        mode: Mode,
        try_lock: impl FnOnce(&Self::Raw) -> A,
        try_lock_timed: impl FnOnce(&Self::Raw) -> A,
    ) -> A {
        let pending = self.tracked().about_to_try(Self::KIND, mode);
        let mut attempt = try_lock(self.raw());
        if !attempt.has_succeeded() {
            attempt = pending.wait_timeout(|| try_lock_timed(self.raw()));
        }
        pending.finish_attempt(attempt)
    }

    /// Tries to upgrade the lock.
    #[track_caller]
    fn try_upgrade_by<A: Attempt>(&self, upgrade: impl FnOnce(PendingAcquire<'_>) -> A) -> A {
        let pending = self.tracked().about_to_try(Self::KIND, Mode::Upgrade);
        let attempt = upgrade(pending);
        if attempt.has_succeeded() {
            pending.upgraded();
            self.tracked().held(Mode::Upgradable).into_mode(Mode::Exclusive).forget();
        } else {
            pending.abandon();
        }
        attempt
    }

    /// Hands the lock to a waiting thread with `bump`, which acquires it again in this mode. A
    /// recursive reader does not queue behind a writer then either.
    #[track_caller]
    fn bump_by(&self, wanted: Mode, bump: impl FnOnce(&Self::Raw)) {
        // If this panics, the caller's guard must still hold the lock.
        let held = ManuallyDrop::new(self.tracked().held(wanted.once_held()));
        let reacquired = Reacquired(held.about_to_bump(Self::KIND, wanted));
        reacquired.0.wait(|| bump(self.raw()));
    }

    /// Waits on a condition variable with `wait`, which releases the lock and acquires it again.
    #[track_caller]
    fn wait_on_condition<T>(&self, wait: impl FnOnce() -> T) -> T {
        // If this panics, the caller's guard must still hold the lock.
        let held = ManuallyDrop::new(self.tracked().held(Mode::Exclusive));
        let reacquired = Reacquired(held.about_to_wait(Self::KIND));
        let result = reacquired.0.wait_notified(wait);
        drop(reacquired);
        self.tracked().note_condition();
        result
    }
}

impl PendingAcquire<'_> {
    fn finish_attempt<A: Attempt>(self, attempt: A) -> A {
        if attempt.has_succeeded() {
            self.acquired().forget();
        } else {
            self.abandon();
        }
        attempt
    }
}

/// A lock that is released and acquired again. Dropping this records it as held, even if the
/// wrapped lock unwinds, because the caller's guard still exists.
struct Reacquired<'a>(PendingAcquire<'a>);

impl Drop for Reacquired<'_> {
    fn drop(&mut self) {
        self.0.acquired_after_wait().forget();
    }
}
