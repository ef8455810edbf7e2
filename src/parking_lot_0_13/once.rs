//! [`Once`].

use std::fmt;

use parking_lot_0_13::OnceState;

use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::{Completion, Tracked},
};

/// [`parking_lot_0_13::Once`], checked: the thread that runs the initializer holds it, and other
/// callers wait for it.
pub struct Once {
    tracked: Tracked,
    completion: Completion,
    inner: parking_lot_0_13::Once,
}

impl Once {
    pub(crate) const KIND: &'static LockKind =
        &LockKind { wrapper: "Once", of: LockOf::Nothing, role: Role::Initializer };

    /// As [`parking_lot_0_13::Once::new`].
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new() -> Self {
        Self {
            tracked: Tracked::new(),
            completion: Completion::unknown(),
            inner: parking_lot_0_13::Once::new(),
        }
    }

    /// As [`parking_lot_0_13::Once::new_completed`].
    #[track_caller]
    #[must_use]
    #[inline]
    pub const fn new_completed() -> Self {
        Self {
            tracked: Tracked::new(),
            completion: Completion::free(),
            inner: parking_lot_0_13::Once::new_completed(),
        }
    }

    /// As [`parking_lot_0_13::Once::is_completed`]. Never a finding: it does not block.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.inner.is_completed()
    }

    /// As [`parking_lot_0_13::Once::wait`].
    ///
    /// # Panics
    ///
    /// As [`call_once`](Self::call_once).
    #[track_caller]
    pub fn wait(&self) {
        if self.inner.is_completed() {
            return self.completion.about_to_use(&self.tracked);
        }
        if self.tracked.is_forgiven() {
            return self.wait_force();
        }
        self.tracked.wait_initialized(Self::KIND, || self.inner.wait());
    }

    /// As [`parking_lot_0_13::Once::wait_force`].
    ///
    /// # Panics
    ///
    /// As [`call_once_force`](Self::call_once_force).
    #[track_caller]
    pub fn wait_force(&self) {
        if self.inner.is_completed() {
            return self.completion.about_to_use(&self.tracked);
        }
        self.tracked.wait_initialized(Self::KIND, || self.inner.wait_force());
    }

    /// As [`parking_lot_0_13::Once::state`].
    #[inline]
    pub fn state(&self) -> OnceState {
        self.inner.state()
    }

    /// As [`parking_lot_0_13::Once::call_once`].
    ///
    /// # Panics
    ///
    /// As parking_lot's if it is poisoned, and if waiting for it here is a finding at
    /// [`Level::Deny`](crate::Level::Deny) (for example within its own initializer, where
    /// parking_lot would hang).
    #[track_caller]
    pub fn call_once<F>(&self, f: F)
    where
        F: FnOnce(),
    {
        if self.completion.is_free() {
            return;
        }
        self.run(false, |_| f());
    }

    /// As [`parking_lot_0_13::Once::call_once_force`].
    ///
    /// # Panics
    ///
    /// If waiting for it here is a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn call_once_force<F>(&self, f: F)
    where
        F: FnOnce(OnceState),
    {
        if self.completion.is_free() {
            return;
        }
        self.run(true, f);
    }

    #[track_caller]
    fn run(&self, force: bool, f: impl FnOnce(OnceState)) {
        if self.inner.state().done() {
            return self.completion.about_to_use(&self.tracked);
        }
        self.tracked.initialize(Self::KIND, |pending| {
            self.inner.call_once_force(|state| {
                if pending.run_once(force, state.poisoned(), || f(state)) {
                    self.completion.note_locks();
                }
            });
        });
        self.completion.complete();
    }
}

impl Once {
    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl Default for Once {
    #[track_caller]
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
