//! An acquisition between its check and its outcome: how it waits, and what is recorded when it succeeds or is
//! abandoned.

use std::{hint, panic::Location, sync::LockResult};

use super::{Held, Tracked};
use crate::{
    finding::{Mode, Until},
    points::{self, SyncEvent},
    validator::{self, Acquisition, Context, Entry, Place, Tag, ThreadState, Waited},
};

/// How many times the processor pauses before each further attempt to take a lock that another thread holds. Then the
/// wait is published.
const SPINS: [u32; 4] = [2, 4, 8, 16];

/// A pending acquisition: begun, and not yet successful or abandoned.
#[derive(Clone, Copy)]
#[must_use]
pub struct PendingAcquire<'a> {
    pub(super) tracked: &'a Tracked,
    pub(super) tag: Tag,
    pub(super) site: &'static Location<'static>,
    /// The thread's context and the lock's place in its held set. `None` in the slow path.
    pub(super) slot: Option<(&'static Context, Place)>,
}

// Methods take `self` by value: a reference would keep the fast path's copy out of registers.
impl<'a> PendingAcquire<'a> {
    /// Reaches a point, possibly the thread's first.
    pub(super) fn arrive(&self, context: &Context) {
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
    pub(super) fn is_directed(&self) -> bool {
        self.slot.is_none()
            && self.context().is_some_and(|context| context.is(ThreadState::Directed))
            && !self.tracked.identity.is_allocators()
    }

    #[cold]
    #[track_caller]
    pub(super) fn judge(self, context: &'static Context, key: u64) {
        let is_new = points::are_active() && !context.is(ThreadState::Directed);
        if is_new && !self.tracked.identity.is_allocators() {
            self.arrive(context);
        }
        validator::about_to_block(context, &self.acquisition(self.site), key);
    }

    /// Slow path: many locks are held, or the thread is in a special state.
    #[cold]
    #[track_caller]
    pub(super) fn check_slow(self) {
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
    pub(super) fn note_first_writer(self) {
        if let Some(context) = self.context()
            && !context.is(ThreadState::Allowing)
            && self.tracked.identity.note_writer()
        {
            validator::first_writer(context, &self.wanted());
        }
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn slot_again(self) -> Option<(&'static Context, Place)> {
        let (context, _) = self.slot?;
        Some((context, context.held.place_for(self.tag)?))
    }

    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(super) fn wanted(&self) -> Entry {
        let Self { tag, site, .. } = *self;
        Entry { tag, site }
    }

    pub(super) fn acquisition(&self, named_at: &'static Location<'static>) -> Acquisition<'a> {
        Acquisition { identity: &self.tracked.identity, wanted: self.wanted(), named_at }
    }

    /// Returns the calling thread's context, unless it is in a state in which locks are not
    /// tracked.
    pub(super) fn context(&self) -> Option<&'static Context> {
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
        for pauses in SPINS {
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
    pub(super) fn begin_wait(&self, until: Until) -> Option<Waited> {
        // A wait for a notification already passed its point, together with the release before it.
        if until != Until::Notified && self.is_directed() {
            points::come_by(&SyncEvent::Wait(self.wanted(), until));
        }
        let context = self.context()?;
        Some(validator::begin_wait(context, &self.tracked.identity, &self.wanted(), until))
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
    pub(super) fn acquired_slow(self) {
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
