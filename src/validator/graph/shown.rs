//! What a report shows of each observation of an edge.

use std::{
    borrow::Borrow,
    hash::{Hash, Hasher},
    panic::Location,
    ptr,
    sync::Arc,
};

use super::{facts::OnceEdges, interner::Interned};
use crate::{
    finding::{ScopeId, ThreadInfo},
    stack::Stack,
    validator::context::{
        Context,
        held::Entry,
        lineage::{Segment, SegmentIndex},
    },
};

/// The locations and the thread of an edge. All edges that a thread makes at the same two
/// locations, reached the same way, share one of these, however many locks it takes there.
#[derive(Debug)]
pub(super) struct Shown {
    key: Key,
    pub(super) once_edges: OnceEdges,
    pub(super) held_at: &'static Location<'static>,
    pub(super) held_backtrace: Stack,
    pub(super) acquired_at: &'static Location<'static>,
    pub(super) backtrace: Stack,
    pub(super) thread: ThreadInfo,
    segment: Segment,
}

/// The identity of a [`Shown`].
#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    /// The addresses of the two locations and of the two interned stacks.
    addresses: [usize; 4],
    thread: u64,
    /// The segment of the thread's life.
    segment: SegmentIndex,
    /// The address of the thread's job, or 0.
    job: usize,
    scope: Option<ScopeId>,
}

impl Shown {
    /// Returns `true` if it has this thread and these locations, with any stack.
    pub(super) fn is(
        &self,
        (thread, segment): (u64, SegmentIndex),
        scope: Option<ScopeId>,
        [held_at, acquired_at]: [&'static Location<'static>; 2],
    ) -> bool {
        self.key.thread == thread
            && self.key.segment == segment
            && self.key.job == 0
            && self.key.scope == scope
            && ptr::eq(self.held_at, held_at)
            && ptr::eq(self.acquired_at, acquired_at)
    }

    /// Returns the segment of the thread's life.
    pub(super) fn segment(&self) -> &Segment {
        &self.segment
    }
}

impl PartialEq for Shown {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl Eq for Shown {}

impl Hash for Shown {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key.hash(state);
    }
}

impl Borrow<Key> for Arc<Shown> {
    fn borrow(&self) -> &Key {
        &self.key
    }
}

/// The interned [`Shown`] values of all edges.
#[derive(Default)]
pub(super) struct AllShown {
    stacks: Interned<[usize]>,
    shown: Interned<Shown>,
}

impl AllShown {
    /// Returns the interned stack with these frames.
    pub(super) fn stack(&mut self, frames: &[usize]) -> Stack {
        self.stack_and_news(frames).0
    }

    /// Returns the interned stack with these frames, and `true` if no edge has it yet.
    pub(super) fn stack_and_news(&mut self, frames: &[usize]) -> (Stack, bool) {
        if frames.is_empty() {
            return (Stack::default(), false);
        }
        let known = self.stacks.get(frames);
        let is_new = known.is_none();
        (Stack::new(known.unwrap_or_else(|| self.stacks.insert(frames))), is_new)
    }

    /// Returns the value for an edge that a thread is making now, in this segment.
    pub(super) fn now(
        &mut self,
        context: &Context,
        segment: &Segment,
        [held, wanted]: [&Entry; 2],
        backtrace: &Stack,
    ) -> Arc<Shown> {
        let held_backtrace = self.stack(context.trace_of(held.tag).frames());
        let who = (segment, context.scope());
        self.of(|| context.info(), who, [held, wanted], held_backtrace, backtrace)
    }

    /// Returns the value for an edge that a thread made earlier, in the same segment.
    pub(super) fn noted(
        &mut self,
        context: &Context,
        who: (&Segment, Option<ScopeId>),
        [held, wanted]: [&Entry; 2],
        backtrace: &Stack,
    ) -> Arc<Shown> {
        self.of(|| context.info(), who, [held, wanted], Stack::default(), backtrace)
    }

    /// Returns the value for an edge that a thread made earlier, without a stack.
    pub(super) fn without_stack(
        &mut self,
        (thread, segment): (&ThreadInfo, &Segment),
        entries: [&Entry; 2],
    ) -> Arc<Shown> {
        let none = Stack::default();
        self.of(|| thread.clone(), (segment, thread.scope), entries, none.clone(), &none)
    }

    fn of(
        &mut self,
        info: impl FnOnce() -> ThreadInfo,
        (segment, scope): (&Segment, Option<ScopeId>),
        [held, wanted]: [&Entry; 2],
        held_backtrace: Stack,
        backtrace: &Stack,
    ) -> Arc<Shown> {
        let place = |of: &'static Location<'static>| ptr::from_ref(of).addr();
        let stack = |of: &Stack| of.frames().as_ptr().addr();
        let key = Key {
            addresses: [
                place(held.site),
                place(wanted.site),
                stack(&held_backtrace),
                stack(backtrace),
            ],
            thread: segment.thread,
            segment: segment.index,
            job: segment.job.as_ref().map_or(0, |job| Arc::as_ptr(job).addr()),
            scope,
        };
        if let Some(known) = self.shown.get(&key) {
            return known;
        }
        self.shown.insert(Shown {
            key,
            once_edges: OnceEdges::default(),
            held_at: held.site,
            held_backtrace,
            acquired_at: wanted.site,
            backtrace: backtrace.clone(),
            thread: ThreadInfo { scope, ..info() },
            segment: segment.clone(),
        })
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::{
        finding::Mode,
        validator::context::{held::Tag, registry},
    };

    #[track_caller]
    fn entry(lock: u64) -> Entry {
        let tag = Tag::new(lock, Mode::Exclusive);
        Entry { tag, site: Location::caller() }
    }

    #[test]
    fn the_same_acquisitions_of_other_locks_are_shared() {
        let context = registry::take_up();
        let mut all = AllShown::default();
        let [first, again] = [1, 3].map(|lock| [entry(lock), entry(lock + 1)]);
        let elsewhere = entry(2);
        let stack = all.stack(&[1, 2, 3]);
        let mut now = |[held, wanted]: &[Entry; 2], stack: &Stack| {
            all.now(context, &context.segment(), [held, wanted], stack)
        };
        let shown = now(&first, &stack);
        assert!(Arc::ptr_eq(&shown, &now(&again, &stack)));
        assert!(!Arc::ptr_eq(&shown, &now(&[first[0], elsewhere], &stack)));
        assert!(!Arc::ptr_eq(&shown, &now(&first, &Stack::default())));
        context.set_scope(ScopeId::new(1));
        let in_scope = all.now(context, &context.segment(), [&first[0], &first[1]], &stack);
        assert!(!Arc::ptr_eq(&shown, &in_scope));
        context.set_scope(None);
        registry::give_back(context);
    }
}
