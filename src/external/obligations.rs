//! The lock that represents an event in the validator. A thread that owes the event holds it
//! shared; a thread that waits for the event acquires it exclusively, and does not hold it
//! afterwards.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    task::{Context as Waker, Poll},
};

use crate::{
    finding::{LockKind, LockOf, Mode, Role},
    tracked::{Awaited, GuardKind, Tracked},
    validator::{self, Context},
};

/// The lock that stands for one event.
pub(super) struct Obligations {
    tracked: Tracked,
    /// `true` once the validator knows the event's name.
    is_named: AtomicBool,
    /// The number of guards of threads that owe it.
    guards: AtomicUsize,
    /// The number of handlers that owe it.
    handlers: AtomicUsize,
}

impl Obligations {
    const KIND: &'static LockKind =
        &LockKind { wrapper: "Event", of: LockOf::Nothing, role: Role::Event };

    #[track_caller]
    pub(super) const fn new() -> Self {
        Self {
            tracked: Tracked::new(),
            is_named: AtomicBool::new(false),
            guards: AtomicUsize::new(0),
            handlers: AtomicUsize::new(0),
        }
    }

    #[track_caller]
    pub(super) fn begin(&self, name: &str) {
        self.guards.fetch_add(1, Relaxed);
        self.named(name).about_to_try(Self::KIND, Mode::Shared).acquired().forget();
    }

    pub(super) fn end(&self) {
        self.tracked.release(Mode::Shared, || ());
        self.guards.fetch_sub(1, Relaxed);
    }

    #[track_caller]
    pub(super) fn wait<R>(&self, name: &str, wait: impl FnOnce() -> R) -> R {
        if self.handler_may_answer() {
            return self.wait_timeout(name, wait);
        }
        self.named(name).about_to_block(Self::KIND, Mode::Exclusive).wait(wait)
    }

    #[track_caller]
    pub(super) fn wait_timeout<R>(&self, name: &str, wait: impl FnOnce() -> R) -> R {
        let pending = self.named(name).about_to_try(Self::KIND, Mode::Exclusive);
        let result = pending.wait_timeout(wait);
        pending.abandon();
        result
    }

    /// Owes the event during each poll of a future, so that it is certain to be owed by what the
    /// future awaits.
    #[track_caller]
    pub(super) fn owe_while<F: Future>(
        &self,
        name: &str,
        handler: F,
    ) -> impl Future<Output = F::Output> + use<'_, F> {
        let tracked = self.named(name);
        let site = Location::caller();
        let handling = Handling::begin(&self.handlers);
        Owing { tracked, site, handler: Box::pin(handler), _handling: handling }
    }

    #[track_caller]
    pub(super) fn wait_async<F: Future>(
        &self,
        name: &str,
        wait: F,
    ) -> impl Future<Output = F::Output> + use<'_, F> {
        let tracked = self.named(name);
        let awaited = Awaited::new(Self::KIND, Mode::Exclusive, GuardKind::Borrowed);
        Waiting { obligations: self, tracked, awaited, wait: Box::pin(wait) }
    }

    /// Returns `true` if the caller owes the event together with others, of which at least one is a handler. A
    /// handler that awaits something is held by no thread, so no thread finds it.
    fn handler_may_answer(&self) -> bool {
        let handlers = self.handlers.load(Relaxed);
        let own = if handlers > 0 { self.tracked.times_held_here() } else { 0 };
        own > 0 && handlers + self.guards.load(Relaxed) > own
    }

    /// Returns `true` if the calling task owes the event by a guard, which another future of the task may have.
    fn sibling_may_answer(&self) -> bool {
        self.guards.load(Relaxed) > 0 && self.tracked.is_held_here()
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

/// A handler that owes the event, until this is dropped.
struct Handling<'a>(&'a AtomicUsize);

impl<'a> Handling<'a> {
    fn begin(handlers: &'a AtomicUsize) -> Self {
        handlers.fetch_add(1, Relaxed);
        Self(handlers)
    }
}

impl Drop for Handling<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// The future of a handler. A named type, so that its awaits are known to be in sequence.
struct Owing<'a, F> {
    tracked: &'a Tracked,
    site: &'static Location<'static>,
    handler: Pin<Box<F>>,
    _handling: Handling<'a>,
}

impl<F: Future> Future for Owing<'_, F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Waker<'_>) -> Poll<F::Output> {
        let Self { tracked, site, handler, .. } = &mut *self;
        tracked.owe_during(Obligations::KIND, site, || handler.as_mut().poll(cx))
    }
}

/// The future of a wait.
struct Waiting<'a, F> {
    obligations: &'a Obligations,
    tracked: &'a Tracked,
    awaited: Awaited,
    wait: Pin<Box<F>>,
}

impl<F: Future> Future for Waiting<'_, F> {
    type Output = F::Output;

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Waker<'_>) -> Poll<F::Output> {
        let Self { obligations, tracked, awaited, wait } = &mut *self;
        let may_end = || obligations.handler_may_answer() || obligations.sibling_may_answer();
        awaited.poll_wait(tracked, may_end, cx, |cx| wait.as_mut().poll(cx))
    }
}
