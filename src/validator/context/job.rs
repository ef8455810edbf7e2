//! The jobs of thread pools: which one a thread runs, and which calls have begun it.
//!
//! A *call* into a pool begins jobs, and most calls wait for them. A thread that waits in a call may
//! run any other job of its pool meanwhile, on the same stack. Calls and jobs are on the stacks of the
//! threads that make and run them, and point to the ones around them. So a job that acquires no lock
//! costs a few loads and stores, and no allocation. Its [position](super::position) is computed from
//! these pointers, and only for a job that acquires a lock.
#![allow(unsafe_code, reason = "calls and jobs point to those around them, on other stacks")]
#![allow(missing_debug_implementations, reason = "no program prints them")]

use std::{
    cell::Cell,
    panic::Location,
    ptr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    thread,
};

use super::{
    Context, State,
    current::{current_if_attached, next_number},
    job_log::PoolIds,
    lineage::{Segment, SegmentIndex},
    position::{How, Job, Position, Step},
};
use crate::validator::lock_id::LockId;

thread_local! {
    /// Has no destructor.
    static HERE: Here = const {
        Here {
            job: Cell::new(ptr::null()),
            call: Cell::new(ptr::null()),
            pool: Cell::new(ptr::null()),
            calls: Cell::new(0),
            covered: [const { Cell::new([0; 2]) }; Covered::KINDS],
            has_recorded: Cell::new(false),
            records: Cell::new(0),
        }
    };
}

/// A pool, for its workers.
pub(in crate::validator) struct Workers {
    any: LockId,
    all: LockId,
    number: AtomicUsize,
    handles_panics: bool,
}

impl Workers {
    pub(in crate::validator) fn new(any: LockId, all: LockId, handles_panics: bool) -> Self {
        Self { any, all, number: AtomicUsize::new(0), handles_panics }
    }

    pub(in crate::validator) fn add(&self) {
        self.number.fetch_add(1, Relaxed);
    }

    pub(in crate::validator) fn ids(&self) -> PoolIds {
        let Self { any, all, ref number, handles_panics } = *self;
        PoolIds { any, all, workers: number.load(Relaxed), handles_panics }
    }
}

/// What the calling thread does.
struct Here {
    /// The job that it runs, or null.
    job: Cell<*const Running>,
    /// The innermost call that it has made and that has not ended, or null.
    call: Cell<*const Call>,
    /// The pool whose worker it is.
    pool: Cell<*const Workers>,
    /// The number of calls that it has made outside of jobs.
    calls: Cell<u32>,
    /// The last wait of each kind that was checked and has not ended: a hash of what was held, and the pool.
    covered: [Cell<[u64; 2]>; Covered::KINDS],
    /// `true` if an acquisition of this job was recorded, and so the thread's recent chains have it.
    has_recorded: Cell<bool>,
    /// The number of acquisitions recorded so far.
    records: Cell<u32>,
}

/// The number of acquisitions that one worker records in its life, and of jobs for which it forgets its recent
/// chains. Later ones are missed.
const MAX_RECORDS: u32 = 4096;

/// The number of steps from the first flow to a job. The locks of deeper jobs are not recorded.
const MAX_STEPS: usize = 256;

/// A call into a pool. Lives on the stack of its thread for longer than the jobs that it waits for.
pub struct Call {
    /// The job that makes the call, or null.
    by: *const Running,
    /// The thread that makes it, if that runs no job.
    root: Option<(&'static Context, SegmentIndex)>,
    /// Its number within the job, or within the thread.
    number: u32,
    /// The number of jobs spawned so far, if it is a scope.
    spawned: AtomicU32,
    /// `true` if some of them are for each worker.
    is_for_each_worker: AtomicBool,
    site: &'static Location<'static>,
    /// The number of locks that the thread holds.
    held: usize,
    /// `true` once a panic for a finding has ended one of its jobs.
    is_denied: AtomicBool,
    /// Identifies it if it is [awaited](super::awaited_calls) under a lock; otherwise 0.
    id: AtomicU64,
    /// The call that was the thread's innermost before.
    before: Cell<*const Call>,
}

// SAFETY: jobs on other threads read `by`, `number` and the like, which never change, and atomics. `before` is for the
// thread that makes the call. What `by` points to is the job that waits in this call.
unsafe impl Sync for Call {}

/// A job while it runs.
struct Running {
    origin: Origin,
    /// The job around it on the stack, or null.
    before: *const Self,
    /// The innermost call of the thread when the job began: the one in which it runs.
    below: *const Call,
    site: &'static Location<'static>,
    step: Step,
    /// `true` if another worker might have run it.
    is_job: bool,
    /// The innermost awaited call that waits for it.
    under: u64,
    /// The number of calls that it has made.
    calls: Cell<u32>,
    /// Its number as a flow of control, once it has one.
    number: Cell<u64>,
}

/// What has begun a job.
enum Origin {
    Call(*const Call),
    Detached(Arc<Detached>),
}

/// The steps to a detached job.
struct Detached {
    flow: Segment,
    /// Includes its own step.
    steps: Box<[Step]>,
}

/// A detached job, which no call waits for, before it runs. `None` if the thread that spawns it is not known.
pub struct Spawning {
    detached: Option<Arc<Detached>>,
    site: &'static Location<'static>,
}

impl Call {
    /// Creates a call that the calling thread is about to make at a place.
    #[inline]
    pub(in crate::validator) fn new(
        site: &'static Location<'static>,
        context: Option<&'static Context>,
    ) -> Self {
        let (by, number) = HERE.with(|here| {
            let by = here.job.get();
            // SAFETY: the job is on this thread's stack.
            let calls = unsafe { by.as_ref() }.map_or(&here.calls, |job| &job.calls);
            let number = calls.get().wrapping_add(1);
            calls.set(number);
            (by, number)
        });
        let root = if by.is_null() {
            context.map(|context| (context, context.segment_index()))
        } else {
            None
        };
        Self {
            by,
            root,
            number,
            spawned: AtomicU32::new(0),
            is_for_each_worker: AtomicBool::new(false),
            site,
            held: context.map_or(0, |context| context.held.depth()),
            is_denied: AtomicBool::new(false),
            id: AtomicU64::new(0),
            before: Cell::new(ptr::null()),
        }
    }

    /// Makes it the thread's innermost call, until the guard is dropped.
    #[inline]
    pub(in crate::validator) fn enter(&self) -> InCall<'_> {
        HERE.with(|here| self.before.set(here.call.replace(self)));
        InCall(self)
    }

    /// Returns `true` if it is the innermost call of the calling thread.
    pub(in crate::validator) fn is_here(&self) -> bool {
        HERE.with(|here| ptr::eq(here.call.get(), self))
    }

    /// Sets the id under which the jobs of this call are known to be awaited.
    pub(in crate::validator) fn set_id(&self, id: u64) {
        self.id.store(id, Relaxed);
    }

    /// Returns the innermost awaited call that waits for what this call waits for.
    fn under(&self) -> u64 {
        match self.id.load(Relaxed) {
            // SAFETY: the job waits in this call.
            0 => unsafe { self.by.as_ref() }.map_or(0, |job| job.under),
            id => id,
        }
    }

    /// Returns the innermost awaited call around this one.
    pub(in crate::validator) fn around(&self) -> u64 {
        // SAFETY: the job waits in this call.
        unsafe { self.by.as_ref() }.map_or(0, |job| job.under)
    }

    /// Returns `true` if jobs were spawned in it.
    pub fn has_spawned(&self) -> bool {
        self.spawned.load(Relaxed) > 0
    }

    /// Called when a job is spawned in it that each worker runs.
    pub fn spawns_for_each_worker(&self) {
        self.is_for_each_worker.store(true, Relaxed);
    }

    /// Returns `true` if a job was spawned in it that each worker runs.
    pub(in crate::validator) fn is_for_each_worker(&self) -> bool {
        self.is_for_each_worker.load(Relaxed)
    }

    /// Runs a job of this call. `is_inline` if the thread that makes the call runs it itself, where it can.
    #[inline]
    pub fn run<R>(&self, job: u32, how: How, is_inline: bool, body: impl FnOnce() -> R) -> R {
        let step = Step { call: self.number, job, how, spawned: 0 };
        HERE.with(|here| {
            // SAFETY: the job waits in this call.
            let by = unsafe { self.by.as_ref() };
            let is_job =
                !(is_inline && ptr::eq(here.call.get(), self)) || by.is_some_and(|by| by.is_job);
            Running::run(Origin::Call(self), self.site, step, is_job, self.under(), body)
        })
    }

    /// Begins to spawn a job in this scope, whose body is the given job. Returns what [`run`](Self::run) needs.
    pub fn spawn(&self, body: Body) -> (u32, How) {
        let job = self.spawned.fetch_add(1, Relaxed) + 1;
        let is_body = HERE.with(|here| ptr::eq(here.job.get(), body.0));
        (job, if is_body { How::Spawned } else { How::SpawnedByJob })
    }
}

/// The job that runs the body of a scope.
#[derive(Clone, Copy)]
pub struct Body(*const Running);

// SAFETY: it is only compared.
unsafe impl Send for Body {}
// SAFETY: as above.
unsafe impl Sync for Body {}

impl Body {
    /// Returns the job that the calling thread runs.
    #[must_use]
    pub fn here() -> Self {
        HERE.with(|here| Self(here.job.get()))
    }
}

/// Restores the call around it, and the wait that was checked, when it is dropped.
pub(in crate::validator) struct InCall<'a>(&'a Call);

impl InCall<'_> {
    /// Returns `true` if a panic for a finding has ended a job of the call.
    pub(in crate::validator) fn is_denied(&self) -> bool {
        self.0.is_denied.load(Relaxed)
    }
}

impl Drop for InCall<'_> {
    #[inline]
    fn drop(&mut self) {
        HERE.with(|here| here.call.set(self.0.before.get()));
    }
}

/// Returns to the job around one when it is dropped.
struct End<'a>(&'a Running);

impl Drop for End<'_> {
    #[inline]
    fn drop(&mut self) {
        begin(self.0.before);
        if thread::panicking() {
            self.0.pass_on_panic();
        }
    }
}

impl Running {
    #[inline]
    fn run<R>(
        origin: Origin,
        site: &'static Location<'static>,
        step: Step,
        is_job: bool,
        under: u64,
        body: impl FnOnce() -> R,
    ) -> R {
        let (before, below) = HERE.with(|here| (here.job.get(), here.call.get()));
        let running = Self {
            origin,
            before,
            below,
            site,
            step,
            is_job,
            under,
            calls: Cell::new(0),
            number: Cell::new(0),
        };
        begin(&raw const running);
        let _end = End(&running);
        body()
    }

    /// Called when a panic ends the job. rayon resumes it in the thread that waits for the job.
    #[cold]
    fn pass_on_panic(&self) {
        if let Origin::Call(call) = self.origin
            && current_if_attached().is_some_and(|context| context.is(State::Unwinding))
        {
            // SAFETY: the call waits for this job.
            unsafe { &*call }.is_denied.store(true, Relaxed);
        }
    }

    /// Returns the point that the job has reached, with the segment of the thread at its beginning. `is_waiting` if it
    /// waits in its last call.
    fn position(&self, call: u32, is_waiting: bool) -> Option<(Segment, Position)> {
        let mut steps = Vec::new();
        let mut job = self;
        let flow = loop {
            let Origin::Call(call) = &job.origin else { break job.detached()? };
            // SAFETY: the call waits for this job, or for one that waits for it.
            let call = unsafe { &**call };
            steps.push(Step { spawned: call.spawned.load(Relaxed), ..job.step });
            if steps.len() > MAX_STEPS {
                return None;
            }
            // SAFETY: the job waits in that call.
            let Some(by) = (unsafe { call.by.as_ref() }) else {
                let (context, index) = call.root?;
                break (context.segment_at(index), &[][..]);
            };
            job = by;
        };
        let (flow, before) = flow;
        let steps = before.iter().copied().chain(steps.into_iter().rev()).collect();
        Some((flow, Position { steps, call, is_waiting }))
    }

    /// Returns the flow and the steps of a detached job.
    fn detached(&self) -> Option<(Segment, &[Step])> {
        match &self.origin {
            Origin::Detached(detached) => Some((detached.flow.clone(), &detached.steps)),
            Origin::Call(_) => None,
        }
    }

    /// Returns the number of locks that the thread held when it began this job.
    fn held_below(&self) -> usize {
        // SAFETY: the thread is in that call.
        unsafe { self.below.as_ref() }.map_or(0, |call| call.held)
    }
}

/// Makes a job the one that the calling thread runs. What the thread has acquired in another one is recorded again.
#[inline]
fn begin(job: *const Running) {
    HERE.with(|here| {
        here.job.set(job);
        if here.has_recorded.get() {
            forget_recent(here);
        }
    });
}

#[cold]
fn forget_recent(here: &Here) {
    here.has_recorded.set(false);
    if let Some(context) = current_if_attached().filter(|_| here.records.get() < MAX_RECORDS) {
        context.recent.clear_own();
    }
}

impl Spawning {
    /// Describes a job that the calling thread is about to spawn at a place.
    pub(in crate::validator) fn new(
        site: &'static Location<'static>,
        context: Option<&'static Context>,
    ) -> Self {
        let call = Call::new(site, context);
        let step = Step { call: call.number, job: 0, how: How::Detached, spawned: 0 };
        // SAFETY: the job is on this thread's stack.
        let detached = match unsafe { call.by.as_ref() } {
            Some(job) => job.position(call.number, false).map(|(flow, position)| {
                let steps = position.steps.iter().copied().chain([step]).collect();
                Detached { flow, steps }
            }),
            None => call.root.map(|(context, index)| {
                let flow = context.segment_at(index);
                Detached { flow, steps: Box::new([step]) }
            }),
        };
        Self { detached: detached.map(Arc::new), site }
    }

    /// Runs the job.
    pub fn run<R>(&self, body: impl FnOnce() -> R) -> R {
        let Some(detached) = &self.detached else { return body() };
        let step = detached.steps[detached.steps.len() - 1];
        Running::run(Origin::Detached(Arc::clone(detached)), self.site, step, true, 0, body)
    }
}

/// Makes the calling thread a worker of a pool.
///
/// # Safety
///
/// The pool exists until the thread is a worker of another one, or of none.
pub(in crate::validator) unsafe fn set_pool(pool: Option<&Workers>) {
    HERE.with(|here| here.pool.set(pool.map_or(ptr::null(), ptr::from_ref)));
    if let Some(context) = current_if_attached() {
        context.held.set_logged(true);
    }
}

/// Returns the pool whose worker the calling thread is.
#[inline]
pub(in crate::validator) fn pool() -> Option<PoolIds> {
    // SAFETY: the pool exists while the thread is its worker.
    HERE.try_with(|here| unsafe { here.pool.get().as_ref() }.map(Workers::ids)).ok().flatten()
}

/// Returns `true` if the calling thread looks up each lock that it acquires, because it runs jobs.
pub(in crate::validator) fn is_recording() -> bool {
    pool().is_some() && HERE.with(|here| here.records.get() < MAX_RECORDS)
}

/// Returns the innermost awaited call that waits for the job that the calling thread runs.
pub(in crate::validator) fn under() -> u64 {
    // SAFETY: the job is on this thread's stack.
    HERE.try_with(|here| unsafe { here.job.get().as_ref() }.map_or(0, |job| job.under)).unwrap_or(0)
}

/// An acquisition of a job.
pub(in crate::validator) struct InJob {
    pub(in crate::validator) pool: PoolIds,
    /// The job as a flow of control.
    pub(in crate::validator) segment: Segment,
    /// Where the job was begun.
    pub(in crate::validator) begun: &'static Location<'static>,
    /// The number of locks that the thread held before.
    pub(in crate::validator) held_below: usize,
}

/// Returns the job of a pool that the calling thread runs, if it acquires something that no other has recorded.
pub(in crate::validator) fn acquiring() -> Option<InJob> {
    HERE.try_with(|here| {
        // SAFETY: the pool exists while the thread is its worker.
        let pool = unsafe { here.pool.get().as_ref() }?.ids();
        // SAFETY: the job is on this thread's stack.
        let job = unsafe { here.job.get().as_ref() }.filter(|job| job.is_job)?;
        // Only its own worker can run it.
        if job.step.how == How::Broadcast || here.records.get() >= MAX_RECORDS {
            return None;
        }
        here.records.set(here.records.get() + 1);
        here.has_recorded.set(true);
        let (flow, position) = job.position(job.calls.get(), false)?;
        if job.number.get() == 0 {
            job.number.set(next_number());
        }
        let segment = of_job(job.number.get(), flow, position);
        Some(InJob { pool, segment, begun: job.site, held_below: job.held_below() })
    })
    .ok()
    .flatten()
}

/// Returns the segment of a thread that is about to wait in a call.
pub(in crate::validator) fn waiting(context: &Context, call: &Call) -> Option<Segment> {
    // SAFETY: the job is on this thread's stack.
    let (flow, position) = if let Some(job) = unsafe { call.by.as_ref() } {
        job.position(call.number, true)?
    } else {
        let (context, index) = call.root?;
        let position = Position { steps: Box::default(), call: call.number, is_waiting: true };
        (context.segment_at(index), position)
    };
    Some(of_job(context.number(), flow, position))
}

fn of_job(thread: u64, flow: Segment, position: Position) -> Segment {
    let job = Job { flow: flow.thread, at: Box::new([position]) };
    Segment { thread, job: Some(Arc::new(job)), ..flow }
}

/// A wait of the calling thread that was checked, until it is dropped. Other waits of the same thread in it, with the
/// same locks, can meet no more jobs than it does.
pub(in crate::validator) struct Covered {
    kind: usize,
    before: [u64; 2],
}

impl Covered {
    /// The number of kinds of waits that do not cover each other.
    const KINDS: usize = 3;

    /// Returns `None` if a wait of a kind for this pool, with what the thread holds, is covered by another.
    pub(in crate::validator) fn begin(kind: usize, held: u64, pool: u64) -> Option<Self> {
        HERE.with(|here| {
            let before = here.covered[kind].get();
            (before != [held, pool]).then(|| {
                here.covered[kind].set([held, pool]);
                Self { kind, before }
            })
        })
    }
}

impl Drop for Covered {
    fn drop(&mut self) {
        HERE.with(|here| here.covered[self.kind].set(self.before));
    }
}

/// How a thread came to run a job while it held a lock.
pub(in crate::validator) struct HeldBelow {
    /// Where the thread waits, with the lock held.
    pub(in crate::validator) waits_at: &'static Location<'static>,
    /// `true` if the thread does not wait for this job, but runs it meanwhile.
    pub(in crate::validator) is_stolen: bool,
}

/// Returns how the calling thread came to run a job while it holds the lock at this index of those that it holds.
pub(in crate::validator) fn held_below(index: usize) -> Option<HeldBelow> {
    HERE.try_with(|here| {
        let mut job = here.job.get();
        let mut found = None;
        // SAFETY: all of these are on this thread's stack, and so are the calls in which they run.
        while let Some(running) = unsafe { job.as_ref() } {
            // SAFETY: as above.
            let Some(call) = (unsafe { running.below.as_ref() }) else { break };
            if index >= call.held {
                break;
            }
            found = Some(HeldBelow { waits_at: call.site, is_stolen: !running.is_of(call) });
            job = running.before;
        }
        found
    })
    .ok()
    .flatten()
}

impl Running {
    /// Returns `true` if a call waits for this job.
    fn is_of(&self, call: &Call) -> bool {
        let mut job = self;
        loop {
            let Origin::Call(origin) = job.origin else { return false };
            if ptr::eq(origin, call) {
                return true;
            }
            // SAFETY: the call waits for this job, or for one that waits for it, and so does the job that makes it.
            match unsafe { (*origin).by.as_ref() } {
                Some(by) => job = by,
                None => return false,
            }
        }
    }
}
