//! The token of a held lock, and the release.

use std::mem::ManuallyDrop;

use super::{PendingAcquire, Tracked};
use crate::{
    finding::{LockKind, Mode, Until},
    points::{self, SyncEvent},
    validator::{self, Context, Entry, Tag, ThreadState, tasks},
};

/// A held lock. Dropping this records the release.
#[must_use]
pub struct Held<'a> {
    pub(super) tracked: &'a Tracked,
    /// As in the thread's held set, except for a mark if the lock was already poisoned when
    /// acquired.
    pub(super) tag: Tag,
}

impl<'a> Held<'a> {
    /// Begins a wait on a condition variable, which releases the lock and acquires it again. If the
    /// acquisition is denied, the lock is held as before. The caller must [forget](Self::forget)
    /// this token.
    #[track_caller]
    pub fn about_to_wait(&self, kind: &'static LockKind) -> PendingAcquire<'a> {
        self.come_by(&[SyncEvent::Release, |entry| SyncEvent::Wait(entry, Until::Notified)]);
        let suspended = self.suspend();
        let mut pending = self.tracked.resume(kind, self.tag.mode());
        if let Some(context) = pending.context() {
            let named_at = suspended.entry.map_or(pending.site, |entry| entry.site);
            validator::about_to_wait(context, &pending.acquisition(named_at));
            pending.slot = pending.slot_again();
        }
        suspended.commit();
        pending
    }

    /// Begins a bump: the lock is released to a waiting thread and acquired again, in this mode.
    /// Otherwise as [`about_to_wait`](Self::about_to_wait).
    #[track_caller]
    pub fn about_to_bump(&self, kind: &'static LockKind, wanted: Mode) -> PendingAcquire<'a> {
        self.come_by(&[SyncEvent::Release]);
        let suspended = self.suspend();
        let pending = self.tracked.about_to_block(kind, wanted);
        suspended.commit();
        pending
    }

    /// Passes points of this lock that are one step with what follows, while the lock is still
    /// held.
    fn come_by(&self, points: &[fn(Entry) -> SyncEvent<'static>]) {
        if let Some(context) = validator::current_if_attached()
            && self.is_directed(context)
            && let Some(entry) = context.held.last_of(self.tag.in_set())
        {
            for event in points {
                points::come_by(&event(entry));
            }
        }
    }

    /// Returns `true` if the thread may have something to do at points of this lock.
    fn is_directed(&self, context: &Context) -> bool {
        let may_be = context.is(ThreadState::Directed) && !context.is_suspended();
        may_be && !self.tracked.identity.is_allocators()
    }

    /// Takes the lock out of the held set until the returned value is dropped or committed.
    fn suspend(&self) -> Suspended {
        // The wait that follows attaches the thread. If an attempt on an unattached thread took
        // this lock, that attaches it with the lock.
        let context = validator::current();
        let entry = context.and_then(|context| context.held.remove(self.tag.in_set()));
        if context.is_none() {
            validator::released_unattached(self.tag.in_set());
        }
        Suspended { context, entry }
    }

    /// Ends the token in a function that is about to unlock. That function drops the returned value
    /// last.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn release(self) -> points::Released {
        drop(self);
        points::Released
    }

    /// Forgets the token. The lock stays held until [`Tracked::held`] creates another one.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Records that the lock is now held in another mode.
    pub fn into_mode(self, mode: Mode) -> Self {
        let tag = Tag::new(self.tag.in_set().lock(), mode);
        match validator::current_if_attached() {
            Some(context) => {
                if let Some(entry) = context.held.remove(self.tag.in_set()) {
                    context.held.push_anywhere(Entry { tag, ..entry });
                }
                if context.is(ThreadState::Tracing) {
                    let _inside = context.enter(ThreadState::InValidator);
                    context.retag_trace(self.tag.in_set(), tag);
                }
            }
            None => validator::change_mode_unattached(self.tag.in_set(), tag),
        }
        // Only std's writer downgraded to a reader, which does not poison, and locks without
        // poisoning get here, so the mark may be lost.
        let turned = Self { tracked: self.tracked, tag };
        std::mem::forget(self);
        turned
    }
}

/// A lock that was taken out of the held set. Dropping this puts it back; [`commit`](Self::commit)
/// does not.
struct Suspended {
    context: Option<&'static Context>,
    entry: Option<Entry>,
}

impl Suspended {
    fn commit(mut self) {
        self.entry = None;
    }
}

impl Drop for Suspended {
    fn drop(&mut self) {
        if let (Some(context), Some(entry)) = (self.context, self.entry) {
            context.held.push_anywhere(entry);
            context.denied_with_one_more();
        }
    }
}

impl Drop for Held<'_> {
    #[cfg_attr(not(debug_assertions), inline)]
    fn drop(&mut self) {
        // By value: a reference to the token would keep every guard out of registers.
        let Self { tracked, tag } = *self;
        match validator::current_if_attached() {
            Some(context) if context.held.pop(tag) => {}
            _ => released(tracked, tag),
        }
    }
}

#[cold]
#[inline(never)]
fn released(tracked: &Tracked, tag: Tag) {
    let held = ManuallyDrop::new(Held { tracked, tag });
    match validator::current_if_attached() {
        Some(context) => held.released_slow(context),
        None => held.released_first(),
    }
}

impl Held<'_> {
    /// The thread has no context: it took the lock where a signal handler could have, received the
    /// guard from another thread, or is ending; or nothing is checked.
    fn released_first(&self) {
        let tag = self.tag.in_set();
        if validator::released_unattached(tag) {
            return;
        }
        match validator::current() {
            Some(_) => validator::released_elsewhere(tag),
            None => validator::released_at_last(tag),
        }
    }

    fn released_slow(&self, context: &'static Context) {
        let tag = self.tag.in_set();
        if context.is_suspended() && context.released_blind(tag) {
            return;
        }
        if self.is_directed(context)
            && let Some(entry) = context.held.last_of(tag).or_else(|| tasks::held_loosely(tag))
        {
            points::releasing(entry);
        }
        let is_forgiven = context.forgives(tag);
        let was_held = context.held.remove(tag).is_some();
        if context.is_suspended() {
            // Locks taken by a hook, or by the global allocator on behalf of lockdep, are not
            // tracked.
            return;
        }
        if !was_held && !validator::released_unattached(tag) {
            // The guard was sent here from another thread.
            validator::released_elsewhere(tag);
        }
        context.drop_trace(tag);
        context.end_unwinding();
        let poisons = tag.mode() == Mode::Exclusive && self.tag == tag;
        if poisons && is_forgiven && context.is(ThreadState::Unwinding) {
            self.tracked.identity.forgive();
        }
    }
}

/// A wrapper, as its guards see it.
pub(crate) trait Wrapper {
    fn tracked(&self) -> &Tracked;

    /// Returns `true` if the lock was poisoned before a writer releases it.
    fn is_poisoned_inside(&self) -> bool;
}

/// For guards of locks that cannot be poisoned.
impl Wrapper for Tracked {
    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        self
    }

    fn is_poisoned_inside(&self) -> bool {
        false
    }
}

/// Creates the token for a guard that does not store one.
pub(crate) fn token<L: Wrapper + ?Sized>(lock: &L, mode: Mode) -> Held<'_> {
    let mut held = lock.tracked().held(mode);
    if lock.is_poisoned_inside() {
        held.tag = held.tag.poisoned();
    }
    held
}

/// Ends a guard that holds `lock` in `mode` by the wrapped lock's guard, `inner`. Removes the lock
/// from the held set, unlocks it, and only then resumes a thread that a script has stopped until
/// the release ([`points::Released`]).
///
/// No reference is passed to a function that is not inlined, so an optimized build keeps guards in
/// registers.
///
/// # Safety
///
/// `inner` is initialized and is not used afterwards.
#[inline(always)]
#[allow(
    unsafe_code,
    reason = "the cold path takes the guard by value, the other drops it in place"
)]
pub(crate) unsafe fn drop_guard<L: Wrapper + ?Sized, G>(
    lock: &L,
    mode: Mode,
    inner: &mut ManuallyDrop<G>,
) {
    if lock.tracked().try_release(mode) {
        // SAFETY: `inner` is initialized and not used afterwards, by this function's contract.
        unsafe { ManuallyDrop::drop(inner) };
    } else {
        // SAFETY: as above. Only one of the two branches runs.
        release_slow(lock, mode, unsafe { ManuallyDrop::take(inner) });
    }
}

#[cold]
#[inline(never)]
fn release_slow<L: Wrapper + ?Sized, G>(lock: &L, mode: Mode, inner: G) {
    // Locals are dropped in reverse order: the lock is unlocked even if the token's release panics,
    // and before `Released` resumes another thread.
    let _released = points::Released;
    let _inner = inner;
    drop(token(lock, mode));
}
