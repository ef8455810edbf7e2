//! A thread's current wait.
//!
//! A thread publishes its wait just before it blocks; others read it when they search for a cycle
//! of waiting threads. Two properties make that search exact:
//!
//! - **No cycle is missed.** A thread publishes its wait before it searches, with a sequentially
//!   consistent fence in between. Of threads that close a cycle at the same time, the last to pass
//!   its fence sees the waits of all others, and what these threads hold, which was published
//!   earlier.
//! - **No stale wait is used.** Each wait has its own epoch. A waiting thread acquires and releases
//!   nothing, so whatever was read between two reads of the same epoch was true throughout.
//!
//! Signal handlers of a waiting thread may take and release locks, and wait for them. A handler's
//! locks stand above those that the wait counts ([`Wait::holds`]). Its own wait replaces the
//! thread's, which [`begin_wait`](crate::validator::begin_wait) publishes again afterwards.

use super::held::{Entry, Slot};
use crate::{
    finding::Until,
    stack::{MAX_FRAMES, RawStack, Stack},
    validator::{
        atomic::{
            AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
            fence,
        },
        clock::Moment,
        interrupted,
    },
};

/// One thread's wait, or none.
pub(in crate::validator) struct Waiting {
    /// Twice the number of the wait, plus [`ACTIVE`] while it lasts.
    epoch: AtomicU64,
    wanted: Slot,
    until: AtomicUsize,
    since: AtomicU64,
    /// The number of locks held when it began, without those that a signal handler takes meanwhile.
    holds: AtomicUsize,
    /// Plain words, not a [`Stack`], because nothing may be allocated or freed here: the thread may
    /// hold the global allocator's lock.
    frames: [AtomicUsize; MAX_FRAMES],
    depth: AtomicUsize,
}

const ACTIVE: u64 = 1;

/// A thread's wait, as another thread read it.
#[derive(Clone, Copy)]
pub(in crate::validator) struct Wait {
    pub(in crate::validator) epoch: u64,
    pub(in crate::validator) wanted: Entry,
    pub(in crate::validator) until: Until,
    pub(in crate::validator) since: Moment,
    /// The number of locks that the thread held when it began to wait.
    pub(in crate::validator) holds: usize,
}

impl Waiting {
    pub(in crate::validator) fn new() -> Self {
        Self {
            epoch: AtomicU64::new(0),
            wanted: Slot::new(),
            until: AtomicUsize::new(0),
            since: AtomicU64::new(0),
            holds: AtomicUsize::new(0),
            frames: std::array::from_fn(|_| AtomicUsize::new(0)),
            depth: AtomicUsize::new(0),
        }
    }

    /// Publishes a wait of the owner, which may search for cycles afterwards.
    pub(in crate::validator) fn begin(
        &self,
        wanted: &Entry,
        until: Until,
        since: Moment,
        holds: usize,
        stack: &RawStack,
    ) {
        loop {
            let before = self.epoch.fetch_and(!ACTIVE, Relaxed) & !ACTIVE;
            // A reader that sees any store below also sees that the last wait has ended.
            fence(Release);
            interrupted::here();
            self.wanted.fill(wanted);
            self.until.store(until.number(), Relaxed);
            self.since.store(since.0, Relaxed);
            self.holds.store(holds, Relaxed);
            for (slot, &frame) in self.frames.iter().zip(stack.frames()) {
                slot.store(frame, Relaxed);
            }
            self.depth.store(stack.frames().len(), Relaxed);
            interrupted::here();
            let next = before + 2 + ACTIVE;
            if self.epoch.compare_exchange(before, next, Release, Relaxed).is_ok() {
                break;
            }
            // A signal handler has waited meanwhile and overwritten this wait.
        }
        fence(SeqCst);
    }

    /// Ends the wait, if there is one.
    pub(in crate::validator) fn end(&self) {
        self.epoch.fetch_and(!ACTIVE, Release);
    }

    /// Returns `true` if the thread waits. One load.
    #[inline]
    pub(in crate::validator) fn is_on(&self) -> bool {
        self.epoch.load(Relaxed) & ACTIVE != 0
    }

    /// Returns a number that changes whenever a wait begins or ends.
    pub(in crate::validator) fn epoch(&self) -> u64 {
        fence(Acquire);
        self.epoch.load(Acquire)
    }

    /// Reads the wait. `None` if there is none, or if it is just beginning or ending.
    pub(in crate::validator) fn read(&self) -> Option<Wait> {
        let epoch = self.epoch.load(Acquire);
        if epoch & ACTIVE == 0 {
            return None;
        }
        let wait = Wait {
            epoch,
            wanted: self.wanted.read()?,
            until: Until::from_number(self.until.load(Relaxed)),
            since: Moment(self.since.load(Relaxed)),
            holds: self.holds.load(Relaxed),
        };
        self.is_still(epoch).then_some(wait)
    }

    /// Returns `true` if the wait with this epoch still lasts, so that everything read meanwhile
    /// was true.
    pub(in crate::validator) fn is_still(&self, epoch: u64) -> bool {
        fence(Acquire);
        self.epoch.load(Relaxed) == epoch
    }

    /// Returns the stack of the wait with this epoch; empty if it was not captured or the wait has
    /// ended.
    pub(in crate::validator) fn stack(&self, epoch: u64) -> Stack {
        let depth = self.depth.load(Relaxed).min(MAX_FRAMES);
        let frames = self.frames[..depth].iter().map(|frame| frame.load(Relaxed)).collect();
        if self.is_still(epoch) { Stack::new(frames) } else { Stack::default() }
    }
}

#[cfg(all(test, loom))]
mod loom_models {
    use std::{panic::Location, sync::Arc};

    use loom::thread;

    use super::*;
    use crate::{
        finding::Mode,
        validator::context::held::{HeldSet, Tag},
    };

    /// A thread, reduced to what it holds and waits for.
    struct Context {
        held: HeldSet,
        waiting: Waiting,
    }

    fn contexts() -> Arc<[Context; 2]> {
        Arc::new([(); 2].map(|()| Context { held: HeldSet::new(), waiting: Waiting::new() }))
    }

    fn entry(lock: u64) -> Entry {
        let tag = Tag::new(lock, Mode::Exclusive);
        Entry { tag, site: Location::caller() }
    }

    fn take(context: &Context, lock: u64) {
        context.held.push(context.held.place_for(entry(lock).tag).unwrap(), entry(lock));
    }

    fn wait(context: &Context, lock: u64) {
        let until = Until::Acquired;
        context.waiting.begin(&entry(lock), until, Moment::UNKNOWN, usize::MAX, &RawStack::EMPTY);
    }

    /// Returns `true` if a thread that holds one lock and waits for another finds the cycle.
    fn sees_cycle(other: &Context, held: u64, wanted: u64) -> bool {
        other.waiting.read().is_some_and(|wait| {
            let holds = other.held.iter().any(|it| it.tag == entry(wanted).tag);
            wait.wanted.tag == entry(held).tag && holds && other.waiting.is_still(wait.epoch)
        })
    }

    /// Two threads close a cycle at the same time: at least one of them finds it.
    #[test]
    fn loom_a_cycle_is_not_missed() {
        loom::model(|| {
            let contexts = contexts();
            let run = |own: usize, held, wanted| {
                let contexts = Arc::clone(&contexts);
                move || {
                    take(&contexts[own], held);
                    wait(&contexts[own], wanted);
                    sees_cycle(&contexts[1 - own], held, wanted)
                }
            };
            let second = thread::spawn(run(1, 2, 1));
            let first = run(0, 1, 2)();
            assert!(second.join().unwrap() || first);
        });
    }

    /// A thread waits for a lock while it holds nothing, gives up, and takes another one. Two reads
    /// at different times must not make a cycle of that.
    #[test]
    fn loom_reads_at_different_times_make_no_cycle() {
        loom::model(|| {
            let contexts = contexts();
            let other = thread::spawn({
                let contexts = Arc::clone(&contexts);
                move || {
                    let own = &contexts[1];
                    wait(own, 1);
                    own.waiting.end();
                    take(own, 2);
                }
            });
            take(&contexts[0], 1);
            wait(&contexts[0], 2);
            assert!(!sees_cycle(&contexts[1], 1, 2));
            other.join().unwrap();
        });
    }
}
