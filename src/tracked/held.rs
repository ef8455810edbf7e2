//! The token of a lock that a thread holds.

use std::mem::ManuallyDrop;

use super::{PendingAcquire, Tracked};
use crate::{
    finding::{LockKind, Mode, Until},
    points::{self, SyncEvent},
    validator::{self, Context, Entry, Tag, ThreadState, tasks},
};

/// A lock that is held, until this is dropped.
#[must_use]
pub struct Held<'a> {
    pub(super) tracked: &'a Tracked,
    /// As in the thread's held set, or marked as poisoned when it was acquired.
    pub(super) tag: Tag,
}

impl<'a> Held<'a> {
    /// Begins a wait on a condition variable, which releases the lock and acquires it again. If that is
    /// denied, the lock is held as before. The caller must [forget](Self::forget) this token.
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

    /// The lock is given back for a moment, to whoever waits for it, and taken again; the rest
    /// as for a wait.
    #[track_caller]
    pub fn about_to_bump(&self, kind: &'static LockKind) -> PendingAcquire<'a> {
        self.come_by(&[SyncEvent::Release]);
        let suspended = self.suspend();
        let pending = self.tracked.about_to_block(kind, self.tag.mode());
        suspended.commit();
        pending
    }

    /// Comes to points that are one step with what follows, and about this lock as it is held.
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

    /// Whether the thread may have something to do at points of this lock.
    fn is_directed(&self, context: &Context) -> bool {
        let may_be = context.is(ThreadState::Directed) && !context.is_suspended();
        may_be && !self.tracked.identity.is_allocators()
    }

    /// Takes the lock out of the thread's held set, until the result is dropped.
    fn suspend(&self) -> Suspended {
        // What follows is a wait, which attaches the thread: with this lock, if an attempt took it.
        let context = validator::current();
        let entry = context.and_then(|context| context.held.remove(self.tag.in_set()));
        if context.is_none() {
            validator::released_unattached(self.tag.in_set());
        }
        Suspended { context, entry }
    }

    /// The lock is about to be given back by the function that calls this, at whose end what is
    /// given here is to be dropped.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn release(self) -> points::Released {
        drop(self);
        points::Released
    }

    /// Leaves the lock held without its token, until [`Tracked::held`] makes one again.
    pub fn forget(self) {
        std::mem::forget(self);
    }

    /// Records that the lock is held in another mode from now on.
    pub fn into_mode(self, mode: Mode) -> Self {
        let tag = Tag::new(self.tag.in_set().lock(), mode);
        match validator::current_if_attached() {
            Some(context) => {
                if let Some(entry) = context.held.remove(self.tag.in_set()) {
                    context.held.push_anywhere(Entry { tag, ..entry });
                }
            }
            None => validator::change_mode_unattached(self.tag.in_set(), tag),
        }
        // What is turned is std's writer into a reader, who poisons nothing, or a lock
        // that knows no poison: the mark may go.
        let turned = Self { tracked: self.tracked, tag };
        std::mem::forget(self);
        turned
    }
}

/// A lock that is out of its thread's held set. Dropping this puts it back; [`commit`](Self::commit) does not.
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
        // By value: a reference to the token would keep all guards from being in registers.
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
    /// The thread has no context: it took the lock where a signal handler may have, or the guard
    /// was sent here, or the thread is ending, or nothing is checked.
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
            // A lock that is taken by a hook, or by the global allocator for our own code,
            // is not looked at.
            return;
        }
        if !was_held && !validator::released_unattached(tag) {
            // Its guard was sent here.
            validator::released_elsewhere(tag);
        }
        if context.is(ThreadState::Tracing) {
            let _inside = context.enter(ThreadState::InValidator);
            context.drop_trace(tag);
        }
        context.end_unwinding();
        let poisons = tag.mode() == Mode::Exclusive && self.tag == tag;
        if poisons && is_forgiven && context.is(ThreadState::Unwinding) {
            self.tracked.identity.forgive();
        }
    }
}

/// A wrapper, as its guards know it.
pub(crate) trait Wrapper {
    fn tracked(&self) -> &Tracked;

    /// Returns `true` if the lock was poisoned before a writer releases it.
    fn is_poisoned_inside(&self) -> bool;
}

/// For guards that cannot poison.
impl Wrapper for Tracked {
    #[inline(always)]
    fn tracked(&self) -> &Tracked {
        self
    }

    fn is_poisoned_inside(&self) -> bool {
        false
    }
}

/// Returns the token of a lock that is held by a guard without one.
pub(crate) fn token<L: Wrapper + ?Sized>(lock: &L, mode: Mode) -> Held<'_> {
    let mut held = lock.tracked().held(mode);
    if lock.is_poisoned_inside() {
        held.tag = held.tag.poisoned();
    }
    held
}

/// Ends a guard that holds `lock` in `mode` by the wrapped lock's guard, `inner`: removes the lock from
/// the held set, unlocks it, and only then lets a thread go on that a schedule has stopped
/// ([`points::Released`]).
///
/// An optimized build keeps guards in registers, as nothing is passed by reference to a function that is
/// not inlined.
///
/// # Safety
///
/// `inner` is initialized, and is not used afterwards.
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
        // SAFETY: `inner` is initialized, and not used afterwards: what the caller guarantees.
        unsafe { ManuallyDrop::drop(inner) };
    } else {
        // SAFETY: as above; one of the two branches is run.
        release_slow(lock, mode, unsafe { ManuallyDrop::take(inner) });
    }
}

#[cold]
#[inline(never)]
fn release_slow<L: Wrapper + ?Sized, G>(lock: &L, mode: Mode, inner: G) {
    // Locals are dropped in reverse: also if the token's release panics, the lock is unlocked, and
    // is free for others by the time `Released` says so.
    let _released = points::Released;
    let _inner = inner;
    drop(token(lock, mode));
}
