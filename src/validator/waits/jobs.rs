//! Calls into thread pools: a thread that waits for jobs, or runs others meanwhile, acquires the pool.
//!
//! A worker that waits in a call runs other jobs of its pool until its own are done. So it waits for
//! whatever *any* of them acquires. A thread that is no worker waits until some worker is free to run
//! its jobs. So it waits for what others acquire only if as many of them can be there at once as the
//! pool has workers. A broadcast waits for each worker.
//!
//! Nothing is predicted of a worker that waits for its own jobs in a pool without another worker: none
//! of its jobs is taken from it, so it runs only those that it waits for.

#![allow(missing_debug_implementations, reason = "no program prints them")]

use std::{any::Any, panic::Location, sync::Arc};

use smallvec::SmallVec;

use super::{
    blocking::{Waited, begin_wait},
    events::about_to_wait_for,
};
use crate::{
    finding::{LockKind, LockOf, Mode, Role, Until, WaitKind},
    ledger,
    validator::{
        attach::current,
        chain_cache, check,
        context::{
            Context, State as ThreadState, awaited_calls,
            current::{current_if_attached, inside},
            held::{Entry, Tag},
            job::{self, Call, Covered, InCall, Spawning, Workers},
            job_log::{self, PoolIds},
        },
        destroyed::{self, destroyed},
        found::{Found, submit},
        graph::{self, Acquisition},
        identity::Identity,
        lock_id::LockId,
        tasks,
    },
};

static KIND: LockKind = LockKind { wrapper: "ThreadPool", of: LockOf::Nothing, role: Role::Jobs };

/// A pool is never written, as a lock with readers would be.
static UNWRITTEN: Identity = Identity::new();

/// A pool of worker threads. Leaves the order graph when it is dropped.
pub struct Pool(Workers);

impl Pool {
    /// Creates a pool without workers, which is created at a place.
    #[must_use]
    pub fn new(created: Option<&'static Location<'static>>, handles_panics: bool) -> Arc<Self> {
        let id = || Identity::new().id(&KIND, created);
        Arc::new(Self(Workers::new(id(), id(), handles_panics)))
    }

    /// Sets the name that reports use.
    pub fn name(&self, name: &str) {
        let PoolIds { any, all, .. } = self.0.ids();
        for id in [any, all] {
            graph::annotations::name(id, name);
        }
    }

    /// Called when the pool gets another worker.
    pub fn add_worker(&self) {
        self.0.add();
    }

    /// Returns `true` if the program handles panics of detached jobs.
    #[must_use]
    pub fn handles_panics(&self) -> bool {
        self.0.ids().handles_panics
    }

    /// Returns `true` if the calling thread is one of its workers.
    #[must_use]
    pub fn is_here(&self) -> bool {
        job::pool() == Some(self.0.ids())
    }

    /// Runs the calling thread as a worker of this pool.
    #[allow(unsafe_code, reason = "a thread-local has no lifetime")]
    pub fn work<R>(&self, run: impl FnOnce() -> R) -> R {
        /// Makes the thread no worker again.
        struct End;
        impl Drop for End {
            fn drop(&mut self) {
                // SAFETY: there is no pool.
                unsafe { job::set_pool(None) };
            }
        }
        // SAFETY: `self` is borrowed until the thread is no worker again.
        unsafe { job::set_pool(Some(&self.0)) };
        let _end = End;
        run()
    }

    /// Makes the calling thread a worker for the rest of its life. The pool is never freed.
    #[allow(unsafe_code, reason = "a thread-local has no lifetime")]
    pub fn work_on(self: &Arc<Self>) {
        let pool: &'static Arc<Self> = Box::leak(Box::new(Arc::clone(self)));
        // SAFETY: it is never freed.
        unsafe { job::set_pool(Some(&pool.0)) };
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let PoolIds { any, all, .. } = self.0.ids();
        job_log::forget(any);
        destroyed(any);
        destroyed(all);
    }
}

/// Returns `true` if the calling thread is a worker of a known pool.
#[must_use]
pub fn is_worker() -> bool {
    job::pool().is_some()
}

/// Returns `true` if a pool, or that whose worker the calling thread is, handles panics of detached jobs.
/// If the pool is not known, it may.
#[must_use]
pub fn handles_panics(pool: Option<&Pool>) -> bool {
    pool.map(|pool| pool.0.ids()).or_else(job::pool).is_none_or(|pool| pool.handles_panics)
}

/// Returns `true` if a panic is for a finding.
#[must_use]
pub fn is_finding(panic: &(dyn Any + Send)) -> bool {
    inside(|| ledger::finding_of_panic(panic).is_some())
}

/// What a call waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum For {
    /// Jobs that any worker can run.
    Jobs,
    /// A job on each worker.
    EachWorker,
    /// Nothing: it runs another job, if there is one.
    Another,
}

impl Call {
    /// Creates a call into a pool, at the caller's location.
    #[track_caller]
    #[inline]
    #[must_use]
    pub fn begin() -> Self {
        Self::new(Location::caller(), current().filter(|context| !context.is_suspended()))
    }

    /// Begins a wait of this call for jobs of a pool, until the guard is dropped. `None`: of the pool whose worker the
    /// calling thread is.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn wait(&self, pool: Option<&Pool>, what: For) -> InWait<'_> {
        let in_call = self.enter();
        // No closure, which would hide the caller's location.
        let checked = match holding() {
            Some(context) => {
                let published = publish(context, self, pool);
                Some(Box::new((published, check(context, self, pool, what))))
            }
            None => None,
        };
        InWait { _checked: checked, in_call }
    }

    /// Begins a call that runs a job itself and may wait afterwards, where it must be [checked](Self::check_end). It lasts
    /// until the guard is dropped.
    #[track_caller]
    #[inline]
    pub fn hold(&self, pool: Option<&Pool>) -> InWait<'_> {
        let in_call = self.enter();
        #[allow(clippy::manual_map, reason = "a closure would hide the caller's location")]
        let checked = match holding() {
            Some(context) => Some(Box::new((publish(context, self, pool), Checked::new()))),
            None => None,
        };
        InWait { _checked: checked, in_call }
    }

    /// Checks the wait for the jobs of a scope, which begins now, if there are any and the calling thread makes the
    /// call.
    ///
    /// # Panics
    ///
    /// For a finding at [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    #[inline]
    pub fn check_end(&self, pool: Option<&Pool>) {
        let what = if self.is_for_each_worker() { For::EachWorker } else { For::Jobs };
        if let Some(context) = holding().filter(|_| self.has_spawned() && self.is_here()) {
            check(context, self, pool, what);
        }
    }
}

impl Spawning {
    /// Describes a detached job that is about to be spawned at the caller's location.
    #[track_caller]
    #[inline]
    #[must_use]
    pub fn begin() -> Self {
        Self::new(Location::caller(), current().filter(|context| !context.is_suspended()))
    }
}

/// A wait in a call, until it is dropped.
#[must_use]
pub struct InWait<'a> {
    /// Dropped first. Boxed, because most threads hold nothing in a call.
    _checked: Option<Box<(Option<Published>, Checked)>>,
    in_call: InCall<'a>,
}

impl Drop for InWait<'_> {
    fn drop(&mut self) {
        // rayon resumes the panic of a job here. The locks that it releases are not poisoned either.
        if self.in_call.is_denied()
            && std::thread::panicking()
            && let Some(context) = current_if_attached()
        {
            context.begin_unwinding();
        }
    }
}

/// The waits that were checked.
type Checked = SmallVec<[Covered; 2]>;

/// The kinds of waits of which one covers those inside it.
const FOR_OWN: usize = 0;
const FOR_OTHER: usize = 1;
const PUBLISHED: usize = 2;

/// A wait that other threads see.
struct Published {
    context: &'static Context,
    call: u64,
    before: u64,
    _waited: Waited,
    _covered: Covered,
}

impl Drop for Published {
    fn drop(&mut self) {
        self.context.wait_in_call(self.before);
        awaited_calls::end(self.call);
    }
}

/// Returns the calling thread's context, if it holds a lock.
#[inline]
fn holding() -> Option<&'static Context> {
    current_if_attached().filter(|context| !context.held.is_empty() && can_check(context))
}

#[cold]
fn can_check(context: &'static Context) -> bool {
    !context.is_suspended() && !context.is(ThreadState::Confirming) && context.held.is_whole()
}

/// Publishes a wait of a thread that holds locks. A job of this call that waits for one of them waits for ever.
#[track_caller]
fn publish(context: &'static Context, call: &Call, pool: Option<&Pool>) -> Option<Published> {
    let pool = pool.map(|pool| pool.0.ids()).or_else(job::pool)?;
    let covered = Covered::begin(PUBLISHED, context.held.chain(), 0)?;
    let number = awaited_calls::begin(call.around());
    call.set_id(number);
    let before = context.wait_in_call(number);
    let wanted = entry(pool.any);
    let waited = begin_wait(context, &UNWRITTEN, &wanted, Until::Happened(WaitKind::Jobs));
    Some(Published { context, call: number, before, _waited: waited, _covered: covered })
}

/// Checks a wait of a thread that holds locks.
#[track_caller]
fn check(context: &'static Context, call: &Call, pool: Option<&Pool>, what: For) -> Checked {
    let mut checked = Checked::new();
    tasks::settle_released_elsewhere(context);
    destroyed::settle(context);
    if context.held.is_empty() {
        return checked;
    }
    let own = job::pool();
    let pool = pool.map(|pool| pool.0.ids()).or(own);
    let is_own = pool == own;
    // Only another worker can have taken a worker's own jobs.
    let own = own.filter(|own| !is_own || own.workers > 1 || what == For::Another);
    let own = own.map(|own| (FOR_OWN, own, own.any));
    let other = pool.filter(|_| !is_own && what != For::Another);
    let other =
        other.map(|it| (FOR_OTHER, it, if what == For::EachWorker { it.any } else { it.all }));
    for (kind, pool, id) in own.into_iter().chain(other) {
        if let Some(covered) = Covered::begin(kind, context.held.chain(), id) {
            check_for(context, call, pool, id);
            checked.push(covered);
        }
    }
    checked
}

/// Returns the entry of a pool, at the caller's location.
#[track_caller]
fn entry(id: LockId) -> Entry {
    Entry { tag: Tag::new(id, Mode::Exclusive), site: Location::caller() }
}

/// Checks a wait for one of a pool's locks.
#[track_caller]
fn check_for(context: &'static Context, call: &Call, pool: PoolIds, id: LockId) {
    if context.is(ThreadState::Allowing) {
        return;
    }
    let wanted = entry(id);
    let key = chain_cache::key(context.held.any_place_for(wanted.tag).chain());
    let by_this = chain_cache::by(key, context.number());
    let is_known = graph::SEEN.contains(by_this);
    let found: Vec<Found> = {
        let _inside = context.enter(ThreadState::InValidator);
        let Some(segment) = job::waiting(context, call) else { return };
        let depends_on = || {
            if id == pool.any {
                job_log::wait_for_any(pool)
            } else {
                job_log::wait_for_all(pool, &segment)
            }
        };
        let held: SmallVec<[Entry; 4]> = context.held.iter().collect();
        graph::lock().enter_owed_to(&wanted, &depends_on(), &held);
        let acquisition = Acquisition { identity: &UNWRITTEN, wanted, named_at: wanted.site };
        let mut found = check::judge_at(context, &acquisition, key, segment.clone()).found;
        let mut graph = graph::lock();
        // What jobs have acquired meanwhile: one of two threads finds the cycle.
        found.extend(graph.enter_owed(wanted.tag, &depends_on()).into_iter().map(Found::from));
        graph.settle(by_this);
        found
    };
    if !found.is_empty() {
        submit(context, found);
    }
    if !is_known {
        about_to_wait_for(context, &wanted, WaitKind::Jobs);
    }
}
