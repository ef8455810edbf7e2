//! The only interface between the wrappers and the validator: a lock's identity, and the tokens for what
//! a thread does with it.
//!
//! Fast path: [`Tracked::try_fast`] → [`FastAcquire::acquired`] → [`Tracked::try_release`]. Slow path:
//! [`Tracked::about_to_block`] → [`PendingAcquire::acquired`] → [`Held`], whose drop is the release. A
//! [`PendingAcquire`] that is dropped leaves no trace. On release, a lock leaves the held set before it is
//! unlocked, so that it is no longer held by the time another thread can take it.
//!
//! Inlining is decided by measurement, in three kinds of builds:
//!
//! - *Optimized*: an acquisition stays in registers only if all of it is inlined, so the three functions
//!   of the fast path are `inline(always)`.
//! - *Debug, this crate optimized by the profile*: generic and inlined code is compiled in the program's
//!   crate, without optimization. So the three are plain functions here, not generic, and a wrapper's
//!   generic code does nothing but call them and the wrapped lock.
//! - *Debug*: each call and each copy counts. What these functions call is `inline(always)` and plain
//!   code, without closures and `Option` combinators, which would be calls.

#![allow(clippy::inline_always, reason = "see above")]
#![allow(missing_debug_implementations, reason = "wrappers print the wrapped lock")]
#![allow(clippy::new_without_default, reason = "a default would not know who its caller is")]

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

/// What a wrapper has for each lock.
pub struct Tracked {
    identity: Identity,
    created: Option<&'static Location<'static>>,
}

/// An acquisition that has begun.
#[derive(Clone, Copy)]
#[must_use]
pub struct PendingAcquire<'a> {
    tracked: &'a Tracked,
    tag: Tag,
    site: &'static Location<'static>,
    /// The thread's context and the lock's place in its held set. `None` if the thread is in a special state.
    slot: Option<(&'static Context, Place)>,
}

/// An acquisition of a validated chain: once the lock is taken, all that is left is to record it.
// Passed by reference, as copies are expensive without optimization; `acquired` is inlined where it
// is optimized, so that this is in registers there.
#[must_use]
pub struct FastAcquire {
    context: &'static Context,
    place: Place,
    entry: Entry,
}

impl FastAcquire {
    /// Records that the lock is taken.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn acquired(&self) {
        self.context.held.push(self.place, self.entry);
    }
}

impl Tracked {
    /// For a lock that is made where this is called.
    #[track_caller]
    #[must_use]
    #[cfg_attr(not(debug_assertions), inline)]
    pub const fn new() -> Self {
        Self { identity: Identity::new(), created: Some(Location::caller()) }
    }

    /// For a lock whose constructor does not say where it was called.
    #[must_use]
    pub const fn without_location() -> Self {
        Self { identity: Identity::new(), created: None }
    }

    /// Fast path of a blocking acquisition. Returns `None` unless the thread is in no special state,
    /// holds fewer than 16 locks and has already validated this chain. Changes nothing: if there is
    /// no fast path, or the lock is not free, the caller starts over with
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
            // Only the wait differs: it is held as any reader is.
            let tag = tag.once_held();
            let Some(place) = context.held.place_for(tag) else { return None };
            return Some(FastAcquire { context, place, entry: Entry { tag, site } });
        }
        Some(FastAcquire { context, place, entry: Entry { tag, site } })
    }

    /// Gives the lock its number. Apart from the fast path, which would load `created` for it each time.
    #[cold]
    #[inline(never)]
    fn assign(&self, kind: &'static LockKind) -> LockId {
        self.identity.id(kind, self.created)
    }

    /// The same for a lock whose first acquisition is an attempt.
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

    /// An acquisition that waits for as long as it takes begins.
    #[track_caller]
    pub fn about_to_block(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        // Unlike an attempt, which a signal handler may make, a wait always attaches the thread.
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

    /// The same for a lock with readers, who from now on may have to wait for each other:
    /// to write it, or to upgrade it.
    #[track_caller]
    pub fn about_to_write(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        let mut pending = self.about_to_block(kind, mode);
        if !self.identity.has_writer() {
            pending.note_first_writer();
            pending.slot = pending.slot_again();
        }
        pending
    }

    /// The token of a lock that the calling thread holds, where a wrapper could not keep
    /// it.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn held(&self, mode: Mode) -> Held<'_> {
        Held { tracked: self, tag: Tag::new(self.identity.id_or_0(), mode) }
    }

    /// A condition variable has returned the calling thread's guard of this lock.
    pub fn note_condition(&self) {
        validator::note_condition(Tag::new(self.identity.id_or_0(), Mode::Exclusive));
    }

    /// Fast path of a release: removes the lock from the calling thread's held set, if it is the
    /// last that was acquired and the thread is in no special state. Returns `true` if so, and then
    /// nothing is left to do but to unlock.
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

    /// An acquisition that does not wait begins. It cannot be part of a cycle
    /// until it has succeeded.
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

    /// An acquisition that has begun already goes on.
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

    /// Whether the poison in the wrapped lock was left by a panic of ours, and
    /// does not count.
    pub fn is_forgiven(&self) -> bool {
        self.identity.is_forgiven()
    }

    /// To be called when the wrapped lock's poison is cleared.
    pub fn clear_forgiven(&self) {
        self.identity.clear_forgiven();
    }

    /// For another one that is made at the same place.
    pub(crate) const fn alike(&self) -> Self {
        Self { identity: Identity::new(), created: self.created }
    }

    /// For what is acquired, but never held.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The lock's number, given now if it has none yet.
    pub fn number(&self, kind: &'static LockKind) -> u64 {
        self.identity.id(kind, self.created)
    }
}

/// What a `try_` method of std's has got, if it got the lock, poisoned or not.
pub(crate) fn taken<G>(result: TryLockResult<G>) -> Option<LockResult<G>> {
    match result {
        Ok(guard) => Some(Ok(guard)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// What is not a lock that is free, and to be looked at in another way. Apart, as nothing else refers to
/// what an attempt has got: it may be in registers.
#[cold]
#[inline(never)]
fn poisoned<G>(guard: G) {
    drop(guard);
}

/// The same of an attempt that has failed.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn not_free<G>(error: TryLockError<G>) {
    if let TryLockError::Poisoned(guard) = error {
        poisoned(guard.into_inner());
    }
}

/// A guard of ours around the wrapped lock's, poisoned or not.
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

// By value throughout: a reference to it would keep the fast path from having it in
// registers.
impl<'a> PendingAcquire<'a> {
    /// Comes to a point, maybe for the first time.
    fn arrive(&self, context: &Context) {
        let is_directed = points::arrive(&SyncEvent::Acquire(self.wanted()));
        context.set(ThreadState::Directed, is_directed);
    }

    /// The attempt has failed.
    #[cold]
    pub fn abandon(self) {
        if self.is_directed() {
            match self.tag.mode() {
                // Of lock_api 0.5, whose guards give nothing back by themselves.
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

    /// Returns `true` if the thread may have something to do at points. It has nothing to do at those of the
    /// global allocator's lock, because it may allocate there.
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

    /// Many locks are held, or the thread is in a special state.
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

    /// A write that is looked at; one that is not leaves it to the next to say so.
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

    /// The calling thread's context, unless it is in a state in which locks are not
    /// looked at.
    fn context(&self) -> Option<&'static Context> {
        let looked_at =
            || validator::current_if_attached().filter(|context| !context.is_suspended());
        self.slot.map(|(context, _)| context).or_else(looked_at)
    }

    /// Tries a few times more, then waits for the lock. Most critical sections end before a wait is
    /// published.
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

    /// Publishes the wait for the lock and runs `wait`, unless the wait closes a cycle of waiting threads.
    #[cold]
    #[track_caller]
    pub fn wait<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::Acquired);
        let result = wait();
        if self.is_directed() {
            // An initializer has run in here, or was waited for.
            points::released();
            points::acquired(self.wanted());
        }
        result
    }

    /// The same for a wait with a timeout.
    #[cold]
    #[track_caller]
    pub fn wait_timeout<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::TimedOut);
        wait()
    }

    /// The same for a wait for a notification, and then for the lock.
    #[track_caller]
    pub fn wait_notified<R>(self, wait: impl FnOnce() -> R) -> R {
        let _waited = self.begin_wait(Until::Notified);
        wait()
    }

    #[track_caller]
    fn begin_wait(&self, until: Until) -> Option<Waited> {
        // A wait for a notification has come to its point with the release before it.
        if until != Until::Notified && self.is_directed() {
            points::come_by(&SyncEvent::Wait(self.wanted(), until));
        }
        let is_writer = self.tracked.identity.has_writer() && self.tag.mode() == Mode::Exclusive;
        let context = self.context()?;
        Some(validator::begin_wait(context, &self.wanted(), until, is_writer))
    }

    /// The lock is taken.
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

    /// The lock is taken, after a [wait](Self::wait) before which a hook may have released what
    /// this thread held.
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

    /// Records that the lock is taken. Returns what the wrapped lock returned, cleared of poison that
    /// does not count.
    pub fn finish<G>(self, result: LockResult<G>, clear_poison: impl FnOnce()) -> LockResult<G> {
        let result = match result {
            Err(poisoned) if self.tracked.is_forgiven() => {
                // Readers leave it there: another may have met it as well, and be about to ask.
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

    /// An initializer starts to run, maybe after it waited for another to fail.
    pub fn begin_init(self) -> Held<'a> {
        if let Some(context) = self.context() {
            context.end_wait();
        }
        self.tracked.clear_forgiven();
        self.acquired_after_wait()
    }
}
