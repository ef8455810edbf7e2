//! The stacks of held locks: where each was acquired, and by which way.
//!
//! An edge's stack is captured when the edge is new, but it is the stack of the second lock. By
//! then the first one is held, and the calls that led to it have returned. So its stack must be
//! captured before it is known whether it will be needed. That is too expensive to do each time, and
//! unnecessary: a thread finds most of its edges soon after it starts, or soon after it found
//! another one. A thread therefore captures the stacks of its next [`SPELL`] acquisitions when it
//! starts, and whenever it makes an edge by a way that is new. A thread that keeps to known
//! ways captures none.
//!
//! `LOCKDEP_BACKTRACE=full` captures all of them, `=0` none.

use std::{
    mem,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

use parking_lot::Mutex;

use super::{Context, State, held::Tag};
use crate::{
    ledger::{self, Backtraces},
    stack::{RawStack, Stack},
};

/// The number of acquisitions whose stacks a thread captures after it has started or found a new
/// way.
const SPELL: u32 = 512;
/// The number of threads that find nothing new before new threads no longer start with a spell.
const QUIET_THREADS: u32 = 64;
/// A spell that does not end.
const FOR_EVER: u32 = u32::MAX;

/// The number of threads started since a new way was found.
static THREADS_SINCE: AtomicU32 = AtomicU32::new(0);

/// The stacks of one thread's held locks.
#[derive(Default)]
pub(super) struct Tracing {
    /// The rest of the spell. Only the thread itself changes it.
    left: AtomicU32,
    traces: Mutex<Traces>,
}

/// The acquisition stacks of held locks, and of the next one.
#[derive(Default)]
struct Traces {
    held: Vec<(Tag, RawStack)>,
    /// The next one, from before the acquisition until it has succeeded, with the number of the
    /// thread or task: another task may be polled meanwhile.
    next: Option<(u64, Tag, RawStack)>,
}

impl Context {
    /// Begins a spell, for a thread that starts. For the thread itself.
    pub(in crate::validator) fn begin_tracing(&self) {
        let left = match ledger::settings().backtraces {
            Backtraces::Full => FOR_EVER,
            Backtraces::NewEdges if THREADS_SINCE.load(Relaxed) < QUIET_THREADS => {
                THREADS_SINCE.fetch_add(1, Relaxed);
                SPELL
            }
            Backtraces::NewEdges | Backtraces::Off => 0,
        };
        self.trace_for(left);
    }

    /// Begins another spell, because the thread made an edge by a way that was unknown. For the
    /// thread itself.
    pub(in crate::validator) fn trace_again(&self) {
        if ledger::settings().backtraces == Backtraces::NewEdges {
            THREADS_SINCE.store(0, Relaxed);
            self.trace_for(SPELL);
        }
    }

    fn trace_for(&self, left: u32) {
        self.tracing.left.store(left, Relaxed);
        self.set(State::Tracing, left > 0);
    }

    /// Returns `true` if the stack of the next acquisition is captured. Ends the spell if it is
    /// over. For the thread itself, about to acquire a lock, outside of signal handlers.
    pub(in crate::validator) fn traces_next(&self) -> bool {
        let left = self.tracing.left.load(Relaxed);
        if left == FOR_EVER {
            return true;
        }
        if left == 0 {
            self.set(State::Tracing, false);
            self.tracing.forget();
            return false;
        }
        self.tracing.left.store(left - 1, Relaxed);
        true
    }

    /// Returns `true` if the stacks of all acquisitions are captured. For the thread itself.
    pub(in crate::validator) fn always_traces(&self) -> bool {
        self.tracing.left.load(Relaxed) == FOR_EVER
    }

    /// Stores the stack of the next acquisition, of a lock that will be held as `tag`. Reserves room
    /// for it among those of held locks, unless there is no memory.
    pub(in crate::validator) fn prepare_trace(&self, tag: Tag, stack: &RawStack) {
        let mut traces = self.tracing.traces.lock();
        let has_room = traces.held.try_reserve(1).is_ok();
        traces.next = has_room.then_some((self.number(), tag, *stack));
    }

    /// Called when the acquisition has succeeded. Allocates nothing, because the lock may be the
    /// global allocator's. Does nothing if it was not prepared, as when a condition variable returns
    /// a guard.
    pub(crate) fn keep_trace(&self, tag: Tag) {
        let Traces { held, next } = &mut *self.tracing.traces.lock();
        let own = next.take_if(|(by, of, _)| (*by, *of) == (self.number(), tag));
        held.extend(own.map(|(_, tag, stack)| (tag, stack)));
    }

    /// Called when a held lock is now held in another mode. For the thread itself.
    pub(crate) fn retag_trace(&self, from: Tag, to: Tag) {
        let held = &mut self.tracing.traces.lock().held;
        if let Some((tag, _)) = held.iter_mut().rfind(|(of, _)| *of == from) {
            *tag = to;
        }
    }

    /// Called when a lock is about to be released.
    #[inline]
    pub(crate) fn drop_trace(&'static self, tag: Tag) {
        if self.is(State::Tracing) {
            let _inside = self.enter(State::InValidator);
            self.remove_trace(tag);
        }
    }

    /// Frees nothing.
    fn remove_trace(&self, tag: Tag) {
        let held = &mut self.tracing.traces.lock().held;
        if let Some(last) = held.iter().rposition(|(of, _)| *of == tag) {
            held.remove(last);
        }
    }

    /// Removes and returns the acquisition stack of a held lock. For the thread itself.
    pub(in crate::validator) fn take_trace(&self, tag: Tag) -> Stack {
        let stack = self.trace_of(tag);
        if !stack.is_empty() {
            self.remove_trace(tag);
        }
        stack
    }

    /// Puts a stack back. For the thread itself.
    pub(in crate::validator) fn put_trace(&self, tag: Tag, stack: &Stack) {
        if self.is(State::Tracing) && !stack.is_empty() {
            self.prepare_trace(tag, &RawStack::from(stack));
            self.keep_trace(tag);
        }
    }

    /// Returns the acquisition stack of a held lock; empty if it was not captured.
    pub(in crate::validator) fn trace_of(&self, tag: Tag) -> Stack {
        if !self.is(State::Tracing) {
            return Stack::default();
        }
        // Allocates after the lock was released, because the allocator's lock may be one of these.
        let stack = {
            let held = &self.tracing.traces.lock().held;
            held.iter().rfind(|(of, _)| *of == tag).map(|(_, stack)| *stack)
        };
        stack.as_ref().map_or_else(Stack::default, Stack::from)
    }
}

impl Tracing {
    /// Returns the lock around the stacks, for a fork.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn lock(&self) -> &dyn crate::fork_lock::ForkLock {
        &self.traces
    }

    /// Called when the thread has ended.
    pub(super) fn end(&self) {
        self.left.store(0, Relaxed);
        self.forget();
    }

    /// Called in a fork, in which the thread does not exist. Frees nothing, because it may have held
    /// the allocator's lock.
    #[cfg(all(unix, not(loom)))]
    pub(super) fn abandon(&self) {
        self.left.store(0, Relaxed);
        let Traces { held, next } = &mut *self.traces.lock();
        held.clear();
        *next = None;
    }

    /// Forgets all stacks.
    fn forget(&self) {
        // Frees after the lock was released, because the allocator's lock may be one of these.
        let traces = mem::take(&mut *self.traces.lock());
        drop(traces);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::finding::Mode;

    fn stack(frame: usize) -> RawStack {
        let mut stack = RawStack::EMPTY;
        stack.push(frame);
        stack
    }

    /// Neither the acquisition nor the release allocates, because the lock may be the global
    /// allocator's.
    #[test]
    fn there_is_room_for_a_trace_from_its_acquisition_to_its_release() {
        let context = Context::new();
        context.set(State::Tracing, true);
        for lock in 1..100 {
            let tag = Tag::new(lock, Mode::Exclusive);
            context.prepare_trace(tag, &stack(1));
            let room = || context.tracing.traces.lock().held.capacity();
            let before = room();
            context.keep_trace(tag);
            if lock % 5 == 0 {
                for gone in (lock - 4..=lock).map(|lock| Tag::new(lock, Mode::Exclusive)) {
                    context.remove_trace(gone);
                    assert!(context.trace_of(gone).is_empty());
                }
            }
            assert_eq!(context.tracing.traces.lock().held.len() as u64, lock % 5);
            assert_eq!(room(), before);
        }
    }

    /// An attempt that failed leaves its stack behind, which must not become another lock's.
    #[test]
    fn a_stack_belongs_to_the_lock_that_it_was_captured_for() {
        let [tried, taken] = [1, 2].map(|lock| Tag::new(lock, Mode::Exclusive));
        let context = Context::new();
        context.set(State::Tracing, true);
        context.prepare_trace(tried, &stack(1));
        context.keep_trace(taken);
        assert!(context.trace_of(taken).is_empty());
        context.keep_trace(tried);
        assert_eq!(context.trace_of(tried).frames(), [1]);
        let stack = context.take_trace(tried);
        assert!(context.trace_of(tried).is_empty());
        context.put_trace(tried, &stack);
        assert_eq!(context.trace_of(tried).frames(), [1]);
    }

    #[test]
    fn a_stack_follows_its_lock_into_another_mode() {
        let [writes, reads] = [Mode::Exclusive, Mode::Shared].map(|mode| Tag::new(1, mode));
        let context = Context::new();
        context.set(State::Tracing, true);
        context.prepare_trace(writes, &stack(1));
        context.keep_trace(writes);
        context.retag_trace(writes, reads);
        assert_eq!(context.trace_of(reads).frames(), [1]);
        context.remove_trace(reads);
        assert!(context.trace_of(reads).is_empty());
    }

    /// A pooled context polls tasks in turn.
    #[test]
    fn a_stack_belongs_to_the_task_that_captured_it() {
        let tag = Tag::new(1, Mode::Exclusive);
        let context = Context::new();
        context.set(State::Tracing, true);
        let task = |number| context.begin_task(number, std::panic::Location::caller(), None);
        task(7);
        context.prepare_trace(tag, &stack(1));
        task(8);
        context.keep_trace(tag);
        assert!(context.trace_of(tag).is_empty());
    }

    #[test]
    fn a_spell_ends() {
        let context = Context::new();
        context.trace_for(2);
        assert!(context.traces_next() && context.traces_next());
        assert!(!context.traces_next() && !context.is(State::Tracing));
        context.trace_for(FOR_EVER);
        assert!((0..1_000).all(|_| context.traces_next()));
    }
}
