//! A static reference that one thread publishes and others read.

use std::ptr;

use super::atomic::{
    AtomicPtr,
    Ordering::{Acquire, Release},
};

/// An atomic `Option<&'static T>`. Loads and stores are plain moves on x86.
pub(super) struct Published<T: 'static>(AtomicPtr<T>);

impl<T: Sync> Published<T> {
    pub(super) fn new() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }

    #[inline(always)]
    pub(super) fn store(&self, value: &'static T) {
        self.0.store(ptr::from_ref(value).cast_mut(), Release);
    }

    pub(super) fn clear(&self) {
        self.0.store(ptr::null_mut(), Release);
    }

    #[allow(unsafe_code, reason = "std has no atomic reference")]
    pub(super) fn load(&self) -> Option<&'static T> {
        // SAFETY: the pointer is null or comes from a `&'static T` in `store`, and only shared
        // references are made from it.
        unsafe { self.0.load(Acquire).as_ref() }
    }
}
