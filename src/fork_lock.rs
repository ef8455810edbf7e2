//! Locks of lockdep, as a fork handler sees them: lock, unlock and reset, whatever they guard.
#![allow(unsafe_code, reason = "a fork unlocks without a guard, and resets locks in the child")]

use parking_lot::{Mutex, lock_api::RawMutex as _};

/// An internal lock that a fork holds.
pub(crate) trait ForkLock {
    /// Locks it.
    fn take(&self);
    /// Unlocks it.
    ///
    /// # Safety
    ///
    /// The calling thread has locked it with [`take`](Self::take).
    unsafe fn give_back(&self);
    /// Resets it to the unlocked state.
    ///
    /// # Safety
    ///
    /// The calling thread has locked it with [`take`](Self::take), and is the only thread of the
    /// process.
    unsafe fn renew(&self);
}

impl<T> ForkLock for Mutex<T> {
    fn take(&self) {
        std::mem::forget(self.lock());
    }

    unsafe fn give_back(&self) {
        // SAFETY: `take` leaked the guard, so the calling thread holds the lock, by this function's
        // contract.
        unsafe { self.force_unlock() }
    }

    unsafe fn renew(&self) {
        // SAFETY: there is no guard and no other thread, by this function's contract, and a raw
        // mutex is interior mutable throughout.
        unsafe { std::ptr::from_ref(self.raw()).cast_mut().write(parking_lot::RawMutex::INIT) }
    }
}
