//! What the mirrors of async locks share that wrap the locks of another crate: [`Raw`], a lock without its value;
//! [`Acquire`], the future of an acquisition; and [`Hold`], which guards contain.
//!
//! Such a lock wakes a waiting task without granting it the lock: another task may take it first. So a wait for it
//! counts for the lock order, and never for a claim that a task is stuck.
//!
//! Outside of known tasks, nothing is recorded but the acquisitions that block a thread.

#![allow(unsafe_code, reason = "a future and a guard refer to their lock, which they keep alive")]

#[cfg(feature = "async_lock")]
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::{
    convert::Infallible,
    future::Future,
    mem::ManuallyDrop,
    pin::Pin,
    ptr,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

#[cfg(feature = "async_lock")]
use crate::tracked::GuardKind;
use crate::{
    finding::{LockKind, Mode},
    tracked::{Awaited, Handle, Tracked},
    validator::tasks,
};

/// A lock without its value.
pub(crate) struct Raw<L> {
    tracked: Tracked,
    real: L,
}

impl<L> Raw<L> {
    #[track_caller]
    pub(crate) const fn new(real: L) -> Self {
        Self { tracked: Tracked::new(), real }
    }

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }

    /// Returns the other crate's lock, which guards nothing.
    pub(crate) fn real(&self) -> &L {
        &self.real
    }
}

/// A lock, with its value or without.
pub(crate) trait HasRaw {
    /// The lock of the other crate.
    type Real: 'static;

    fn raw(&self) -> &Raw<Self::Real>;

    /// Returns `false` once acquisitions are not to be checked any more.
    fn is_checked(&self) -> bool {
        true
    }
}

/// Returns `true` if the lock is recorded as held once the calling task has acquired it.
fn is_recorded(lock: &(impl HasRaw + ?Sized)) -> bool {
    tasks::is_known() && lock.is_checked()
}

impl<L: 'static> HasRaw for Raw<L> {
    type Real = L;

    fn raw(&self) -> &Self {
        self
    }
}

/// The other crate's lock that a handle refers to.
pub(crate) type Real<H> = <<H as Handle>::Lock as HasRaw>::Real;

/// Extends the lifetime of the other crate's lock.
///
/// # Safety
///
/// The result, and what is made of it, is gone before the handle is.
unsafe fn real_of<H: Handle<Lock: HasRaw>>(handle: &H) -> &'static Real<H> {
    // SAFETY: the lock stays in place while the handle exists, as `Handle` requires.
    unsafe { &*ptr::from_ref(handle.lock().raw().real()) }
}

/// The kind and mode of an acquisition.
#[derive(Clone, Copy)]
pub(crate) struct Request {
    pub(crate) kind: &'static LockKind,
    pub(crate) mode: Mode,
    /// `true` for a write of a lock that also has readers.
    pub(crate) is_write: bool,
}

pin_project! {
    /// The future of an acquisition, around the other crate's.
    pub(crate) struct Acquire<H, F> {
        // Field order is drop order.
        awaited: Awaited,
        mode: Mode,
        // Refers to the lock, so it must be dropped before the handle.
        #[pin]
        future: Option<F>,
        handle: Option<H>,
    }
}

impl<H: Handle<Lock: HasRaw>, F: Future> Acquire<H, F> {
    /// Creates the future of an acquisition. Reports show the caller's location.
    #[track_caller]
    pub(crate) fn new(
        handle: H,
        request: Request,
        start: impl FnOnce(&'static Real<H>) -> F,
    ) -> Self {
        let Request { kind, mode, is_write } = request;
        let awaited = if is_write {
            Awaited::write(kind, H::GUARD)
        } else {
            Awaited::new(kind, mode, H::GUARD)
        };
        // SAFETY: the future and its output, which a `Hold` contains, are dropped before the handle.
        let future = start(unsafe { real_of(&handle) });
        Self { awaited, mode, future: Some(future), handle: Some(handle) }
    }

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Hold<H, F::Output>> {
        let mut this = self.project();
        let (Some(future), Some(handle)) =
            (this.future.as_mut().as_pin_mut(), this.handle.as_ref())
        else {
            panic!("a lock's future was polled after completion");
        };
        let (lock, is_recorded) = (handle.lock(), is_recorded(handle.lock()));
        let guard = if lock.is_checked() {
            let poll = |cx: &mut Context<'_>| future.poll(cx).map(Ok::<_, Infallible>);
            let Ok(guard) = ready!(this.awaited.poll(lock.raw().tracked(), cx, poll));
            guard
        } else {
            ready!(future.poll(cx))
        };
        this.future.set(None);
        let handle = this.handle.take().expect("it was there above");
        Poll::Ready(Hold::new(handle, guard, *this.mode, is_recorded))
    }

    /// Returns the other crate's future, unless it is ready.
    #[cfg(feature = "futures_lock")]
    pub(crate) fn future(&self) -> Option<&F> {
        self.future.as_ref()
    }
}

/// Acquires a lock without waiting.
#[track_caller]
pub(crate) fn try_acquire<H: Handle<Lock: HasRaw>, G>(
    handle: H,
    Request { kind, mode, .. }: Request,
    attempt: impl FnOnce(&'static Real<H>) -> Option<G>,
) -> Option<Hold<H, G>> {
    // SAFETY: a `Hold` drops its guard before its handle.
    let real = unsafe { real_of(&handle) };
    let is_recorded = is_recorded(handle.lock());
    let guard = if is_recorded {
        let attempt = || attempt(real).ok_or(());
        handle.lock().raw().tracked().try_awaited(kind, mode, H::GUARD, || false, attempt).ok()
    } else {
        attempt(real)
    };
    Some(Hold::new(handle, guard?, mode, is_recorded))
}

/// Acquires a lock by blocking the thread. Outside of known tasks, it is not held afterwards: a guard that can be sent
/// may stay in a task over an `.await`, and only lockdep's own runtimes say which task the thread polls.
#[cfg(feature = "async_lock")]
#[track_caller]
pub(crate) fn block_on<H: Handle<Lock: HasRaw>, G>(
    handle: H,
    Request { kind, mode, is_write }: Request,
    attempt: impl FnOnce(&'static Real<H>) -> Option<G>,
    block: impl FnOnce(&'static Real<H>) -> G,
) -> Hold<H, G> {
    // SAFETY: a `Hold` drops its guard before its handle.
    let real = unsafe { real_of(&handle) };
    let is_recorded = is_recorded(handle.lock());
    if !handle.lock().is_checked() {
        let guard = block(real);
        return Hold::new(handle, guard, mode, is_recorded);
    }
    let guard = if is_recorded { H::GUARD } else { GuardKind::Owned };
    let (attempt, block) = (|| attempt(real), || Ok::<_, Infallible>(block(real)));
    let tracked = handle.lock().raw().tracked();
    let Ok(guard) = if is_write {
        tracked.block_to_write_awaited(kind, guard, attempt, block)
    } else {
        tracked.block_on_awaited(kind, mode, guard, attempt, block)
    };
    Hold::new(handle, guard, mode, is_recorded)
}

/// A lock that is held until this is dropped.
pub(crate) struct Hold<H: Handle<Lock: HasRaw>, G> {
    /// The other crate's guard, which refers to the lock.
    guard: ManuallyDrop<G>,
    mode: Mode,
    is_recorded: bool,
    handle: H,
}

impl<H: Handle<Lock: HasRaw>, G> Hold<H, G> {
    fn new(handle: H, guard: G, mode: Mode, is_recorded: bool) -> Self {
        Self { guard: ManuallyDrop::new(guard), mode, is_recorded, handle }
    }

    pub(crate) fn handle(&self) -> &H {
        &self.handle
    }
}

#[cfg(feature = "async_lock")]
impl<H: Handle<Lock: HasRaw>, G> Hold<H, G> {
    /// Takes the hold apart, without a release.
    fn into_parts(self) -> (G, bool, H) {
        let mut this = ManuallyDrop::new(self);
        // SAFETY: the hold is not dropped, so nothing else takes its guard and its handle.
        unsafe {
            (
                ManuallyDrop::take(&mut this.guard),
                this.is_recorded,
                ptr::read(&raw const this.handle),
            )
        }
    }

    /// Releases the lock with something else than the drop of its guard.
    pub(crate) fn release_with(self, release: impl FnOnce(G)) {
        let mode = self.mode;
        let (guard, is_recorded, handle) = self.into_parts();
        if is_recorded {
            handle.lock().raw().tracked().release(mode, || release(guard));
        } else {
            release(guard);
        }
    }

    /// Passes the hold on to another handle of the same lock.
    pub(crate) fn with_handle<I>(self, to: impl FnOnce(H) -> I) -> Hold<I, G>
    where
        I: Handle<Lock: HasRaw<Real = Real<H>>>,
    {
        let mode = self.mode;
        let (guard, is_recorded, handle) = self.into_parts();
        Hold::new(to(handle), guard, mode, is_recorded)
    }

    /// Turns the hold into one in a mode that excludes less. `turn` does not panic.
    pub(crate) fn downgrade<D>(self, to: Mode, turn: impl FnOnce(G) -> D) -> Hold<H, D> {
        self.note_mode(to);
        let (guard, is_recorded, handle) = self.into_parts();
        Hold::new(handle, turn(guard), to, is_recorded)
    }

    /// Upgrades the hold if that does not need to wait.
    #[track_caller]
    pub(crate) fn try_upgrade<U>(
        mut self,
        kind: &'static LockKind,
        attempt: impl FnOnce(G) -> Result<U, G>,
    ) -> Result<Hold<H, U>, Self> {
        let tracked = self.handle.lock().raw().tracked();
        let pending = self.is_recorded.then(|| tracked.about_to_try(kind, Mode::Upgrade));
        // SAFETY: if the attempt fails, the guard is put back. If not, the hold is taken apart. An
        // attempt does not panic.
        let guard = unsafe { ManuallyDrop::take(&mut self.guard) };
        match attempt(guard) {
            Ok(guard) => {
                if let Some(pending) = pending {
                    pending.upgraded();
                }
                Ok(self.upgraded(guard))
            }
            Err(guard) => {
                if let Some(pending) = pending {
                    pending.abandon();
                }
                self.guard = ManuallyDrop::new(guard);
                Err(self)
            }
        }
    }

    /// Upgrades the hold by blocking the thread.
    #[track_caller]
    pub(crate) fn block_to_upgrade<U>(
        mut self,
        kind: &'static LockKind,
        attempt: impl FnOnce(G) -> Result<U, G>,
        block: impl FnOnce(G) -> U,
    ) -> Hold<H, U> {
        let pending = self.handle.lock().raw().tracked().about_to_write(kind, Mode::Upgrade);
        // SAFETY: if the attempt fails, the guard is put back. An attempt does not panic.
        let upgraded = match attempt(unsafe { ManuallyDrop::take(&mut self.guard) }) {
            Ok(guard) => {
                pending.upgraded();
                guard
            }
            Err(guard) => {
                self.guard = ManuallyDrop::new(guard);
                let guard = &mut self.guard;
                // SAFETY: `wait` panics before it calls this, or not at all. If the call panics, the guard is
                // gone with it, and below nothing takes it again.
                let block = AssertUnwindSafe(|| block(unsafe { ManuallyDrop::take(guard) }));
                match pending.wait(|| catch_unwind(block)) {
                    Ok(upgraded) => upgraded,
                    Err(panic) => {
                        self.release_without_guard();
                        resume_unwind(panic);
                    }
                }
            }
        };
        self.upgraded(upgraded)
    }

    /// Releases a lock whose guard has been taken.
    #[cold]
    fn release_without_guard(self) {
        let this = ManuallyDrop::new(self);
        // SAFETY: the hold is not dropped, so nothing else takes its handle.
        let handle = unsafe { ptr::read(&raw const this.handle) };
        if this.is_recorded {
            handle.lock().raw().tracked().release(this.mode, || ());
        }
    }

    /// Turns the hold, whose guard has been taken, into an exclusive one.
    fn upgraded<U>(self, guard: U) -> Hold<H, U> {
        self.note_mode(Mode::Exclusive);
        let this = ManuallyDrop::new(self);
        // SAFETY: the hold is not dropped, so nothing else takes its handle.
        let handle = unsafe { ptr::read(&raw const this.handle) };
        Hold::new(handle, guard, Mode::Exclusive, this.is_recorded)
    }

    /// Records that the lock is now held in another mode.
    fn note_mode(&self, to: Mode) {
        if self.is_recorded {
            self.handle.lock().raw().tracked().change_mode_awaited(self.mode, to, H::GUARD);
        }
    }
}

#[cfg(feature = "async_lock")]
pin_project! {
    /// The future of an upgrade, around the other crate's. Until that is ready, the lock is held
    /// upgradable.
    pub(crate) struct Upgrading<H, F>
    where
        H: Handle,
        H::Lock: HasRaw,
    {
        awaited: Awaited,
        is_recorded: bool,
        // Refers to the lock, so it must be dropped before the handle.
        #[pin]
        future: Option<F>,
        handle: Option<H>,
    }

    impl<H, F> PinnedDrop for Upgrading<H, F>
    where
        H: Handle,
        H::Lock: HasRaw,
    {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if let Some(handle) = this.handle.take() {
                let mut drop_future = || this.future.set(None);
                if *this.is_recorded {
                    handle.lock().raw().tracked().release(Mode::Upgradable, drop_future);
                } else {
                    drop_future();
                }
            }
        }
    }
}

#[cfg(feature = "async_lock")]
impl<H: Handle<Lock: HasRaw>, F: Future> Upgrading<H, F> {
    /// Begins an upgrade. Reports show the caller's location. `start` does not panic.
    #[track_caller]
    pub(crate) fn new<G>(
        hold: Hold<H, G>,
        kind: &'static LockKind,
        start: impl FnOnce(G) -> F,
    ) -> Self {
        let awaited = Awaited::upgrade(kind, H::GUARD);
        let (guard, is_recorded, handle) = hold.into_parts();
        Self { awaited, is_recorded, future: Some(start(guard)), handle: Some(handle) }
    }

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    pub(crate) fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Hold<H, F::Output>> {
        let mut this = self.project();
        let (Some(future), Some(handle)) =
            (this.future.as_mut().as_pin_mut(), this.handle.as_ref())
        else {
            panic!("a lock's future was polled after completion");
        };
        let tracked = handle.lock().raw().tracked();
        let guard = ready!(this.awaited.poll_wait(tracked, || false, cx, |cx| future.poll(cx)));
        this.future.set(None);
        let handle = this.handle.take().expect("it was there above");
        let mut hold = Hold::new(handle, guard, Mode::Upgradable, *this.is_recorded);
        hold.note_mode(Mode::Exclusive);
        hold.mode = Mode::Exclusive;
        Poll::Ready(hold)
    }
}

impl<H: Handle<Lock: HasRaw>, G> Drop for Hold<H, G> {
    #[inline]
    fn drop(&mut self) {
        // SAFETY: this runs once, and nothing else takes the guard of a hold that is dropped.
        let guard = unsafe { ManuallyDrop::take(&mut self.guard) };
        if self.is_recorded {
            self.handle.lock().raw().tracked().release(self.mode, || drop(guard));
        }
    }
}

/// Implements `Deref`, and `DerefMut` for `write`, for a guard with a method `data`.
macro_rules! deref {
    (read [$($parameters:tt)*] $guard:ty => $target:ident) => {
        impl<$($parameters)*> std::ops::Deref for $guard {
            type Target = $target;

            #[inline]
            fn deref(&self) -> &$target {
                // SAFETY: the guard holds the lock, and the pointer is to its value or a part of it.
                unsafe { &*self.data() }
            }
        }
    };
    (write [$($parameters:tt)*] $guard:ty => $target:ident) => {
        $crate::wrapped_async::deref!(read [$($parameters)*] $guard => $target);

        impl<$($parameters)*> std::ops::DerefMut for $guard {
            #[inline]
            fn deref_mut(&mut self) -> &mut $target {
                // SAFETY: the guard holds the lock exclusively, and the pointer is to its value or a
                // part of it.
                unsafe { &mut *self.data() }
            }
        }
    };
}
pub(crate) use deref;
