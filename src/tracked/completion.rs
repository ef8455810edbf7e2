//! What a completed `Once` has to check.

use std::sync::atomic::{
    AtomicU8,
    Ordering::{AcqRel, Acquire, Relaxed},
};

use super::Tracked;

/// Says whether a `Once` has completed, and whether its initializer took locks. A load tells a
/// caller of a `Once` that took none that there is nothing to do.
pub struct Completion(AtomicU8);

/// The `Once` has not completed, or its completion was not recorded yet.
const UNKNOWN: u8 = 0;
/// The initializer of the completed `Once` took no lock.
const FREE: u8 = 1;
/// The initializer took locks.
const TOOK_LOCKS: u8 = 2;

impl Completion {
    /// For a `Once` that did not run yet.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(AtomicU8::new(UNKNOWN))
    }

    /// For a `Once` that was created as completed.
    #[must_use]
    pub const fn free() -> Self {
        Self(AtomicU8::new(FREE))
    }

    /// Returns `true` if the `Once` has completed and took no lock. May be `false` for a moment
    /// after its completion.
    #[cfg_attr(not(debug_assertions), inline)]
    pub fn is_free(&self) -> bool {
        self.0.load(Acquire) == FREE
    }

    /// Called instead of a call or wait if the `Once`, which is `tracked`, has completed.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn about_to_use(&self, tracked: &Tracked) {
        if self.0.load(Relaxed) == TOOK_LOCKS {
            tracked.about_to_use();
        }
    }

    /// Called before the `Once` completes, if its initializer took locks.
    pub fn note_locks(&self) {
        self.0.store(TOOK_LOCKS, Relaxed);
    }

    /// Called when the `Once` has completed.
    pub fn complete(&self) {
        let _ = self.0.compare_exchange(UNKNOWN, FREE, AcqRel, Relaxed);
    }
}
