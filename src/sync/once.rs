//! [`Once`].

use std::{
    fmt,
    sync::{self, OnceState},
};

use crate::{
    finding::{LockKind, LockOf, Role},
    tracked::{Completion, Tracked},
};

/// [`std::sync::Once`], checked: the thread that runs the initializer holds it, and other callers
/// wait for it.
///
/// ```
/// use lockdep::sync::Once;
///
/// static START: Once = Once::new();
///
/// START.call_once(|| println!("runs only once"));
/// START.call_once(|| unreachable!());
/// ```
pub struct Once {
    tracked: Tracked,
    completion: Completion,
    inner: sync::Once,
}

/// A [`Once`] that did not run yet: [`std::sync::ONCE_INIT`].
#[deprecated(note = "the `Once::new()` function is now preferred")]
#[allow(clippy::declare_interior_mutable_const, reason = "as std's: to initialize statics with")]
pub const ONCE_INIT: Once = Once::new();

impl Once {
    pub(crate) const KIND: &'static LockKind =
        &LockKind { wrapper: "Once", of: LockOf::Nothing, role: Role::Initializer };

    /// As [`std::sync::Once::new`]. Reports show the caller's location as the place of creation.
    #[track_caller]
    #[must_use]
    #[inline]
    #[allow(clippy::new_without_default, reason = "std's has no default")]
    pub const fn new() -> Self {
        Self {
            tracked: Tracked::new(),
            completion: Completion::unknown(),
            inner: sync::Once::new(),
        }
    }

    /// As [`std::sync::Once::call_once`].
    ///
    /// # Panics
    ///
    /// As std's if it is poisoned, and if waiting for it here is a finding at
    /// [`Level::Deny`](crate::Level::Deny) (for example within its own initializer, where std would
    /// hang).
    #[track_caller]
    #[inline]
    pub fn call_once<F: FnOnce()>(&self, f: F) {
        if self.completion.is_free() {
            return;
        }
        self.run(false, |_| f());
    }

    /// As [`std::sync::Once::call_once_force`].
    ///
    /// # Panics
    ///
    /// If waiting for it here is a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn call_once_force<F: FnOnce(&OnceState)>(&self, f: F) {
        if self.completion.is_free() {
            return;
        }
        self.run(true, f);
    }

    #[track_caller]
    fn run(&self, force: bool, f: impl FnOnce(&OnceState)) {
        if self.inner.is_completed() {
            return self.completion.about_to_use(&self.tracked);
        }
        self.tracked.initialize(Self::KIND, |pending| {
            self.inner.call_once_force(|state| {
                if pending.run_once(force, state.is_poisoned(), || f(state)) {
                    self.completion.note_locks();
                }
            });
        });
        self.completion.complete();
    }

    /// As [`std::sync::Once::is_completed`]. Never a finding: it does not block.
    #[inline]
    pub fn is_completed(&self) -> bool {
        self.inner.is_completed()
    }

    /// As [`std::sync::Once::wait`].
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

    /// As [`std::sync::Once::wait_force`].
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

    pub(crate) fn tracked(&self) -> &Tracked {
        &self.tracked
    }
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}
