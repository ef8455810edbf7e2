//! What one thread waits for right now.
//!
//! Published by a thread whose lock is contended, just before it blocks, and read by others
//! that look for a circle of waiting threads. Two properties make that search exact:
//!
//! - **Nobody is missed.** Whoever begins to wait looks for a circle afterwards, with a
//!   sequentially consistent fence between the two. Of threads that close a circle all at
//!   once, the last to pass its fence sees all others; and with a wait it sees what that
//!   thread holds, which was published before.
//! - **Nobody is seen who has gone on.** Each wait has an epoch of its own. A thread that waits
//!   acquires and releases nothing, so that whatever was read of it was true all the time
//!   between two looks at the same epoch.

use super::{
    atomic::{
        AtomicU64, AtomicUsize,
        Ordering::{Acquire, Relaxed, Release, SeqCst},
        fence,
    },
    clock::Moment,
    held::{Entry, Slot},
    interrupted,
};
use crate::finding::{MAX_FRAMES, RawStack, Stack, Until};

/// One thread's wait, or none.
pub(super) struct Waiting {
    /// The number of the wait, twice; and one, [`ON`], while it lasts.
    epoch: AtomicU64,
    wanted: Slot,
    until: AtomicUsize,
    since: AtomicU64,
    /// How many locks were held when it began. What a signal handler takes and releases while the thread
    /// waits is not among them.
    holds: AtomicUsize,
    /// Plain words, not a [`Stack`]: nothing is allocated or freed here, since the thread may
    /// hold the global allocator's lock.
    frames: [AtomicUsize; MAX_FRAMES],
    depth: AtomicUsize,
}

const ON: u64 = 1;

/// What was seen of a thread that waits.
#[derive(Clone, Copy)]
pub(super) struct Wait {
    pub(super) epoch: u64,
    pub(super) wanted: Entry,
    pub(super) until: Until,
    pub(super) since: Moment,
    pub(super) holds: usize,
}

impl Waiting {
    pub(super) fn new() -> Self {
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

    /// The owner begins to wait. It may look for circles next.
    pub(super) fn begin(
        &self,
        wanted: &Entry,
        until: Until,
        since: Moment,
        holds: usize,
        stack: &RawStack,
    ) {
        loop {
            let before = self.epoch.fetch_and(!ON, Relaxed) & !ON;
            // Whoever sees a part of what follows sees that the last wait is over.
            fence(Release);
            interrupted::here();
            self.wanted.fill(wanted);
            self.until.store(until as usize, Relaxed);
            self.since.store(since.0, Relaxed);
            self.holds.store(holds, Relaxed);
            for (slot, &frame) in self.frames.iter().zip(stack.frames()) {
                slot.store(frame, Relaxed);
            }
            self.depth.store(stack.frames().len(), Relaxed);
            interrupted::here();
            let next = before + 2 + ON;
            if self.epoch.compare_exchange(before, next, Release, Relaxed).is_ok() {
                break;
            }
            // A signal handler has waited meanwhile, and written here.
        }
        fence(SeqCst);
    }

    /// The owner no longer waits, if it did.
    pub(super) fn end(&self) {
        self.epoch.fetch_and(!ON, Release);
    }

    /// Whether the thread waits. One load.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.epoch.load(Relaxed) & ON != 0
    }

    /// What the thread waits for. `None` if it does not, or is just about to.
    pub(super) fn read(&self) -> Option<Wait> {
        let epoch = self.epoch.load(Acquire);
        if epoch & ON == 0 {
            return None;
        }
        let wait = Wait {
            epoch,
            wanted: self.wanted.read()?,
            until: Until::ALL[self.until.load(Relaxed) % Until::ALL.len()],
            since: Moment(self.since.load(Relaxed)),
            holds: self.holds.load(Relaxed),
        };
        self.is_still(epoch).then_some(wait)
    }

    /// Whether the thread has waited ever since it was seen in this epoch, so that what was read
    /// of it meanwhile was true all along.
    pub(super) fn is_still(&self, epoch: u64) -> bool {
        fence(Acquire);
        self.epoch.load(Relaxed) == epoch
    }

    /// The stack of the thread in this epoch; empty if it was not captured, or has gone on.
    pub(super) fn stack(&self, epoch: u64) -> Stack {
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
        validator::held::{HeldSet, Tag},
    };

    /// One thread: what it holds and what it waits for.
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

    /// Whether a thread that holds one lock and waits for another sees the circle.
    fn sees_circle(other: &Context, held: u64, wanted: u64) -> bool {
        other.waiting.read().is_some_and(|wait| {
            let holds = other.held.iter().any(|it| it.tag == entry(wanted).tag);
            wait.wanted.tag == entry(held).tag && holds && other.waiting.is_still(wait.epoch)
        })
    }

    /// Two threads close a circle at once: at least one of them sees it.
    #[test]
    fn loom_a_circle_is_not_missed() {
        loom::model(|| {
            let contexts = contexts();
            let run = |own: usize, held, wanted| {
                let contexts = Arc::clone(&contexts);
                move || {
                    take(&contexts[own], held);
                    wait(&contexts[own], wanted);
                    sees_circle(&contexts[1 - own], held, wanted)
                }
            };
            let second = thread::spawn(run(1, 2, 1));
            let first = run(0, 1, 2)();
            assert!(second.join().unwrap() || first);
        });
    }

    /// A thread waits for a lock with nothing held, gives up, and takes another: the two
    /// glances make no circle.
    #[test]
    fn loom_two_glances_are_no_circle() {
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
            assert!(!sees_circle(&contexts[1], 1, 2));
            other.join().unwrap();
        });
    }
}
