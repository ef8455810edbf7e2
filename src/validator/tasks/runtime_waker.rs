//! The waker that the runtime polls a task with.
//!
//! It is cloned only when a clone of lockdep's waker is kept, which most polls do not need.

use std::{
    mem, ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicPtr, Ordering::Relaxed},
    },
    task::Waker,
};

use parking_lot::Mutex;

/// The runtime's waker of one task.
#[derive(Default)]
pub(in crate::validator) struct RuntimeWaker {
    kept: Mutex<Option<Arc<Waker>>>,
    is_kept: AtomicBool,
    /// The data pointer of the kept waker, by which it is recognized.
    kept_data: AtomicPtr<()>,
    /// The waker passed to the current poll.
    given: AtomicPtr<Waker>,
}

impl RuntimeWaker {
    /// Called when a poll begins. For the thread that polls.
    #[inline]
    pub(super) fn begin_poll(&self, given: &Waker) {
        self.given.store(ptr::from_ref(given).cast_mut(), Relaxed);
        let is_known = self.kept_data.load(Relaxed) == given.data().cast_mut();
        if self.is_kept.load(Relaxed) && !is_known {
            self.replace(given);
        }
    }

    pub(in crate::validator) fn end_poll(&self) {
        self.given.store(ptr::null_mut(), Relaxed);
    }

    /// Returns the waker passed to the current poll.
    ///
    /// # Safety
    ///
    /// The current poll must not end while the result is used.
    pub(super) unsafe fn given<'a>(&self) -> Option<&'a Waker> {
        // SAFETY: the waker lives until the poll ends, which sets `given` to null.
        unsafe { self.given.load(Relaxed).as_ref() }
    }

    /// Called when a clone of lockdep's waker is about to be kept.
    pub(super) fn keep(&self) {
        if !self.is_kept.load(Relaxed) {
            // SAFETY: the caller clones the waker that the current poll has handed out, which is
            // itself no clone.
            if let Some(given) = unsafe { self.given() } {
                self.replace(given);
            }
        }
    }

    #[cold]
    fn replace(&self, given: &Waker) {
        // This runs the runtime's code, so no lock is held.
        let kept = Some(Arc::new(given.clone()));
        let before = mem::replace(&mut *self.kept.lock(), kept);
        self.kept_data.store(given.data().cast_mut(), Relaxed);
        self.is_kept.store(true, Relaxed);
        drop(before);
    }

    /// Called when the task has ended. The waker may keep the task alive.
    pub(super) fn forget(&self) {
        // Before the other waker is dropped: from now on, there is none to wake.
        self.end_poll();
        if self.is_kept.load(Relaxed) {
            let kept = self.kept.lock().take();
            drop(kept);
        }
    }

    /// Wakes the task. Does nothing if it has ended.
    pub(super) fn wake(&self) {
        let kept = self.kept.lock().clone();
        match &kept {
            Some(kept) => kept.wake_by_ref(),
            None if !self.is_kept.load(Relaxed) => {
                // SAFETY: no clone of lockdep's waker was made, so the caller has it from the
                // current poll.
                unsafe { self.given() }.into_iter().for_each(Waker::wake_by_ref);
            }
            None => {}
        }
    }

    /// Calls `note` and wakes the task, if it is not being polled.
    pub(super) fn wake_if_kept(&self, note: impl FnOnce()) {
        let kept = self.kept.lock().clone();
        if let Some(kept) = kept {
            note();
            kept.wake_by_ref();
        }
    }
}
