//! What is kept of one thread: the locks it holds, the one it waits for, what it is in the middle of.
//!
//! Most of it is written by the thread itself and read by any, at any time.

use std::{
    mem,
    sync::atomic::{
        AtomicBool, AtomicU8, AtomicU64, AtomicUsize,
        Ordering::{Relaxed, SeqCst},
        compiler_fence,
    },
};

use once_cell::race::OnceRef;
use parking_lot::Mutex;

use super::{
    clock::Moment,
    creation_sites::IdStock,
    held::{Entry, HeldSet, Tag},
    interrupted,
    seen::Recent,
    waiting::Waiting,
};
use crate::finding::{Mode, ScopeId, Stack, ThreadInfo};

/// All that is kept of one thread.
pub(crate) struct Context {
    flags: AtomicU8,
    pub(crate) held: HeldSet,
    unseen: UnseenReaders,
    pub(super) recent: Recent,
    /// Stays with the context, for the next thread that has it.
    pub(super) ids: IdStock,
    pub(super) waiting: Waiting,
    /// Locks of this thread whose guards were sent away and released there. Taken out of
    /// `held` by the thread itself, before a chain with them is judged.
    released_elsewhere: Mutex<Vec<Tag>>,
    /// Whether there are any.
    has_released_elsewhere: AtomicBool,
    /// For the thread itself, what it would find in `thread`.
    number: AtomicU64,
    scope: AtomicU64,
    thread: Mutex<ThreadInfo>,
    traces: Mutex<Traces>,
    /// How many of the held locks were so when a panic of ours began: what was taken since, by a
    /// destructor, is none of its business.
    denied_with: AtomicUsize,
    /// The next in the list of all contexts.
    pub(super) next: OnceRef<'static, Context>,
}

/// With `LOCKDEP_BACKTRACE=full`: where each held lock was acquired, and where the next
/// one is about to be.
#[derive(Default)]
struct Traces {
    held: Vec<(Tag, Stack)>,
    next: Stack,
    /// Of locks that were released: freed only when the next one is prepared, since the
    /// lock that is being released may be the global allocator's.
    released: Vec<Stack>,
}

/// What a thread is in the middle of. Written and read by the thread itself.
#[derive(Clone, Copy)]
#[repr(u8)]
pub(crate) enum State {
    /// It runs our code and may hold the order graph's lock: locks of the
    /// program that are taken in here (by a global allocator) are not looked at.
    Inside = 1,
    /// It runs the program's code on our behalf (a hook), or draws a report.
    Reporting = 2,
    /// It is within [`lockdep::allow`](crate::allow).
    Allowing = 4,
    /// A panic of ours is unwinding it: what it releases is not to be poisoned.
    Denied = 8,
    /// `LOCKDEP_BACKTRACE=full`: every acquisition keeps its stack.
    Tracing = 16,
    /// It may have something to do at [points](crate::points).
    Directed = 32,
    /// It is about to close a cycle that was predicted, to show that it closes: nothing is said
    /// of it before it has.
    Confirming = 64,
}

/// The states in which acquisitions leave no trace.
const BLIND: u8 = State::Inside as u8 | State::Reporting as u8;

impl Context {
    pub(super) fn new() -> Self {
        Self {
            flags: AtomicU8::new(0),
            held: HeldSet::new(),
            unseen: UnseenReaders::default(),
            recent: Recent::new(),
            ids: IdStock::new(),
            waiting: Waiting::new(),
            released_elsewhere: Mutex::new(Vec::new()),
            has_released_elsewhere: AtomicBool::new(false),
            number: AtomicU64::new(0),
            scope: AtomicU64::new(0),
            thread: Mutex::new(ThreadInfo { number: 0, name: None, scope: None }),
            traces: Mutex::default(),
            denied_with: AtomicUsize::new(0),
            next: OnceRef::new(),
        }
    }

    pub(crate) fn info(&self) -> ThreadInfo {
        self.thread.lock().clone()
    }

    /// The number of the thread. By the thread itself.
    pub(super) fn number(&self) -> u64 {
        self.number.load(Relaxed)
    }

    /// The innermost scope that it is in. By the thread itself.
    pub(super) fn scope(&self) -> Option<ScopeId> {
        ScopeId::new(self.scope.load(Relaxed))
    }

    /// Puts the thread in a scope of [`testing`](crate::testing), or in none. The one it was
    /// in before. By the thread itself.
    pub(super) fn set_scope(&'static self, scope: Option<ScopeId>) -> Option<ScopeId> {
        let _inside = self.enter(State::Inside);
        self.scope.store(scope.map_or(0, ScopeId::get), Relaxed);
        mem::replace(&mut self.thread.lock().scope, scope)
    }

    /// The thread begins to take locks.
    pub(super) fn begin(&self, info: ThreadInfo) {
        self.number.store(info.number, Relaxed);
        self.scope.store(0, Relaxed);
        *self.thread.lock() = info;
    }

    /// The thread has ended, and held nothing: another may have this.
    pub(super) fn end(&self) {
        self.end_wait();
        self.released_elsewhere.lock().clear();
        self.recent.clear();
        self.flags.store(0, Relaxed);
        self.held.set_special(false);
        *self.traces.lock() = Traces::default();
    }

    /// The thread is not there, in a fork: it holds nothing and waits for nothing.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn abandon(&self) {
        self.end_wait();
        self.flags.store(0, Relaxed);
        self.held.clear();
    }

    /// Its locks.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn locks(&'static self) -> [&'static dyn crate::renewable::Renewable; 3] {
        [&self.released_elsewhere, &self.thread, &self.traces]
    }

    #[inline]
    pub(crate) fn is(&self, state: State) -> bool {
        self.flags.load(Relaxed) & state as u8 != 0
    }

    /// Whether acquisitions leave no trace.
    ///
    /// Those of a signal handler may come at any time. None of our locks is held by a thread that is not
    /// blind, so that a handler that is looked at may wait for them.
    pub(crate) fn is_blind(&self) -> bool {
        self.flags.load(Relaxed) & BLIND != 0 || self.held.is_changing()
    }

    /// A lock was taken while the thread is [blind](Self::is_blind).
    pub(crate) fn taken_unseen(&self, tag: Tag) {
        // What is held exclusively is not held in the set as well.
        if tag.mode() == Mode::Shared {
            self.unseen.push(tag);
        }
    }

    /// A lock is released while the thread is blind. Whether it was taken so.
    pub(crate) fn releases_unseen(&self, tag: Tag) -> bool {
        self.unseen.remove(tag) || self.held.is_changing()
    }

    /// Ends [`State::Denied`] in the calling thread if somebody caught the panic. Until the
    /// next acquisition or release, nobody can tell that panic from a new one.
    pub(crate) fn end_denied(&self) {
        if self.is(State::Denied) && !std::thread::panicking() {
            self.set(State::Denied, false);
        }
    }

    /// A panic of ours is about to begin.
    pub(super) fn begin_denied(&self) {
        self.denied_with.store(self.held.iter().count(), Relaxed);
        self.set(State::Denied, true);
    }

    /// One that was held is put back among them.
    pub(crate) fn denied_with_one_more(&self) {
        self.denied_with.fetch_add(1, Relaxed);
    }

    /// Whether the lock of this tag that is about to be released was held when a panic of ours
    /// began.
    pub(crate) fn forgives(&self, tag: Tag) -> bool {
        let held_then = self.denied_with.load(Relaxed);
        let last = self.held.iter().enumerate().filter(|(_, held)| held.tag == tag).last();
        let was_held_then = last.is_some_and(|(at, _)| at < held_then);
        if was_held_then {
            self.denied_with.store(held_then - 1, Relaxed);
        }
        was_held_then
    }

    pub(crate) fn set(&self, state: State, on: bool) {
        // For signal handlers: what is done in a state is done neither before nor after it.
        compiler_fence(SeqCst);
        let others = self.flags.load(Relaxed) & !(state as u8);
        let flags = others | if on { state as u8 } else { 0 };
        interrupted::here();
        self.flags.store(flags, Relaxed);
        compiler_fence(SeqCst);
        interrupted::here();
        self.held.set_special(flags != 0);
        compiler_fence(SeqCst);
        if flags & BLIND == 0 {
            // Whoever leaves a lock held that was taken so is not looked at either.
            self.unseen.count.store(0, Relaxed);
        }
    }

    /// Puts the thread in a state until the guard is dropped.
    pub(crate) fn enter(&'static self, state: State) -> Entered {
        let before = self.is(state);
        self.set(state, true);
        Entered { context: self, state, before }
    }

    /// A lock that it holds was released by another thread: that one says so.
    pub(super) fn note_released_elsewhere(&self, tag: Tag) {
        self.released_elsewhere.lock().push(tag);
        self.has_released_elsewhere.store(true, Relaxed);
    }

    /// Takes out what was released elsewhere. By the thread itself.
    #[inline]
    pub(super) fn settle_released_elsewhere(&'static self) -> bool {
        self.has_released_elsewhere.load(Relaxed) && self.take_out_released_elsewhere()
    }

    #[cold]
    fn take_out_released_elsewhere(&'static self) -> bool {
        let _inside = self.enter(State::Inside);
        self.has_released_elsewhere.store(false, Relaxed);
        let released = mem::take(&mut *self.released_elsewhere.lock());
        for &tag in &released {
            self.held.remove(tag);
        }
        !released.is_empty()
    }

    /// What it holds and since when, but for what was released elsewhere. By any thread.
    pub(super) fn holds(&self) -> Vec<(Entry, Moment)> {
        let mut released = self.released_elsewhere.lock().clone();
        let is_held = |(entry, _): &(Entry, Moment)| {
            let at = released.iter().position(|&tag| tag == entry.tag);
            at.map(|at| released.swap_remove(at)).is_none()
        };
        self.held.iter_with_age().filter(is_held).collect()
    }

    /// The first lock that it holds of some description, unless that was released elsewhere; among so
    /// many that it took first. By any thread.
    pub(super) fn first_held(
        &self,
        among: usize,
        is_it: impl Fn(&Entry) -> bool,
    ) -> Option<Entry> {
        let held = self.held.iter().take(among).find(is_it)?;
        let mut holds = self.holds().into_iter().map(|(held, _)| held);
        holds.find(|it| it.tag == held.tag)
    }

    /// The thread no longer waits, if it did. By the thread itself.
    pub(crate) fn end_wait(&self) {
        self.waiting.end();
    }

    /// Keeps the stack of an acquisition that is about to be made, with room for it among
    /// those of the held locks.
    pub(super) fn prepare_trace(&self, stack: Stack) {
        let mut traces = self.traces.lock();
        traces.released.clear();
        traces.held.reserve(1);
        let held = traces.held.len();
        traces.released.reserve(held + 1);
        traces.next = stack;
    }

    /// The acquisition has been made. Allocates nothing.
    pub(crate) fn keep_trace(&self, tag: Tag) {
        let mut traces = self.traces.lock();
        let stack = mem::take(&mut traces.next);
        traces.held.push((tag, stack));
    }

    /// A lock is about to be released. Frees nothing.
    pub(crate) fn drop_trace(&self, tag: Tag) {
        let Traces { held, released, .. } = &mut *self.traces.lock();
        if let Some(last) = held.iter().rposition(|(of, _)| *of == tag) {
            released.push(held.remove(last).1);
        }
    }

    /// Where a held lock was acquired; empty unless that is recorded.
    pub(super) fn trace_of(&self, tag: Tag) -> Stack {
        if !self.is(State::Tracing) {
            return Stack::default();
        }
        let held = &self.traces.lock().held;
        held.iter().rfind(|(of, _)| *of == tag).map_or_else(Stack::default, |(_, s)| s.clone())
    }
}

/// Readers of locks that were taken while the thread was blind, and not released yet: the same may stand
/// in the held set, from before. By the thread itself, and its signal handlers, which leave it as it was.
#[derive(Default)]
struct UnseenReaders {
    count: AtomicUsize,
    tags: [AtomicU64; 8],
}

impl UnseenReaders {
    fn push(&self, tag: Tag) {
        let count = self.count.load(Relaxed);
        if let Some(place) = self.tags.get(count) {
            // In this sequence: what a handler adds comes above it.
            self.count.store(count + 1, Relaxed);
            compiler_fence(SeqCst);
            interrupted::here();
            place.store(tag.to_bits(), Relaxed);
        }
    }

    /// Takes out the last of a tag. Whether there was one.
    fn remove(&self, tag: Tag) -> bool {
        let count = self.count.load(Relaxed);
        let tags = &self.tags[..count];
        let is_it = |place: &AtomicU64| place.load(Relaxed) == tag.to_bits();
        let Some(at) = tags.iter().rposition(is_it) else { return false };
        for (to, from) in tags[at..].iter().zip(&tags[at + 1..]) {
            to.store(from.load(Relaxed), Relaxed);
            interrupted::here();
        }
        compiler_fence(SeqCst);
        self.count.store(count - 1, Relaxed);
        true
    }
}

/// Ends a [`State`] that was [entered](Context::enter).
pub(crate) struct Entered {
    context: &'static Context,
    state: State,
    before: bool,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.context.set(self.state, self.before);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::finding::Mode;

    #[test]
    fn a_context_whose_thread_has_ended_is_in_no_state() {
        let states = [State::Allowing, State::Denied, State::Confirming];
        let context = Context::new();
        for state in states {
            context.set(state, true);
        }
        assert!(states.iter().all(|&state| context.is(state)));
        context.end();
        assert!(!states.iter().any(|&state| context.is(state)));
    }

    /// Neither the acquisition nor the release allocates: the lock may be the global allocator's.
    #[test]
    fn there_is_room_for_a_trace_from_its_acquisition_to_its_release() {
        let context = Context::new();
        for lock in 1..100 {
            let tag = Tag::new(lock, Mode::Exclusive);
            context.prepare_trace(Stack::default());
            let room = |traces: &Traces| (traces.held.capacity(), traces.released.capacity());
            let before = room(&context.traces.lock());
            context.keep_trace(tag);
            assert_eq!(room(&context.traces.lock()), before);
            if lock % 5 == 0 {
                for gone in (lock - 4..=lock).map(|lock| Tag::new(lock, Mode::Exclusive)) {
                    context.drop_trace(gone);
                    assert!(context.traces.lock().held.iter().all(|(tag, _)| *tag != gone));
                }
            }
            let traces = context.traces.lock();
            assert_eq!(traces.held.len() as u64, lock % 5);
            assert_eq!(room(&traces), before);
        }
    }
}
