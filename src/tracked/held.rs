//! The token of a lock that a thread holds.

use std::{
    mem::ManuallyDrop,
    ops::{Deref, DerefMut},
};

use super::{Acquiring, Tracked};
use crate::{
    finding::{LockKind, Mode, Until},
    points::{self, Passage},
    validator::{self, Context, Entry, Tag, ThreadState},
};

/// A lock that is held, until this is dropped.
#[must_use]
pub struct Held<'a> {
    pub(super) tracked: &'a Tracked,
    /// As in the thread's held set, or marked as poisoned when it was acquired.
    pub(super) tag: Tag,
}

impl<'a> Held<'a> {
    /// The lock is about to be given back for a wait on a condition variable, which then takes
    /// it again. If that is denied, it is held as before. What is left of this token is to be
    /// [kept](Self::keep).
    #[track_caller]
    pub fn about_to_wait(&self, kind: &'static LockKind) -> Acquiring<'a> {
        self.come_by(&[Passage::Release, |entry| Passage::Wait(entry, Until::Notified)]);
        let aside = self.aside();
        let mut acquiring = self.tracked.once_more(kind, self.tag.mode());
        if let Some(context) = acquiring.context() {
            let named_at = aside.entry.map_or(acquiring.site, |entry| entry.site);
            validator::about_to_wait(context, &acquiring.acquisition(named_at));
            acquiring.ordinary = acquiring.place_again();
        }
        aside.for_good();
        acquiring
    }

    /// The lock is given back for a moment, to whoever waits for it, and taken again; the rest
    /// as for a wait.
    #[track_caller]
    pub fn about_to_bump(&self, kind: &'static LockKind) -> Acquiring<'a> {
        self.come_by(&[Passage::Release]);
        let aside = self.aside();
        let acquiring = self.tracked.about_to_block(kind, self.tag.mode());
        aside.for_good();
        acquiring
    }

    /// Comes to points that are one step with what follows, and about this lock as it is held.
    fn come_by(&self, points: &[fn(Entry) -> Passage<'static>]) {
        if let Some(context) = validator::current_if_attached()
            && self.is_directed(context)
            && let Some(entry) = context.held.last_of(self.tag.in_set())
        {
            for passage in points {
                points::come_by(&passage(entry));
            }
        }
    }

    /// Whether the thread may have something to do at points of this lock.
    fn is_directed(&self, context: &Context) -> bool {
        let may_be = context.is(ThreadState::Directed) && !context.is_blind();
        may_be && !self.tracked.identity.is_allocators()
    }

    /// Takes the lock out of what the thread holds, for a while.
    fn aside(&self) -> Aside {
        let context = validator::current_if_attached();
        let entry = context.and_then(|context| context.held.remove(self.tag.in_set()));
        Aside { context, entry }
    }

    /// The lock is about to be given back by the function that calls this, at whose end what is
    /// given here is to be dropped.
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub fn release(self) -> points::Released {
        drop(self);
        points::Released
    }

    /// The lock stays held without its token, until [`Tracked::held`] makes one again.
    pub fn keep(self) {
        std::mem::forget(self);
    }

    /// The lock is from now on held in another mode.
    pub fn turned(self, mode: Mode) -> Self {
        let tag = Tag::new(self.tag.in_set().lock(), mode);
        if let Some(context) = validator::current_if_attached()
            && let Some(entry) = context.held.remove(self.tag.in_set())
        {
            context.held.push_anywhere(Entry { tag, ..entry });
        }
        // What is turned is std's writer into a reader, who poisons nothing, or a lock
        // that knows no poison: the mark may go.
        let turned = Self { tracked: self.tracked, tag };
        std::mem::forget(self);
        turned
    }
}

/// A lock that is taken out of what a thread holds, to be put back by a panic.
struct Aside {
    context: Option<&'static Context>,
    entry: Option<Entry>,
}

impl Aside {
    fn for_good(mut self) {
        self.entry = None;
    }
}

impl Drop for Aside {
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
        Some(context) => held.released_uncommonly(context),
        None => held.released_first(),
    }
}

impl Held<'_> {
    /// The thread has not taken any lock: either the guard was sent here, or the thread is
    /// ending, or nothing is checked.
    fn released_first(&self) {
        match validator::current() {
            Some(_) => validator::released_elsewhere(self.tag.in_set()),
            None => validator::released_at_last(self.tag.in_set()),
        }
    }

    fn released_uncommonly(&self, context: &Context) {
        let tag = self.tag.in_set();
        if self.is_directed(context)
            && let Some(entry) = context.held.last_of(tag)
        {
            points::releasing(entry);
        }
        let is_forgiven = context.forgives(tag);
        let was_held = context.held.remove(tag).is_some();
        if context.is_blind() {
            // A lock that is taken by a hook, or by the global allocator for our own code,
            // is not looked at.
            return;
        }
        if !was_held {
            // Its guard was sent here.
            validator::released_elsewhere(tag);
        }
        if context.is(ThreadState::Tracing) {
            context.drop_trace(tag);
        }
        context.end_denied();
        let poisons = tag.mode() == Mode::Exclusive && self.tag == tag;
        if poisons && is_forgiven && context.is(ThreadState::Denied) {
            self.tracked.identity.forgive();
        }
    }
}

/// A guard of the wrapped lock's with its token: at its end no longer held, then unlocked, then free for
/// all. One destructor, of values that are never referred to where nothing is out of the ordinary: so
/// that the guard may be in registers.
#[must_use]
pub(crate) struct Guarded<'a, G> {
    tracked: &'a Tracked,
    tag: Tag,
    inner: ManuallyDrop<G>,
}

impl<'a, G> Guarded<'a, G> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    pub(crate) fn new(held: Held<'a>, inner: G) -> Self {
        let Held { tracked, tag } = *ManuallyDrop::new(held);
        Self { tracked, tag, inner: ManuallyDrop::new(inner) }
    }

    #[allow(unsafe_code, reason = "it has a destructor, which is left out")]
    pub(crate) fn into_parts(self) -> (Held<'a>, G) {
        let mut this = ManuallyDrop::new(self);
        let held = Held { tracked: this.tracked, tag: this.tag };
        // SAFETY: what it is taken from is never looked at again, nor dropped.
        (held, unsafe { ManuallyDrop::take(&mut this.inner) })
    }
}

impl<G> Drop for Guarded<'_, G> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    #[allow(unsafe_code, reason = "it is dropped in one place of two")]
    fn drop(&mut self) {
        let Self { tracked, tag, .. } = *self;
        // SAFETY: this is the end of it.
        let inner = unsafe { ManuallyDrop::take(&mut self.inner) };
        if let Some(context) = validator::current_if_attached()
            && context.held.pop(tag)
        {
            drop(inner);
        } else {
            give_back_uncommonly(tracked, tag, inner);
        }
    }
}

#[cold]
#[inline(never)]
fn give_back_uncommonly<G>(tracked: &Tracked, tag: Tag, inner: G) {
    let _released = points::Released;
    let _inner = inner;
    drop(Held { tracked, tag });
}

impl<G> Deref for Guarded<'_, G> {
    type Target = G;

    #[cfg_attr(not(debug_assertions), inline(always))]
    fn deref(&self) -> &G {
        &self.inner
    }
}

impl<G> DerefMut for Guarded<'_, G> {
    #[cfg_attr(not(debug_assertions), inline(always))]
    fn deref_mut(&mut self) -> &mut G {
        &mut self.inner
    }
}
