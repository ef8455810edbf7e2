//! Acquisitions, in the three ways there are: by a future, without waiting, and by blocking the
//! thread.
//!
//! As in tokio, each lock is a semaphore and a value. An acquisition takes permits of the semaphore
//! and forgets them; the release adds them again.

#![allow(unsafe_code, reason = "a future refers to its lock, which it keeps alive")]

use std::{
    future::Future,
    pin::Pin,
    ptr,
    task::{Context, Poll, ready},
};

use ::tokio::sync::{AcquireError, Semaphore, SemaphorePermit, TryAcquireError, TryLockError};
use pin_project_lite::pin_project;

use super::{
    block_on::{assert_may_block, block_on},
    in_task::is_in_task,
};
use crate::{
    finding::{LockKind, Mode},
    tracked::{Awaited, GuardKind, Handle, Tracked},
};

/// A lock or semaphore that an [`Acquire`] can take.
pub(super) trait Acquirable {
    fn tracked(&self) -> &Tracked;

    fn semaphore(&self) -> &Semaphore;

    /// Returns `false` if its acquisitions are neither checked nor recorded.
    fn is_checked(&self) -> bool {
        true
    }
}

/// The kind, mode and size of an acquisition.
#[derive(Clone, Copy)]
pub(super) struct Request {
    pub(super) kind: &'static LockKind,
    pub(super) mode: Mode,
    /// `true` for a write of a lock that also has readers.
    pub(super) is_write: bool,
    /// The number of permits. With 0 nothing is held afterwards.
    pub(super) permits: u32,
}

impl Request {
    fn is_checked<L: Acquirable + ?Sized>(self, lock: &L) -> bool {
        self.permits > 0 && lock.is_checked()
    }

    #[track_caller]
    fn awaited(self, guard: GuardKind) -> Awaited {
        if self.is_write {
            Awaited::write(self.kind, guard)
        } else {
            Awaited::new(self.kind, self.mode, guard)
        }
    }
}

/// The result of an acquisition: `true` if it was recorded, and an error if the semaphore is
/// closed.
pub(super) type Acquired<E = AcquireError> = Result<bool, E>;

/// Returns a future that acquires the lock and passes the result to `then`. Reports show the
/// caller's location.
#[track_caller]
pub(super) fn acquire<H: Handle<Lock: Acquirable>, O>(
    handle: H,
    request: Request,
    then: impl FnOnce(H, Acquired) -> O,
) -> impl Future<Output = O> {
    let semaphore = handle.lock().semaphore();
    // SAFETY: the semaphore is part of the lock, which stays in place while the handle exists, as
    // `Handle` requires. `Acquire` drops both users of this reference before the handle.
    let semaphore: &'static Semaphore = unsafe { &*ptr::from_ref(semaphore) };
    let wait = move || semaphore.acquire_many(request.permits);
    let awaited = request.awaited(H::GUARD);
    Acquire { awaited, permit: None, request, rest: Some((wait, handle, then)) }
}

pin_project! {
    // Field order is drop order.
    struct Acquire<H, F, W, G> {
        awaited: Awaited,
        // Refers to the lock, so it must be dropped before the handle. `None` until it has to wait,
        // and once it is ready.
        #[pin]
        permit: Option<F>,
        request: Request,
        rest: Option<(W, H, G)>,
    }
}

impl<H, F, W, G, O> Future for Acquire<H, F, W, G>
where
    H: Handle<Lock: Acquirable>,
    F: Future<Output = Result<SemaphorePermit<'static>, AcquireError>>,
    W: Fn() -> F,
    G: FnOnce(H, Acquired) -> O,
{
    type Output = O;

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let mut this = self.project();
        let Some((wait, handle, _)) = &this.rest else {
            panic!("`async fn` resumed after completion");
        };
        let lock = handle.lock();
        let is_checked = this.request.is_checked(lock);
        let fast = if is_checked { this.awaited.try_fast(lock.tracked()) } else { None };
        if let Some(fast) = fast
            && let Ok(()) = take_permits(lock, *this.request)
        {
            fast.acquired();
            let (_, handle, then) = this.rest.take().expect("it was there above");
            return Poll::Ready(then(handle, Ok(true)));
        }
        if this.permit.is_none() {
            this.permit.set(Some(wait()));
        }
        let permit = this.permit.as_mut().as_pin_mut().expect("it was set above");
        let polled = if is_checked {
            this.awaited.poll(lock.tracked(), cx, |cx| permit.poll(cx))
        } else {
            permit.poll(cx)
        };
        let acquired = ready!(polled).map(|permit| {
            permit.forget();
            is_checked
        });
        this.permit.set(None);
        let (_, handle, then) = this.rest.take().expect("it was there above");
        Poll::Ready(then(handle, acquired))
    }
}

/// Takes the permits if enough are free.
#[inline]
fn take_permits<L>(lock: &L, request: Request) -> Result<(), TryAcquireError>
where
    L: Acquirable + ?Sized,
{
    lock.semaphore().try_acquire_many(request.permits).map(SemaphorePermit::forget)
}

/// Acquires a lock without waiting.
#[track_caller]
pub(super) fn try_acquire<H: Handle<Lock: Acquirable>>(
    handle: &H,
    request: Request,
) -> Acquired<TryAcquireError> {
    let lock = handle.lock();
    let attempt = || take_permits(lock, request);
    if !request.is_checked(lock) {
        return attempt().map(|()| false);
    }
    let Request { kind, mode, .. } = request;
    lock.tracked().try_awaited(kind, mode, H::GUARD, is_in_task, attempt).map(|()| true)
}

/// Acquires a lock, blocking the thread until it is free.
///
/// # Panics
///
/// In a thread that runs tasks, and for a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(super) fn blocking_acquire<H: Handle<Lock: Acquirable>>(
    handle: &H,
    request: Request,
) -> Acquired {
    assert_may_block();
    let lock = handle.lock();
    let (semaphore, permits) = (lock.semaphore(), request.permits);
    let attempt = || semaphore.try_acquire_many(permits).ok().map(SemaphorePermit::forget);
    let block = || block_on(semaphore.acquire_many(permits)).map(SemaphorePermit::forget);
    if !request.is_checked(lock) {
        return attempt().map_or_else(block, Ok).map(|()| false);
    }
    let (Request { kind, mode, .. }, tracked) = (request, lock.tracked());
    let taken = if request.is_write {
        tracked.block_to_write_awaited(kind, H::GUARD, attempt, block)
    } else {
        tracked.block_on_awaited(kind, mode, H::GUARD, attempt, block)
    };
    taken.map(|()| true)
}

/// For locks, whose semaphore is never closed.
pub(super) fn never_closed(acquired: Acquired) {
    acquired.expect("a lock is never closed");
}

/// Returns tokio's error, which only tokio can create.
#[cold]
pub(super) fn would_block() -> TryLockError {
    let lock = ::tokio::sync::Mutex::new(());
    let _guard = lock.try_lock();
    lock.try_lock().expect_err("it is locked")
}
