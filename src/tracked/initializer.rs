//! Initializers, which are held while they run, and waits for them.

use std::{
    panic::{Location, panic_any},
    sync::{Mutex, PoisonError},
};

use super::{Held, PendingAcquire, Tracked};
use crate::{
    finding::{LockKind, Mode},
    validator::{self, Acquisition, Entry, Tag},
};

impl Tracked {
    /// Checks a use of an initialized cell whose initializer [took locks](Held::end_init). The use
    /// would have waited for the initializer.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[cold]
    #[track_caller]
    pub fn about_to_use(&self) {
        // A thread that holds nothing is remembered as one that has seen the value.
        if let Some(context) = validator::current_unless_in_handler() {
            let site = Location::caller();
            let tag = Tag::new(self.identity.id_or_0(), Mode::Initialized);
            let wanted = Entry { tag, site };
            let acquisition = Acquisition { identity: &self.identity, wanted, named_at: site };
            validator::about_to_use(context, &acquisition);
        }
    }

    /// Waits with `wait` until the initializer of another thread has run.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn wait_initialized<R>(&self, kind: &'static LockKind, wait: impl FnOnce() -> R) -> R {
        self.about_to_block(kind, Mode::Exclusive).wait(wait)
    }

    /// As [`wait_initialized`](Self::wait_initialized), for a call that may run an initializer
    /// itself, which begins with [`begin_init`](PendingAcquire::begin_init) or is run by
    /// [`run_once`](PendingAcquire::run_once).
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn initialize<'a, R>(
        &'a self,
        kind: &'static LockKind,
        call: impl FnOnce(PendingAcquire<'a>) -> R,
    ) -> R {
        let pending = self.about_to_block(kind, Mode::Exclusive);
        pending.wait(|| call(pending))
    }
}

impl PendingAcquire<'_> {
    /// Runs the initializer of a `Once`. The wrapped `Once` cannot distinguish a panic of lockdep,
    /// which does not count, from the program's, so it is always forced, and poisoning is checked
    /// here. Returns `true` if the initializer [took locks](Held::end_init).
    ///
    /// # Panics
    ///
    /// If the `Once` is poisoned, unless `force` is set.
    pub fn run_once(self, force: bool, is_poisoned: bool, init: impl FnOnce()) -> bool {
        let is_poisoned = is_poisoned && !self.tracked.is_forgiven();
        assert!(force || !is_poisoned, "Once instance has previously been poisoned");
        let held = self.begin_init();
        init();
        held.end_init()
    }
}

impl Held<'_> {
    /// Ends an initializer that has returned a value. Returns `true` if it took locks: then uses of
    /// the cell are [checked](Tracked::about_to_use).
    #[must_use]
    pub fn end_init(self) -> bool {
        validator::initialized(self.tag.in_set().lock())
    }
}

/// The initializer of a lazy value. Running it takes it out, so it is missing if it has panicked.
pub struct Initializer<F>(Mutex<Option<F>>);

impl<F> Initializer<F> {
    /// Creates the initializer of a value that is not initialized.
    #[inline]
    pub const fn new(init: F) -> Self {
        Self(Mutex::new(Some(init)))
    }

    /// Runs the initializer.
    ///
    /// # Panics
    ///
    /// If the initializer panics; with this message, if it has panicked.
    #[inline]
    pub fn run<T>(&self, poisoned: &'static str) -> T
    where
        F: FnOnce() -> T,
    {
        // No other thread runs this concurrently, so the lock is never contended.
        let init = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        match init {
            Some(init) => init(),
            None => panic_any(poisoned),
        }
    }

    /// Returns the initializer of a value that was not initialized.
    ///
    /// # Panics
    ///
    /// With this message, if the initializer has panicked.
    pub fn into_inner(self, poisoned: &'static str) -> F {
        let init = self.0.into_inner().unwrap_or_else(PoisonError::into_inner);
        init.unwrap_or_else(|| panic_any(poisoned))
    }
}
