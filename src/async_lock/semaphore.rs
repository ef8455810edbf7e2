//! [`Semaphore`], its futures and its guards.

#![allow(clippy::must_use_candidate, reason = "the originals have no `must_use`")]

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    task::{Context, Poll},
};

use ::async_lock as real;
use pin_project_lite::pin_project;

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
    wrapped_async::{Acquire as Acquisition, HasRaw, Hold, Raw, Request, block_on, try_acquire},
};

/// [`async_lock::Semaphore`](real::Semaphore), checked.
///
/// With one permit, it has its place in the lock order, like a mutex. With several it is a pool: a task that holds a permit
/// while it waits for another one is a [`PoolExhaustion`](crate::FindingKind::PoolExhaustion). With none it is a
/// signal, and not checked.
///
/// Checks end with the first [`add_permits`](Self::add_permits), and when the only permit is forgotten.
///
/// ```
/// use lockdep::async_lock::Semaphore;
///
/// let connections = Semaphore::new(2);
/// let permit = connections.try_acquire();
/// assert_eq!(connections.available_permits(), 1);
/// # drop(permit);
/// ```
pub struct Semaphore {
    raw: Raw<real::Semaphore>,
    mode: Mode,
    is_signal: AtomicBool,
}

impl Semaphore {
    pub(crate) const KIND: &'static LockKind =
        &LockKind { wrapper: "async_lock::Semaphore", of: LockOf::Woken(|| ""), role: Role::Pool };

    /// Creates a semaphore with `n` permits. Reports show the caller's location as the place of creation.
    #[track_caller]
    pub const fn new(n: usize) -> Self {
        let mode = if n == 1 { Mode::Exclusive } else { Mode::Shared };
        let raw = Raw::new(real::Semaphore::new(n));
        Self { raw, mode, is_signal: AtomicBool::new(n == 0) }
    }

    fn request(&self) -> Request {
        Request { kind: Self::KIND, mode: self.mode, is_write: false }
    }

    /// Acquires a permit. The task waits until one is free.
    ///
    /// # Panics
    ///
    /// When it is first polled, for a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn acquire(&self) -> Acquire<'_> {
        Acquire { acquire: Acquisition::new(self, self.request(), real::Semaphore::acquire) }
    }

    /// As [`acquire`](Self::acquire), with a guard that keeps the semaphore alive, so that it can move to another
    /// task.
    ///
    /// # Panics
    ///
    /// As [`acquire`](Self::acquire).
    #[track_caller]
    pub fn acquire_arc(self: &Arc<Self>) -> AcquireArc {
        let start = real::Semaphore::acquire;
        AcquireArc { acquire: Acquisition::new(Arc::clone(self), self.request(), start) }
    }

    /// Acquires a permit by blocking the thread.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn acquire_blocking(&self) -> SemaphoreGuard<'_> {
        let (attempt, block) = (real::Semaphore::try_acquire, real::Semaphore::acquire_blocking);
        SemaphoreGuard { hold: block_on(self, self.request(), attempt, block) }
    }

    /// As [`acquire_blocking`](Self::acquire_blocking), with a guard that keeps the semaphore alive.
    ///
    /// # Panics
    ///
    /// As [`acquire_blocking`](Self::acquire_blocking).
    #[cfg(not(target_family = "wasm"))]
    #[track_caller]
    pub fn acquire_arc_blocking(self: &Arc<Self>) -> SemaphoreGuardArc {
        let (attempt, block) = (real::Semaphore::try_acquire, real::Semaphore::acquire_blocking);
        SemaphoreGuardArc { hold: block_on(Arc::clone(self), self.request(), attempt, block) }
    }

    /// Acquires a permit if one is free. Never a finding: it does not wait.
    #[track_caller]
    pub fn try_acquire(&self) -> Option<SemaphoreGuard<'_>> {
        let hold = try_acquire(self, self.request(), real::Semaphore::try_acquire)?;
        Some(SemaphoreGuard { hold })
    }

    /// As [`try_acquire`](Self::try_acquire), with a guard that keeps the semaphore alive.
    #[track_caller]
    pub fn try_acquire_arc(self: &Arc<Self>) -> Option<SemaphoreGuardArc> {
        let attempt = real::Semaphore::try_acquire;
        let hold = try_acquire(Arc::clone(self), self.request(), attempt)?;
        Some(SemaphoreGuardArc { hold })
    }

    /// Adds permits. From then on nothing is checked, because any task may add more.
    pub fn add_permits(&self, n: usize) {
        if n > 0 {
            self.is_signal.store(true, Relaxed);
        }
        self.raw.real().add_permits(n);
    }

    /// Returns the number of free permits.
    #[cfg(not(async_lock_no_available_permits))]
    pub fn available_permits(&self) -> usize {
        self.raw.real().available_permits()
    }

    /// Called when a permit was forgotten. Without its only one, the semaphore waits for `add_permits`.
    fn note_forgotten(&self) {
        if self.mode == Mode::Exclusive {
            self.is_signal.store(true, Relaxed);
        }
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        self.raw.tracked()
    }
}

impl HasRaw for Semaphore {
    type Real = real::Semaphore;

    fn raw(&self) -> &Raw<Self::Real> {
        &self.raw
    }

    fn is_checked(&self) -> bool {
        !self.is_signal.load(Relaxed)
    }
}

impl fmt::Debug for Semaphore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.real().fmt(f)
    }
}

type RealGuard = real::SemaphoreGuard<'static>;

/// A permit of a [`Semaphore`], returned when this is dropped.
#[clippy::has_significant_drop]
pub struct SemaphoreGuard<'a> {
    hold: Hold<&'a Semaphore, RealGuard>,
}

/// A permit of a [`Semaphore`], which this keeps alive. Returned when this is dropped.
#[clippy::has_significant_drop]
pub struct SemaphoreGuardArc {
    hold: Hold<Arc<Semaphore>, RealGuard>,
}

#[cfg(not(async_lock_no_forget))]
impl SemaphoreGuard<'_> {
    /// Drops the guard without returning the permit.
    pub fn forget(self) {
        self.hold.handle().note_forgotten();
        self.hold.release_with(real::SemaphoreGuard::forget);
    }
}

#[cfg(not(async_lock_no_forget))]
impl SemaphoreGuardArc {
    /// Drops the guard without returning the permit.
    pub fn forget(self) {
        self.hold.handle().note_forgotten();
        self.hold.release_with(real::SemaphoreGuard::forget);
    }
}

type RealFuture = real::futures::Acquire<'static>;

pin_project! {
    /// The future of [`Semaphore::acquire`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct Acquire<'a> {
        #[pin]
        acquire: Acquisition<&'a Semaphore, RealFuture>,
    }
}

pin_project! {
    /// The future of [`Semaphore::acquire_arc`].
    #[must_use = "futures do nothing unless you `.await` or poll them"]
    pub struct AcquireArc {
        #[pin]
        acquire: Acquisition<Arc<Semaphore>, RealFuture>,
    }
}

macro_rules! acquires {
    ($future:ty, $name:literal => $guard:ident<$($lifetime:lifetime)?>, $guard_name:literal) => {
        impl<$($lifetime)?> Future for $future {
            type Output = $guard<$($lifetime)?>;

            /// `track_caller`, so that a panic shows the location of the `.await`.
            #[track_caller]
            fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
                self.project().acquire.poll(cx).map(|hold| $guard { hold })
            }
        }

        impl<$($lifetime)?> fmt::Debug for $future {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(concat!($name, " { .. }"))
            }
        }

        impl<$($lifetime)?> fmt::Debug for $guard<$($lifetime)?> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple($guard_name).field(self.hold.handle()).finish()
            }
        }
    };
}

acquires!(Acquire<'a>, "Acquire" => SemaphoreGuard<'a>, "SemaphoreGuard");
acquires!(AcquireArc, "AcquireArc" => SemaphoreGuardArc<>, "SemaphoreGuardArc");
