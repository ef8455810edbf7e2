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
mod completion;
mod event_wait;
mod handle;
mod held;
mod initializer;
mod pending;
mod pool;
mod raw;
mod results;

use std::{panic::Location, time::Duration};

pub use self::{
    awaited::{Awaited, GuardKind},
    completion::Completion,
    handle::Handle,
    held::Held,
    initializer::Initializer,
    pending::PendingAcquire,
    pool::Pool,
    raw::{Attempt, RawLock},
};
pub(crate) use self::{
    held::{Wrapper, drop_guard, token},
    results::{map_guard, not_free, taken},
};
use crate::{
    finding::{LockKind, Mode},
    validator::{self, Context, Entry, Identity, LockId, Place, Tag, ThreadState},
};

/// The part of a wrapped lock that lockdep knows: its identity and where it was created.
pub struct Tracked {
    identity: Identity,
    created: Option<&'static Location<'static>>,
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

    /// Creates the identity of a lock that is created at this location.
    #[must_use]
    pub(crate) const fn created_at(location: &'static Location<'static>) -> Self {
        Self { identity: Identity::new(), created: Some(location) }
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

    /// Returns `true` if the calling thread, or the task that it polls, is known to hold the lock.
    pub(crate) fn is_held_here(&self) -> bool {
        validator::holds(self.identity.id_or_0())
    }

    /// Returns how many times the calling thread, or the task that it polls, holds the lock.
    pub(crate) fn times_held_here(&self) -> usize {
        validator::times_held(self.identity.id_or_0())
    }

    /// Called when the lock is released that was acquired here, and held for longer than its lease.
    pub(crate) fn held_too_long(
        &self,
        mode: Mode,
        acquired_at: &'static Location<'static>,
        held_for: Duration,
        lease: Duration,
    ) {
        let tag = Tag::new(self.identity.id_or_0(), mode);
        validator::held_too_long(tag, acquired_at, held_for, lease);
    }

    /// Called when the lock is released that another thread or task had acquired here.
    pub(crate) fn changed_hands(
        &self,
        mode: Mode,
        class: Option<&str>,
        acquired_at: &'static Location<'static>,
    ) {
        let tag = Tag::new(self.identity.id_or_0(), mode);
        validator::changed_hands(tag, class, acquired_at);
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
            validator::prepare(context, tag);
        }
        Some((context, place?))
    }

    /// Continues an acquisition that has already begun.
    #[track_caller]
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn resume(&self, kind: &'static LockKind, mode: Mode) -> PendingAcquire<'_> {
        self.resume_on(validator::current(), kind, mode)
    }

    /// As [`resume`](Self::resume), for an acquisition that was requested at this place.
    #[inline]
    fn resume_at(
        &self,
        kind: &'static LockKind,
        mode: Mode,
        site: &'static Location<'static>,
    ) -> PendingAcquire<'_> {
        let tag = Tag::new(self.number(kind), mode);
        let slot =
            validator::current().and_then(|context| Some((context, context.held.place_for(tag)?)));
        PendingAcquire { tracked: self, tag, site, slot }
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

    /// Returns where the lock was created, if that is known.
    pub(crate) fn created(&self) -> Option<&'static Location<'static>> {
        self.created
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

impl Drop for Tracked {
    #[cfg_attr(not(debug_assertions), inline)]
    fn drop(&mut self) {
        if let Some(lock) = self.identity.assigned() {
            validator::destroyed(lock);
        }
    }
}
