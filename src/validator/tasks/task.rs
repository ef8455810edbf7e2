//! The state of one task.

use std::{
    any::Any,
    fmt,
    mem::ManuallyDrop,
    panic::Location,
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU32, AtomicU64, AtomicUsize,
            Ordering::{Acquire, Relaxed, Release, SeqCst},
        },
    },
    task::Waker,
};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    hands::Whereabouts, operation::Op, paths::Path, resting::Kept, runtime_waker::RuntimeWaker,
    wakers,
};
use crate::{
    finding::{ScopeId, ThreadInfo},
    validator::{
        context::{Context, current::next_number, held::Tag, spawn_order::Spawn},
        found::Found,
    },
};

/// A task, from its spawn to the end of its future.
pub struct Task {
    pub(in crate::validator) number: u64,
    pub(in crate::validator) spawned_at: &'static Location<'static>,
    /// How it was spawned, if any [initialization](crate::validator::context::spawn_order) had
    /// ended, and its runtime is known.
    pub(in crate::validator) spawn: Option<Arc<Spawn>>,
    /// The innermost scope of the task, or 0.
    scope: AtomicU64,
    /// The number of polls, with [`RESTING`] and [`ENDED`]. Written by the thread that polls the
    /// task.
    pub(super) polls: AtomicU64,
    /// The number of wakes so far, and the number at the start of the last poll.
    pub(super) wakes: AtomicU64,
    pub(super) wakes_seen: AtomicU64,
    /// The number of clones of its waker, except those of its lock operations, in the lower half,
    /// and how many of these are [of timeouts](super::of_timeout), in the upper half.
    pub(in crate::validator) live: AtomicU64,
    /// The number of `operations`.
    pub(in crate::validator) pending: AtomicUsize,
    /// Its lock operations that wait, or were granted the lock and not polled since.
    pub(super) operations: Mutex<SmallVec<[Arc<Op>; 1]>>,
    pub(in crate::validator) runtime: RuntimeWaker,
    /// The thread that [blocks on](super::block_on) it, if any.
    pub(in crate::validator) thread: Option<Box<ThreadInfo>>,
    /// The address of its future, from the first poll on: it is pinned.
    pub(super) future: AtomicUsize,
    pub(super) size: usize,
    /// The number of locks that it may still acquire [at once](Self::may_acquire_at_once) in this
    /// poll.
    pub(super) at_once: AtomicU32,
    /// What it holds between two polls.
    pub(super) kept: Mutex<SmallVec<[Kept; 1]>>,
    pub(in crate::validator) has_kept: AtomicBool,
    /// What it holds by guards that may leave the task, and why.
    pub(super) loose: Mutex<SmallVec<[(Tag, Whereabouts); 2]>>,
    /// The address of a local variable of the current root poll.
    pub(in crate::validator) root: AtomicUsize,
    /// The paths by which it acquired what it holds, if they may be needed.
    pub(super) paths: Mutex<SmallVec<[(Tag, Path); 1]>>,
    pub(super) has_paths: AtomicBool,
    /// What it held while a sibling future may have been about to run.
    pub(super) doubtful: Mutex<SmallVec<[Tag; 2]>>,
    pub(super) has_doubtful: AtomicBool,
    /// The events that futures owe which are being polled, and poll the others: no sibling owes these.
    pub(super) owed: Mutex<SmallVec<[Tag; 1]>>,
    /// A deadlock found while the task was at rest, and how many of its operations had been granted
    /// their locks at that time. Reported at its next poll.
    pub(super) verdict: Mutex<Option<(Found, usize)>>,
    pub(in crate::validator) has_verdict: AtomicBool,
    /// Its part in a script, while it is not polled. What that is, [points](crate::points) know.
    pub(crate) participant: OnceLock<Box<dyn Any + Send + Sync>>,
}

/// The task is not being polled, and has waiting lock operations.
pub(super) const RESTING: u64 = 1;
/// The task's future is gone.
pub(super) const ENDED: u64 = 2;
/// One poll, in `polls`.
pub(super) const POLL: u64 = 4;

/// The number of locks that a task may acquire in one poll without the runtime's knowledge. tokio's
/// budget is 128.
const FAST_ACQUIRES_PER_POLL: u32 = 64;

/// In `live`: one clone of a timeout, and the mask of the number of all clones.
pub(in crate::validator) const TIMEOUT: u64 = 1 << 32;
pub(super) const CLONES: u64 = TIMEOUT - 1;

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("number", &self.number).finish_non_exhaustive()
    }
}

impl Task {
    /// Creates a task of the scope that the calling thread is in, given its context. `thread` is the
    /// thread that blocks on the task, if any.
    pub(in crate::validator) fn with_thread(
        context: Option<&Context>,
        thread: Option<Box<ThreadInfo>>,
        spawned_at: &'static Location<'static>,
        size: usize,
    ) -> Self {
        let scope = context.and_then(Context::scope);
        Self {
            number: next_number(),
            spawned_at,
            spawn: None,
            scope: AtomicU64::new(scope.map_or(0, ScopeId::get)),
            thread,
            polls: AtomicU64::new(0),
            wakes: AtomicU64::new(0),
            wakes_seen: AtomicU64::new(0),
            live: AtomicU64::new(0),
            pending: AtomicUsize::new(0),
            operations: Mutex::default(),
            runtime: RuntimeWaker::default(),
            future: AtomicUsize::new(0),
            size,
            at_once: AtomicU32::new(0),
            kept: Mutex::default(),
            has_kept: AtomicBool::new(false),
            loose: Mutex::default(),
            root: AtomicUsize::new(0),
            paths: Mutex::default(),
            has_paths: AtomicBool::new(false),
            doubtful: Mutex::default(),
            has_doubtful: AtomicBool::new(false),
            owed: Mutex::default(),
            verdict: Mutex::new(None),
            has_verdict: AtomicBool::new(false),
            participant: OnceLock::new(),
        }
    }

    /// Returns `true` if only this many clones of its waker and its own lock operations can wake
    /// the task, which is not being polled.
    pub(crate) fn is_woken_only_by(&self, clones: u64) -> bool {
        // In this order: a waker records the wake before its clone is no longer counted.
        self.live.load(SeqCst) & CLONES == clones && self.recent_wakes() == 0
    }

    /// Describes the task for a report.
    pub(in crate::validator) fn info(&self) -> ThreadInfo {
        if let Some(thread) = &self.thread {
            return ThreadInfo::clone(thread);
        }
        ThreadInfo::of_task(self.number, self.spawned_at, self.scope())
    }

    pub(in crate::validator) fn scope(&self) -> Option<ScopeId> {
        ScopeId::new(self.scope.load(Relaxed))
    }

    pub(super) fn set_scope(&self, scope: Option<ScopeId>) {
        self.scope.store(scope.map_or(0, ScopeId::get), Relaxed);
    }

    /// Begins a poll. Returns the waker that it hands out, which does not count itself.
    ///
    /// Plain stores suffice: a census that reads them too late reads the wake that led to this
    /// poll.
    #[inline]
    pub(in crate::validator) fn begin_poll(
        self: &Arc<Self>,
        given: &Waker,
        future: usize,
    ) -> ManuallyDrop<Waker> {
        self.future.store(future, Relaxed);
        let polls = self.polls.load(Relaxed);
        self.polls.store((polls & !RESTING) + POLL, Release);
        // After the store above: a census that reads this one reads that one as well.
        self.wakes_seen.store(self.wakes.load(Acquire), Release);
        self.at_once.store(FAST_ACQUIRES_PER_POLL, Relaxed);
        self.runtime.begin_poll(given);
        wakers::of_poll(self)
    }

    /// Called when the poll is over and lock operations wait.
    pub(in crate::validator) fn begin_rest(&self) {
        let polls = self.polls.load(SeqCst);
        self.polls.store(polls | RESTING, SeqCst);
    }

    /// Returns `true` if it was never polled.
    pub(in crate::validator) fn is_new(&self) -> bool {
        self.polls.load(Relaxed) < POLL
    }

    /// Called when its future is about to be dropped, with guards that other tasks may wait for.
    pub(in crate::validator) fn begin_end(&self) {
        self.polls.fetch_and(!RESTING, SeqCst);
    }

    /// Called when its future is gone.
    pub(in crate::validator) fn end(&self) {
        self.polls.fetch_or(ENDED, SeqCst);
        self.runtime.forget();
    }

    pub(in crate::validator) fn has_ended(&self) -> bool {
        self.polls.load(SeqCst) & ENDED != 0
    }

    /// Returns how often it was woken since its last poll began.
    #[inline]
    pub(super) fn recent_wakes(&self) -> u64 {
        self.wakes.load(SeqCst).wrapping_sub(self.wakes_seen.load(SeqCst))
    }

    /// Returns `true` if an address is inside its future, and so belongs to no other task.
    pub(super) fn contains(&self, address: usize) -> bool {
        address.wrapping_sub(self.future.load(Relaxed)) < self.size
    }

    /// Returns `true` if a future at this address may acquire a lock without the runtime's
    /// knowledge. Not while the task has [paths](super::branches::keep_path) to forget.
    #[inline]
    pub(super) fn may_acquire_at_once(&self, future: usize) -> bool {
        let left = self.at_once.load(Relaxed);
        if left == 0 || !self.contains(future) || self.has_paths.load(Relaxed) {
            return false;
        }
        self.at_once.store(left - 1, Relaxed);
        true
    }

    pub(super) fn note_wake(&self) {
        self.wakes.fetch_add(1, SeqCst);
    }

    pub(super) fn wake(&self) {
        self.note_wake();
        self.runtime.wake();
    }

    pub(super) fn set_verdict(&self, verdict: Found) {
        *self.verdict.lock() = Some((verdict, self.granted()));
        self.has_verdict.store(true, SeqCst);
    }

    /// Returns how many of its operations were granted their locks.
    pub(super) fn granted(&self) -> usize {
        self.operations.lock().iter().filter(|it| it.is_granted()).count()
    }

    /// Takes the verdict, unless the task was granted a lock since.
    pub(in crate::validator) fn take_verdict(&self) -> Option<Found> {
        self.has_verdict.store(false, Relaxed);
        let verdict = self.verdict.lock().take();
        let (found, granted) = verdict?;
        (self.granted() == granted).then_some(found)
    }

    /// Wakes it if it is at rest and no other waker is left. The census at the end of its next poll
    /// finds it stuck.
    pub(super) fn wake_if_forgotten(&self) {
        let is_at_rest = self.polls.load(SeqCst) & (RESTING | ENDED) == RESTING;
        if is_at_rest && self.recent_wakes() == 0 && self.live.load(SeqCst) == 0 {
            self.runtime.wake_if_kept(|| self.note_wake());
        }
    }

    /// Returns how many of its futures may continue: those that have a waker, as far as is known,
    /// except timeouts around others, and those that have used theirs since the poll began.
    #[inline]
    pub(super) fn wakers(&self) -> u64 {
        let operations = if self.pending.load(Relaxed) == 0 {
            0
        } else {
            let operations = self.operations.lock();
            let may_go_on = |it: &&Arc<Op>| !it.is_granted() || it.is_grant_under_way();
            operations.iter().filter(may_go_on).filter(|it| it.wakes_task()).count()
        };
        let live = self.live.load(SeqCst);
        // Last: a wake is counted here before its waker is no longer counted above.
        (live & CLONES) - live / TIMEOUT + operations as u64 + self.recent_wakes()
    }
}
