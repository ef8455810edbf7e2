//! [`RawLock`], a lock without its value; and [`Hold`], which its guards contain.

#![allow(unsafe_code, reason = "a hold is turned into another one")]

use std::{
    mem::{self, ManuallyDrop},
    ptr,
};

use ::tokio::sync::Semaphore;

use super::acquire::{Acquirable, Request};
use crate::{
    finding::{LockKind, Mode},
    tracked::{Handle, Tracked},
};

/// A lock without its value.
pub(super) struct RawLock {
    tracked: Tracked,
    semaphore: Semaphore,
    /// The number of all permits, which an exclusive holder has.
    permits: u32,
}

impl RawLock {
    #[track_caller]
    pub(super) fn new(permits: u32) -> Self {
        Self { tracked: Tracked::new(), semaphore: Semaphore::new(permits as usize), permits }
    }

    #[track_caller]
    #[cfg(not(tokio_no_const_new))]
    pub(super) const fn const_new(permits: u32) -> Self {
        let semaphore = Semaphore::const_new(permits as usize);
        Self { tracked: Tracked::new(), semaphore, permits }
    }

    /// Requests a lock that has no readers.
    pub(super) fn locked(kind: &'static LockKind) -> Request {
        Request { kind, mode: Mode::Exclusive, is_write: false, permits: 1 }
    }

    /// Requests the lock for reading.
    pub(super) fn shared(kind: &'static LockKind) -> Request {
        Request { kind, mode: Mode::Shared, is_write: false, permits: 1 }
    }

    /// Requests the lock for writing.
    pub(super) fn written(&self, kind: &'static LockKind) -> Request {
        Request { kind, mode: Mode::Exclusive, is_write: true, permits: self.permits }
    }

    /// Runs `look` while holding a permit, without recording that. Returns `None` if the lock is
    /// held exclusively.
    pub(super) fn peek<R>(&self, look: impl FnOnce() -> R) -> Option<R> {
        let _permit = self.semaphore.try_acquire().ok()?;
        Some(look())
    }
}

/// A lock, with its value or without.
pub(super) trait HasRaw {
    fn raw(&self) -> &RawLock;
}

impl<L: HasRaw + ?Sized> Acquirable for L {
    fn tracked(&self) -> &Tracked {
        &self.raw().tracked
    }

    fn semaphore(&self) -> &Semaphore {
        &self.raw().semaphore
    }
}

impl HasRaw for RawLock {
    fn raw(&self) -> &RawLock {
        self
    }
}

/// A lock that is held until this is dropped: exclusively, or with other readers.
pub(super) struct Hold<H, const EXCLUSIVE: bool>
where
    H: Handle<Lock: HasRaw>,
{
    handle: H,
}

impl<H, const EXCLUSIVE: bool> Hold<H, EXCLUSIVE>
where
    H: Handle<Lock: HasRaw>,
{
    const MODE: Mode = if EXCLUSIVE { Mode::Exclusive } else { Mode::Shared };

    /// Creates the hold of a lock that was just acquired in this mode.
    pub(super) fn new(handle: H) -> Self {
        Self { handle }
    }

    pub(super) fn handle(&self) -> &H {
        &self.handle
    }
}

impl<'a, L: HasRaw + ?Sized, const EXCLUSIVE: bool> Hold<&'a L, EXCLUSIVE> {
    /// Forgets the type of the value.
    pub(super) fn into_raw(self) -> Hold<&'a RawLock, EXCLUSIVE> {
        let handle = self.handle.raw();
        mem::forget(self);
        Hold { handle }
    }
}

impl<H> Hold<H, true>
where
    H: Handle<Lock: HasRaw>,
{
    /// Turns an exclusive hold into a shared one, and lets other readers in.
    pub(super) fn downgrade(self) -> Hold<H, false> {
        let this = ManuallyDrop::new(self);
        // SAFETY: `this` is neither dropped nor used afterwards, so this moves the handle.
        let handle = unsafe { ptr::read(&raw const this.handle) };
        let raw = handle.lock().raw();
        raw.tracked.change_mode_awaited(Mode::Exclusive, Mode::Shared, H::GUARD);
        raw.semaphore.add_permits(raw.permits as usize - 1);
        Hold { handle }
    }
}

impl<H, const EXCLUSIVE: bool> Drop for Hold<H, EXCLUSIVE>
where
    H: Handle<Lock: HasRaw>,
{
    #[inline]
    fn drop(&mut self) {
        let raw = self.handle.lock().raw();
        let permits = if EXCLUSIVE { raw.permits as usize } else { 1 };
        raw.tracked.release(Self::MODE, || raw.semaphore.add_permits(permits));
    }
}
