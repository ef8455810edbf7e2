//! The waker that the runtime polls a task with.
//!
//! It is cloned only once a clone of our own waker is kept: most polls need none.

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
pub(super) struct RuntimeWaker {
    kept: Mutex<Option<Arc<Waker>>>,
    is_kept: AtomicBool,
    /// The data of the one that is kept, by which it is known again.
    kept_data: AtomicPtr<()>,
    /// The one that was given to the poll that goes on.
    given: AtomicPtr<Waker>,
}

impl RuntimeWaker {
    /// A poll begins. For the thread that polls.
    #[inline]
    pub(super) fn begin_poll(&self, given: &Waker) {
        self.given.store(ptr::from_ref(given).cast_mut(), Relaxed);
        let is_known = self.kept_data.load(Relaxed) == given.data().cast_mut();
        if self.is_kept.load(Relaxed) && !is_known {
            self.replace(given);
        }
    }

    pub(super) fn end_poll(&self) {
        self.given.store(ptr::null_mut(), Relaxed);
    }

    /// The one that was given to the poll that goes on.
    ///
    /// # Safety
    ///
    /// The poll does not end while the result is used.
    pub(super) unsafe fn given<'a>(&self) -> Option<&'a Waker> {
        // SAFETY: it lives until the poll ends, and then `given` is null.
        unsafe { self.given.load(Relaxed).as_ref() }
    }

    /// A clone of our waker is about to be kept.
    pub(super) fn keep(&self) {
        if !self.is_kept.load(Relaxed) {
            // SAFETY: the caller clones our waker, which the poll has handed out, and which is no clone itself.
            if let Some(given) = unsafe { self.given() } {
                self.replace(given);
            }
        }
    }

    #[cold]
    fn replace(&self, given: &Waker) {
        // The runtime's code, so with no lock held.
        let kept = Some(Arc::new(given.clone()));
        let before = mem::replace(&mut *self.kept.lock(), kept);
        self.kept_data.store(given.data().cast_mut(), Relaxed);
        self.is_kept.store(true, Relaxed);
        drop(before);
    }

    /// The task has ended. The waker may be what keeps it alive.
    pub(super) fn forget(&self) {
        // Before the other is gone: from now on, there is none to wake.
        self.end_poll();
        if self.is_kept.load(Relaxed) {
            let kept = self.kept.lock().take();
            drop(kept);
        }
    }

    /// Wakes the task. If it has ended, does nothing.
    pub(super) fn wake(&self) {
        let kept = self.kept.lock().clone();
        match &kept {
            Some(kept) => kept.wake_by_ref(),
            None if !self.is_kept.load(Relaxed) => {
                // SAFETY: no clone was made of our waker, so the caller has it from the poll that goes on.
                unsafe { self.given() }.into_iter().for_each(Waker::wake_by_ref);
            }
            None => {}
        }
    }

    /// Wakes the task after `note`, if it is not being polled.
    pub(super) fn wake_if_kept(&self, note: impl FnOnce()) {
        let kept = self.kept.lock().clone();
        if let Some(kept) = kept {
            note();
            kept.wake_by_ref();
        }
    }
}
