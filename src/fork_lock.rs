//! Locks of ours as a fork sees them: whatever they guard.
#![allow(unsafe_code, reason = "a lock is given back without its guard, or made new")]

use parking_lot::{Mutex, lock_api::RawMutex as _};

/// A lock of ours, whatever it guards.
pub(crate) trait ForkLock {
    /// Takes it.
    fn take(&self);
    /// Gives it back.
    ///
    /// # Safety
    ///
    /// The calling thread has taken it.
    unsafe fn give_back(&self);
    /// Makes it as if it had never been taken.
    ///
    /// # Safety
    ///
    /// The calling thread has taken it, and no other thread is there.
    unsafe fn renew(&self);
}

impl<T> ForkLock for Mutex<T> {
    fn take(&self) {
        std::mem::forget(self.lock());
    }

    unsafe fn give_back(&self) {
        // SAFETY: as our caller promises.
        unsafe { self.force_unlock() }
    }

    unsafe fn renew(&self) {
        // SAFETY: nobody but our caller has anything to do with it, and has no guard. All of a
        // raw mutex may change behind a shared reference.
        unsafe { std::ptr::from_ref(self.raw()).cast_mut().write(parking_lot::RawMutex::INIT) }
    }
}
