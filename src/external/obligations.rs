//! The lock that represents an event in the validator. A thread that owes the event holds it
//! shared; a thread that waits for the event acquires it exclusively, and does not hold it
//! afterwards.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::Tracked,
    validator::{self, Context},
};

/// The lock that stands for one event.
pub(super) struct Obligations {
    tracked: Tracked,
    /// `true` once the validator knows the event's name.
    is_named: AtomicBool,
}

impl Obligations {
    const KIND: &'static LockKind =
        &LockKind { wrapper: "Event", of: LockOf::Nothing, role: Role::Event };

    #[track_caller]
    pub(super) const fn new() -> Self {
        Self { tracked: Tracked::new(), is_named: AtomicBool::new(false) }
    }

    #[track_caller]
    pub(super) fn begin(&self, name: &str) {
        self.named(name).about_to_try(Self::KIND, Mode::Shared).acquired().forget();
    }

    pub(super) fn end(&self) {
        self.tracked.release(Mode::Shared, || ());
    }

    #[track_caller]
    pub(super) fn wait<R>(&self, name: &str, wait: impl FnOnce() -> R) -> R {
        self.named(name).about_to_block(Self::KIND, Mode::Exclusive).wait(wait)
    }

    #[track_caller]
    pub(super) fn wait_timeout<R>(&self, name: &str, wait: impl FnOnce() -> R) -> R {
        let pending = self.named(name).about_to_try(Self::KIND, Mode::Exclusive);
        let result = pending.wait_timeout(wait);
        pending.abandon();
        result
    }

    #[allow(clippy::unnecessary_wraps, reason = "as in a build that is not checked")]
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        Some(self.named(name).number(Self::KIND))
    }

    /// Names the event, unless it has its name. Not inside the validator, which may hold the lock
    /// that naming takes.
    fn named(&self, name: &str) -> &Tracked {
        let is_suspended = || validator::current_if_attached().is_some_and(Context::is_suspended);
        if !self.is_named.load(Relaxed) && !is_suspended() && !self.is_named.swap(true, Relaxed) {
            validator::name(self.tracked.number(Self::KIND), name);
        }
        &self.tracked
    }
}
