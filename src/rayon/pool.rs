//! [`ThreadPool`], the global pool, and [`yield_now`].

use std::{
    fmt,
    sync::{Arc, OnceLock},
};

use super::{
    BroadcastContext, Scope, ScopeFifo, ThreadPoolBuilder, Yield, broadcast::broadcast_in, scope,
    spawn,
};
use crate::validator::jobs::{Call, For, How, Pool, Spawning, is_worker};

/// The global pool. `None` if the real crate has built it.
static GLOBAL: OnceLock<Option<Arc<Pool>>> = OnceLock::new();

/// Builds the global pool, as the real crate does at its first use, unless there is one or the
/// calling thread is a worker of another.
#[inline]
pub(super) fn ensure_global() {
    if GLOBAL.get().is_none() && !is_any_worker() {
        build_global();
    }
}

#[cold]
fn build_global() {
    // The real crate falls back to the calling thread where there are no others.
    if !cfg!(target_family = "wasm") {
        // Fails if another thread has built it.
        let _ = ThreadPoolBuilder::new().build_global();
    }
    GLOBAL.get_or_init(|| None);
}

/// Records the global pool, which was built here.
pub(super) fn set_global(pool: Arc<Pool>) {
    pool.name("rayon's global pool");
    let _ = GLOBAL.set(Some(pool));
}

fn is_any_worker() -> bool {
    is_worker() || ::rayon_core::current_thread_index().is_some()
}

/// Returns the pool that a call without one uses: the global one, or `None` if the calling thread is
/// a worker, which uses its own.
#[inline]
pub(super) fn current() -> Option<&'static Pool> {
    if is_any_worker() { None } else { GLOBAL.get()?.as_deref() }
}

/// [`rayon_core::ThreadPool`], checked.
pub struct ThreadPool {
    pub(super) inner: ::rayon_core::ThreadPool,
    pub(super) pool: Arc<Pool>,
}

impl ThreadPool {
    /// As rayon's.
    ///
    /// # Errors
    ///
    /// As rayon's.
    #[deprecated(note = "Use `ThreadPoolBuilder::build`")]
    #[allow(deprecated, reason = "rayon-core has it")]
    #[track_caller]
    pub fn new(configuration: super::Configuration) -> Result<Self, Box<dyn std::error::Error>> {
        configuration.build()
    }

    /// As rayon's.
    ///
    /// # Panics
    ///
    /// As rayon's, if the closure panics; and if waiting here is a finding at
    /// [`Level::Deny`](crate::Level::Deny), before it runs.
    #[track_caller]
    pub fn install<OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce() -> R + Send,
        R: Send,
    {
        let call = Call::begin();
        let _waiting = self.wait_unless_here(&call);
        self.inner.install(|| call.run(0, How::Forked, true, op))
    }

    /// Begins a wait for a job that this thread runs itself if it is a worker of this pool.
    #[track_caller]
    fn wait_unless_here<'a>(&self, call: &'a Call) -> crate::validator::jobs::InWait<'a> {
        if self.pool.is_here() {
            call.hold(Some(&self.pool))
        } else {
            call.wait(Some(&self.pool), For::Jobs)
        }
    }

    /// As rayon's. See [`broadcast`](super::broadcast()).
    ///
    /// # Panics
    ///
    /// As [`broadcast`](super::broadcast()) does.
    #[track_caller]
    pub fn broadcast<OP, R>(&self, op: OP) -> Vec<R>
    where
        OP: Fn(BroadcastContext<'_>) -> R + Sync,
        R: Send,
    {
        broadcast_in(&self.inner, &self.pool, op)
    }

    /// As rayon's.
    #[inline]
    pub fn current_num_threads(&self) -> usize {
        self.inner.current_num_threads()
    }

    /// As rayon's.
    #[inline]
    pub fn current_thread_index(&self) -> Option<usize> {
        self.inner.current_thread_index()
    }

    /// As rayon's.
    #[inline]
    pub fn current_thread_has_pending_tasks(&self) -> Option<bool> {
        self.inner.current_thread_has_pending_tasks()
    }

    /// As rayon's. See [`join`](super::join()).
    ///
    /// # Panics
    ///
    /// As [`join`](super::join()) does.
    #[track_caller]
    pub fn join<A, B, RA, RB>(&self, oper_a: A, oper_b: B) -> (RA, RB)
    where
        A: FnOnce() -> RA + Send,
        B: FnOnce() -> RB + Send,
        RA: Send,
        RB: Send,
    {
        let call = Call::begin();
        let _waiting = call.wait(Some(&self.pool), For::Jobs);
        self.inner.join(
            || call.run(0, How::Forked, true, oper_a),
            || call.run(1, How::Forked, false, oper_b),
        )
    }

    /// As rayon's. See [`scope`](super::scope()).
    ///
    /// # Panics
    ///
    /// As [`scope`](super::scope()) does.
    #[track_caller]
    pub fn scope<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&Scope<'scope>) -> R + Send,
        R: Send,
    {
        let call = Call::begin();
        let _waiting = self.wait_unless_here(&call);
        self.inner.scope(|inner| scope::body(&call, Some(&self.pool), inner, op))
    }

    /// As rayon's. See [`scope_fifo`](super::scope_fifo()).
    ///
    /// # Panics
    ///
    /// As [`scope`](super::scope()) does.
    #[track_caller]
    pub fn scope_fifo<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&ScopeFifo<'scope>) -> R + Send,
        R: Send,
    {
        let call = Call::begin();
        let _waiting = self.wait_unless_here(&call);
        self.inner.scope_fifo(|inner| scope::body_fifo(&call, Some(&self.pool), inner, op))
    }

    /// As rayon's. See [`in_place_scope`](super::in_place_scope()).
    ///
    /// # Panics
    ///
    /// As [`in_place_scope`](super::in_place_scope()) does.
    #[track_caller]
    pub fn in_place_scope<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&Scope<'scope>) -> R,
    {
        let call = Call::begin();
        let _waiting = call.hold(Some(&self.pool));
        self.inner.in_place_scope(|inner| scope::body(&call, Some(&self.pool), inner, op))
    }

    /// As rayon's. See [`in_place_scope`](super::in_place_scope()).
    ///
    /// # Panics
    ///
    /// As [`in_place_scope`](super::in_place_scope()) does.
    #[track_caller]
    pub fn in_place_scope_fifo<'scope, OP, R>(&self, op: OP) -> R
    where
        OP: FnOnce(&ScopeFifo<'scope>) -> R,
    {
        let call = Call::begin();
        let _waiting = call.hold(Some(&self.pool));
        self.inner.in_place_scope_fifo(|inner| scope::body_fifo(&call, Some(&self.pool), inner, op))
    }

    /// As rayon's. See [`spawn`](super::spawn()).
    #[track_caller]
    pub fn spawn<OP>(&self, op: OP)
    where
        OP: FnOnce() + Send + 'static,
    {
        let (job, handles) = (Spawning::begin(), self.pool.handles_panics());
        self.inner.spawn(move || spawn::run(&job, handles, op));
    }

    /// As rayon's. See [`spawn`](super::spawn()).
    #[track_caller]
    pub fn spawn_fifo<OP>(&self, op: OP)
    where
        OP: FnOnce() + Send + 'static,
    {
        let (job, handles) = (Spawning::begin(), self.pool.handles_panics());
        self.inner.spawn_fifo(move || spawn::run(&job, handles, op));
    }

    /// As rayon's. See [`spawn`](super::spawn()).
    #[track_caller]
    pub fn spawn_broadcast<OP>(&self, op: OP)
    where
        OP: Fn(BroadcastContext<'_>) + Send + Sync + 'static,
    {
        let (job, handles) = (Spawning::begin(), self.pool.handles_panics());
        self.inner.spawn_broadcast(move |context| spawn::run(&job, handles, || op(context)));
    }

    /// As rayon's. See [`yield_now`](yield_now()).
    ///
    /// # Panics
    ///
    /// As [`yield_now`](yield_now()) does.
    #[track_caller]
    pub fn yield_now(&self) -> Option<Yield> {
        if self.pool.is_here() { yield_now() } else { self.inner.yield_now() }
    }

    /// As rayon's. See [`yield_local`].
    #[track_caller]
    pub fn yield_local(&self) -> Option<Yield> {
        let call = Call::begin();
        let _in_call = call.hold(Some(&self.pool));
        self.inner.yield_local()
    }
}

impl fmt::Debug for ThreadPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.inner.fmt(f)
    }
}

/// As `rayon_core::current_num_threads`, which builds the global pool if it needs it.
pub fn current_num_threads() -> usize {
    ensure_global();
    ::rayon_core::current_num_threads()
}

/// As `rayon_core::yield_now`. It may run any job of the pool.
///
/// # Panics
///
/// If running another job here is a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub fn yield_now() -> Option<Yield> {
    let call = Call::begin();
    let _waiting = call.wait(None, For::Another);
    ::rayon_core::yield_now()
}

/// As `rayon_core::yield_local`.
#[track_caller]
pub fn yield_local() -> Option<Yield> {
    let call = Call::begin();
    let _in_call = call.hold(None);
    ::rayon_core::yield_local()
}
