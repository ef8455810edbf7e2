//! The only interface between the wrappers and the validator: a lock's identity, and the tokens of
//! its acquisitions.
//!
//! Fast path: [`Tracked::try_fast`] → [`FastAcquire::acquired`] → [`Tracked::try_release`]. Slow
//! path: [`Tracked::about_to_block`] → [`PendingAcquire::acquired`] → [`Held`], whose drop is the
//! release. A [`PendingAcquire`] that is dropped leaves no trace. On release, a lock leaves the
//! held set before it is unlocked, so that it is no longer held by the time another thread can take
//! it.
//!
//! Inlining is decided by measurement, in three kinds of builds:
//!
//! - *Optimized*: an acquisition stays in registers only if all of it is inlined, so the three
//!   functions of the fast path are `inline(always)`.
//! - *Debug, this crate optimized by the profile*: generic and inlined code is compiled in the
//!   program's crate, without optimization. So the three are plain functions here, not generic, and
//!   a wrapper's generic code does nothing but call them and the wrapped lock.
//! - *Debug*: each call and each copy counts. What these functions call is `inline(always)` and
//!   plain code, without closures and `Option` combinators, which would be calls.

#![allow(clippy::inline_always, reason = "see above")]
#![allow(missing_debug_implementations, reason = "wrappers print the wrapped lock")]
#![allow(clippy::new_without_default, reason = "`default` would lose the caller's location")]

mod awaited;
mod held;
mod initializer;
mod raw;
mod wait;

use std::{
    hint,
    panic::Location,
    sync::{LockResult, PoisonError, TryLockError, TryLockResult},
};

pub(crate) use self::held::{Wrapper, drop_guard, token};
pub use self::{
    awaited::{Awaited, GuardKind},
    held::Held,
    initializer::Initializer,
    raw::{Attempt, RawLock},
};
use crate::{
    finding::{LockKind, Mode, Until},
    points::{self, SyncEvent},
    validator::{
        self, Acquisition, Context, Entry, Identity, LockId, Place, Tag, ThreadState, Waited,
    },
};

/// The part of a wrapped lock that lockdep knows: its identity and where it was created.
pub struct Tracked {
    identity: Identity,
    created: Option<&'static Location<'static>>,
}

/// A pending acquisition: begun, and not yet successful or abandoned.
#[derive(Clone, Copy)]
#[must_use]
pub struct PendingAcquire<'a> {
    tracked: &'a Tracked,
    tag: Tag,
    site: &'static Location<'static>,
    /// The thread's context and the lock's place in its held set. `None` in the slow path.
    slot: Option<(&'static Context, Place)>,
}

/// An acquisition of a validated chain. Once the lock is taken, it only needs to be recorded.
#[must_use]
pub struct FastAcquire {
    context: &'static Context,
    place: Place,
    entry: Entry,
}

impl FastAcquire {
    /// Records that the lock was taken.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn acquired(&self) {
        self.context.held.push(self.place, self.entry);
    }
}

impl Tracked {
    /// Creates the identity of a lock that is created at the caller's location.
    #[track_caller]
    #[must_use]
    #[cfg_attr(not(debug_assertions), inline)]
    pub const fn new() -> Self {
        Self { identity: Identity::new(), created: Some(Location::caller()) }
    }

    /// Creates the identity of a lock whose constructor does not know its caller's location.
    #[must_use]
    pub const fn without_location() -> Self {
        Self { identity: Identity::new(), created: None }
    }

    /// Fast path of a blocking acquisition. Returns `None` unless the thread is in no special
    /// state, holds fewer than 16 locks and has already validated this chain. Changes nothing: if
    /// there is no fast path, or the lock is not free, the caller starts over with
    /// [`about_to_block`](Self::about_to_block) in a separate function, so that this one needs few
    /// registers.
    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    #[allow(clippy::question_mark, reason = "`?` is a call where nothing is optimized")]
    pub fn try_fast(&self, kind: &'static LockKind, mode: Mode) -> Option<FastAcquire> {
        let mut lock = self.identity.id_or_0();
        if lock == 0 {
            lock = self.assign(kind);
        }
        let tag = Tag::new(lock, mode);
        let Some(context) = validator::current_if_attached() else { return None };
        let Some(place) = context.held.place_for(tag) else { return None };
        if validator::unjudged(context, place).is_some() {
            return None;
        }
        let site = Location::caller();
        if let Mode::RecursiveShared = mode {
            // A recursive read waits differently, but is held like any read.
            let tag = tag.once_held();
            let Some(place) = context.held.place_for(tag) else { return None };
            return Some(FastAcquire { context, place, entry: Entry { tag, site } });
        }
        Some(FastAcquire { context, place, entry: Entry { tag, site } })
    }

    /// Assigns the lock's id. Kept out of the fast path, which would otherwise always load
    /// `created`.
    #[cold]
    #[inline(never)]
    fn assign(&self, kind: &'static LockKind) -> LockId {
        self.identity.id(kind, self.created)
    }

    /// As `assign`, for a lock whose first acquisition is an attempt.
    #[cold]
    #[inline(never)]
    fn assign_tried(&self, kind: &'static LockKind) {
        validator::note_tried(self.assign(kind));
    }

    /// As [`try_fast`](Self::try_fast), to write a lock that also has readers. The first such write
    /// takes the slow path, because from then on readers may have to wait for each other.
    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn try_fast_write(&self, kind: &'static LockKind) -> Option<FastAcquire> {
        if !self.identity.has_writer() {
            return None;
        }
        self.try_fast(kind, Mode::Exclusive)
    }

    /// Begins an acquisition that may block without a timeout. Checks it.
    #[track_caller]
    pub fn about_to_block(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        // A wait always attaches the thread, unlike an attempt, which a signal handler may make.
        let _ = validator::current();
        let mut pending = self.about_to_try(kind, mode);
        validator::note_waited_for(pending.tag.lock());
        match pending.slot {
            Some((context, place)) => {
                if let Some(key) = validator::unjudged(context, place) {
                    pending.judge(context, key);
                    // A hook may have released what this thread held.
                    pending.slot = pending.slot_again();
                }
            }
            None => pending.check_slow(),
        }
        pending
    }

    /// As [`about_to_block`](Self::about_to_block), to write a lock that also has readers, or to
    /// upgrade it. After the first write, readers may have to wait for each other.
    #[track_caller]
    pub fn about_to_write(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        let mut pending = self.about_to_block(kind, mode);
        if !self.identity.has_writer() {
            pending.note_first_writer();
            pending.slot = pending.slot_again();
        }
        pending
    }

    /// Creates the token of a lock that the calling thread holds, for a wrapper that could not
    /// store it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn held(&self, mode: Mode) -> Held<'_> {
        Held { tracked: self, tag: Tag::new(self.identity.id_or_0(), mode) }
    }

    /// Called when a condition variable has returned the calling thread's guard of this lock.
    pub fn note_condition(&self) {
        validator::note_condition(Tag::new(self.identity.id_or_0(), Mode::Exclusive));
    }

    /// Fast path of a release. Removes the lock from the calling thread's held set and returns
    /// `true` if it was the last acquired and the thread is in no special state. Then only the
    /// unlock remains.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn try_release(&self, mode: Mode) -> bool {
        let tag = Tag::new(self.identity.id_or_0(), mode);
        match validator::current_if_attached() {
            Some(context) => context.held.pop(tag),
            None => false,
        }
    }

    /// Releases a lock that is held without a token, and unlocks it.
    #[inline(always)]
    pub fn release(&self, mode: Mode, unlock: impl FnOnce()) {
        if self.try_release(mode) {
            unlock();
        } else {
            self.release_slow(mode, unlock);
        }
    }

    #[cold]
    #[inline(never)]
    fn release_slow(&self, mode: Mode, unlock: impl FnOnce()) {
        let _released = self.held(mode).release();
        unlock();
    }

    /// Begins an acquisition that does not wait. It cannot be part of a cycle until it succeeds.
    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn about_to_try(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        if self.identity.id_or_0() == 0 {
            self.assign_tried(kind);
        }
        let mut pending = self.resume_on(validator::current_if_attached(), kind, mode);
        if pending.slot.is_none() {
            pending.slot = self.prepare(pending.tag, pending.site);
        }
        pending
    }

    /// Slow path. Allocates up front, before locking, because the lock may belong to the global
    /// allocator.
    #[cold]
    fn prepare(
        &self,
        tag: Tag,
        site: &'static Location<'static>,
    ) -> Option<(&'static Context, Place)> {
        let context = validator::current_unless_in_handler()?;
        context.end_unwinding();
        if context.is(ThreadState::InValidator) {
            self.identity.note_allocator();
        }
        let pending = PendingAcquire { tracked: self, tag, site, slot: None };
        if pending.is_directed() {
            pending.arrive(context);
        }
        let place = context.held.place_for(tag);
        if place.is_none() && !context.is_suspended() {
            validator::prepare(context);
        }
        Some((context, place?))
    }

    /// Continues an acquisition that has already begun.
    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn resume(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        self.resume_on(validator::current(), kind, mode)
    }

    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn resume_on(
        &self,
        context: Option<&'static Context>,
        kind: &'static LockKind,
        mode: Mode,
    ) -> PendingAcquire<'_> {
        let tag = Tag::new(self.identity.id(kind, self.created), mode);
        let slot = context.and_then(|context| Some((context, context.held.place_for(tag)?)));
        PendingAcquire { tracked: self, tag, site: Location::caller(), slot }
    }

    /// Returns `true` if the wrapped lock's poison comes from a panic of lockdep, which does not
    /// count.
    pub fn is_forgiven(&self) -> bool {
        self.identity.is_forgiven()
    }

    /// Called when the wrapped lock's poison is cleared.
    pub fn clear_forgiven(&self) {
        self.identity.clear_forgiven();
    }

    /// Creates the identity of another lock created at the same location.
    pub(crate) const fn alike(&self) -> Self {
        Self { identity: Identity::new(), created: self.created }
    }

    /// Returns the identity, for events that are acquired but never held.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns the lock's id, and assigns one first if it has none.
    pub fn number(&self, kind: &'static LockKind) -> u64 {
        self.identity.id(kind, self.created)
    }
}

/// Returns the guard of a `try_` method of std's that got the lock, poisoned or not.
pub(crate) fn taken<G>(result: TryLockResult<G>) -> Option<LockResult<G>> {
    match result {
        Ok(guard) => Some(Ok(guard)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Handles a poisoned guard. A cold function, so that the result of an attempt, which nothing else
/// refers to, can stay in registers.
#[cold]
#[inline(never)]
fn poisoned<G>(guard: G) {
    drop(guard);
}

/// Handles a failed attempt of the fast path. A poisoned lock is released for the slow path to
/// take.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn not_free<G>(error: TryLockError<G>) {
    if let TryLockError::Poisoned(guard) = error {
        poisoned(guard.into_inner());
    }
}

/// Wraps the inner lock's guard, poisoned or not.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn map_guard<G, R>(result: LockResult<G>, guard: impl FnOnce(G) -> R) -> LockResult<R> {
    match result {
        Ok(inner) => Ok(guard(inner)),
        Err(poisoned) => Err(PoisonError::new(guard(poisoned.into_inner()))),
    }
}

impl Drop for Tracked {
    #[cfg_attr(not(debug_assertions), inline)]
    fn drop(&mut self) {
        if let Some(lock) = self.identity.assigned() {
            validator::destroyed(lock);
        }
    }
}

// Methods take `self` by value: a reference would keep the fast path's copy out of registers.
impl<'a> PendingAcquire<'a> {
    /// Reaches a point, possibly the thread's first.
    fn arrive(&self, context: &Context) {
        let is_directed = points::arrive(&SyncEvent::Acquire(self.wanted()));
        context.set(ThreadState::Directed, is_directed);
    }

    /// Ends a failed attempt.
    #[cold]
    pub fn abandon(self) {
        if self.is_directed() {
            match self.tag.mode() {
                // In lock_api 0.5 no guard holds the lock now: a panic here would leak it.
                Mode::Upgrade => points::acquired(self.wanted()),
                _ => points::passed(&SyncEvent::Acquire(self.wanted())),
            }
        }
    }

    /// An upgrade has succeeded.
    pub fn upgraded(self) {
        if self.is_directed() {
            points::acquired(self.wanted());
        }
    }

    /// Returns `true` if the thread may have something to do at points of this lock. Excludes the
    /// global allocator's lock, because what happens at points may allocate.
    fn is_directed(&self) -> bool {
        self.slot.is_none()
            && self.context().is_some_and(|context| context.is(ThreadState::Directed))
            && !self.tracked.identity.is_allocators()
    }

    #[cold]
    #[track_caller]
    fn judge(self, context: &'static Context, key: u64) {
        let is_new = points::are_active() && !context.is(ThreadState::Directed);
        if is_new && !self.tracked.identity.is_allocators() {
            self.arrive(context);
        }
        validator::about_to_block(context, &self.acquisition(self.site), key);
    }

    /// Slow path: many locks are held, or the thread is in a special state.
    #[cold]
    #[track_caller]
    fn check_slow(self) {
        if let Some(context) = self.context() {
            let place = context.held.any_place_for(self.tag);
            if let Some(key) = validator::unjudged(context, place) {
                self.judge(context, key);
            }
        }
    }

    /// Records the first write. A write inside `allow` is not checked, so it leaves this to the
    /// next.
    #[cold]
    #[track_caller]
    fn note_first_writer(self) {
        if let Some(context) = self.context()
            && !context.is(ThreadState::Allowing)
            && self.tracked.identity.note_writer()
        {
            validator::first_writer(context, &self.wanted());
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn slot_again(self) -> Option<(&'static Context, Place)> {
        let (context, _) = self.slot?;
        Some((context, context.held.place_for(self.tag)?))
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn wanted(&self) -> Entry {
        let Self { tag, site, .. } = *self;
        Entry { tag, site }
    }

    fn acquisition(&self, named_at: &'static Location<'static>) -> Acquisition<'a> {
        Acquisition { identity: &self.tracked.identity, wanted: self.wanted(), named_at }
    }

    /// Returns the calling thread's context, unless it is in a state in which locks are not
    /// tracked.
    fn context(&self) -> Option<&'static Context> {
        let looked_at =
            || validator::current_if_attached().filter(|context| !context.is_suspended());
        self.slot.map(|(context, _)| context).or_else(looked_at)
    }

    /// Called when another thread holds the lock. Spins briefly before publishing a wait, because
    /// most critical sections end within that time.
    #[cold]
    #[inline(never)]
    #[track_caller]
    pub fn contended<R>(
        &mut self,
        mut try_again: impl FnMut() -> Option<R>,
        wait: impl FnOnce() -> R,
    ) -> R {
        for pauses in [2, 4, 8, 16] {
            (0..pauses).for_each(|_| hint::spin_loop());
            if let Some(taken) = try_again() {
                return taken;
            }
        }
        let _waited = self.begin_wait(Until::Acquired);
        // A hook may have released what this thread held.
        self.slot = self.slot_again();
        if self.is_directed() {
            let mut taken = None;
            let mut try_again = || {
                taken = try_again();
                taken.is_some()
            };
            if points::contended(&self.wanted(), &mut try_again)
                && let Some(taken) = taken
            {
                return taken;
            }
        }
        wait()
    }

    /// Publishes the wait and blocks in `wait`, unless that would close a cycle of waiting threads.
    #[cold]
    #[track_caller]
    pub fn wait<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::Acquired);
        let result = wait();
        if self.is_directed() {
            // An initializer may have run during the wait.
            points::released();
            points::acquired(self.wanted());
        }
        result
    }

    /// As [`wait`](Self::wait), with a timeout.
    #[cold]
    #[track_caller]
    pub fn wait_timeout<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::TimedOut);
        wait()
    }

    /// As [`wait`](Self::wait), for a notification and then for the lock.
    #[track_caller]
    pub fn wait_notified<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::Notified);
        wait()
    }

    #[track_caller]
    fn begin_wait(&self, until: Until) -> Option<Waited> {
        // A wait for a notification already passed its point, together with the release before it.
        if until != Until::Notified && self.is_directed() {
            points::come_by(&SyncEvent::Wait(self.wanted(), until));
        }
        let is_writer = self.tracked.identity.has_writer() && self.tag.mode() == Mode::Exclusive;
        let context = self.context()?;
        Some(validator::begin_wait(context, &self.wanted(), until, is_writer))
    }

    /// Records that the lock was taken.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn acquired(self) -> Held<'a> {
        let tag = self.tag.once_held();
        match self.slot {
            Some((context, place)) if tag == self.tag => {
                context.held.push(place, self.wanted());
            }
            _ => self.acquired_slow(),
        }
        Held { tracked: self.tracked, tag }
    }

    /// Records that the lock was taken after a [wait](Self::wait) before which a hook may have
    /// released what this thread held.
    pub fn acquired_after_wait(mut self) -> Held<'a> {
        self.slot = self.slot_again();
        self.acquired()
    }

    #[cold]
    fn acquired_slow(self) {
        if let Some(context) = self.context() {
            let tag = self.tag.once_held();
            context.held.push_anywhere(Entry { tag, ..self.wanted() });
            if context.is(ThreadState::Tracing) {
                let _inside = context.enter(ThreadState::InValidator);
                context.keep_trace(tag);
            }
            if self.is_directed() {
                points::acquired(self.wanted());
            }
        } else {
            let held = Entry { tag: self.tag.once_held(), ..self.wanted() };
            match validator::current_if_attached() {
                Some(context) => context.acquired_blind(held.tag),
                None => validator::acquired_unattached(held),
            }
        }
    }

    /// Records that the lock was taken. Returns the wrapped lock's result, without poison that does
    /// not count.
    pub fn finish<G>(self, result: LockResult<G>, clear_poison: impl FnOnce()) -> LockResult<G> {
        let result = match result {
            Err(poisoned) if self.tracked.is_forgiven() => {
                // Readers leave the poison in place: another reader may have seen it and be about
                // to check.
                if self.tag.mode() == Mode::Exclusive {
                    clear_poison();
                    self.tracked.clear_forgiven();
                }
                Ok(poisoned.into_inner())
            }
            result => result,
        };
        self.acquired().forget();
        result
    }

    /// Records that an initializer starts to run, possibly after waiting for another one that
    /// failed.
    pub fn begin_init(self) -> Held<'a> {
        if let Some(context) = self.context() {
            context.end_wait();
        }
        self.tracked.clear_forgiven();
        self.acquired_after_wait()
    }
}
