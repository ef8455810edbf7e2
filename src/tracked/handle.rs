//! [`Handle`], by which a guard of an async lock refers to it.

#![allow(unsafe_code, reason = "what is made of a handle relies on its lock staying in place")]

use std::sync::Arc;

use super::GuardKind;

/// A reference to a lock, or an `Arc` of it.
///
/// # Safety
///
/// While the handle exists, the lock is neither moved nor dropped. The handle itself may move.
pub unsafe trait Handle {
    /// The lock.
    type Lock: ?Sized;

    /// The kind of guard that contains this handle.
    const GUARD: GuardKind;

    /// Returns the lock.
    fn lock(&self) -> &Self::Lock;
}

// SAFETY: a shared reference keeps its referent borrowed, so that it is neither moved nor dropped.
unsafe impl<L: ?Sized> Handle for &L {
    type Lock = L;

    const GUARD: GuardKind = GuardKind::Borrowed;

    fn lock(&self) -> &L {
        self
    }
}

// SAFETY: an `Arc` keeps its value alive, and in its own allocation.
unsafe impl<L: ?Sized> Handle for Arc<L> {
    type Lock = L;

    const GUARD: GuardKind = GuardKind::Owned;

    fn lock(&self) -> &L {
        self
    }
}
