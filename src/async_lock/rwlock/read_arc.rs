//! [`RwLockReadGuardArc`]. As the original, it is covariant in the value's type.

#![allow(unsafe_code, reason = "a handle that is covariant, which an `Arc` of a lock is not")]

use std::{ptr::NonNull, sync::Arc};

use ::async_lock as real;

use super::{
    RwLock,
    parts::{auto_traits, print_value},
};
use crate::{
    tracked::{GuardKind, Handle},
    wrapped_async::{Hold, deref},
};

/// An `Arc` of a lock that only gives access to a `&T`.
pub(in super::super) struct ReadHandle<T> {
    /// In fact to a `RwLock<T>`, from an `Arc`.
    lock: NonNull<T>,
}

impl<T> ReadHandle<T> {
    pub(super) fn new(lock: Arc<RwLock<T>>) -> Self {
        let lock = NonNull::new(Arc::into_raw(lock).cast_mut()).expect("an `Arc` is not null");
        Self { lock: lock.cast() }
    }
}

// SAFETY: it owns a count of the `Arc`.
unsafe impl<T> Handle for ReadHandle<T> {
    type Lock = RwLock<T>;

    const GUARD: GuardKind = GuardKind::Owned;

    fn lock(&self) -> &RwLock<T> {
        // SAFETY: it was made of an `Arc` of such a lock, of which it owns a count.
        unsafe { self.lock.cast::<RwLock<T>>().as_ref() }
    }
}

impl<T> Drop for ReadHandle<T> {
    fn drop(&mut self) {
        // SAFETY: it was made of such an `Arc`, whose count it owns.
        drop(unsafe { Arc::from_raw(self.lock.cast::<RwLock<T>>().as_ptr()) });
    }
}

/// The guard of a [`RwLock`] that is read, which it keeps alive. Dropping it releases the lock.
#[clippy::has_significant_drop]
pub struct RwLockReadGuardArc<T> {
    hold: Hold<ReadHandle<T>, real::RwLockReadGuard<'static, ()>>,
}

auto_traits!(RwLockReadGuardArc<T>: Send [T: Send + Sync] Sync [T: Send + Sync]);
deref!(read [T] RwLockReadGuardArc<T> => T);
print_value!([T] RwLockReadGuardArc<T> => T);

impl<T> RwLockReadGuardArc<T> {
    pub(super) fn new(hold: Hold<ReadHandle<T>, real::RwLockReadGuard<'static, ()>>) -> Self {
        Self { hold }
    }

    fn data(&self) -> *const T {
        self.hold.handle().lock().value.get()
    }
}
