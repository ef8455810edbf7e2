//! [`broadcast`] and [`spawn_broadcast`].

use super::{BroadcastContext, pool, spawn};
use crate::validator::jobs::{Call, For, How, Pool, Spawning, handles_panics};

/// As `rayon_core::broadcast`.
///
/// # Panics
///
/// As rayon's, if the closure panics; and if waiting here is a finding at
/// [`Level::Deny`](crate::Level::Deny), before it runs.
#[track_caller]
pub fn broadcast<OP, R>(op: OP) -> Vec<R>
where
    OP: Fn(BroadcastContext<'_>) -> R + Sync,
    R: Send,
{
    pool::ensure_global();
    let call = Call::begin();
    let _waiting = call.wait(pool::current(), For::EachWorker);
    ::rayon_core::broadcast(|context| in_call(&call, context, &op))
}

/// As [`broadcast`], in a pool.
#[track_caller]
pub(super) fn broadcast_in<OP, R>(inner: &::rayon_core::ThreadPool, pool: &Pool, op: OP) -> Vec<R>
where
    OP: Fn(BroadcastContext<'_>) -> R + Sync,
    R: Send,
{
    let call = Call::begin();
    let _waiting = call.wait(Some(pool), For::EachWorker);
    inner.broadcast(|context| in_call(&call, context, &op))
}

#[allow(clippy::cast_possible_truncation, reason = "rayon has at most 65,535 threads")]
fn in_call<R>(
    call: &Call,
    context: BroadcastContext<'_>,
    op: &(impl Fn(BroadcastContext<'_>) -> R + Sync),
) -> R {
    call.run(context.index() as u32, How::Broadcast, false, || op(context))
}

/// As `rayon_core::spawn_broadcast`. See [`spawn`](super::spawn()).
#[track_caller]
pub fn spawn_broadcast<OP>(op: OP)
where
    OP: Fn(BroadcastContext<'_>) + Send + Sync + 'static,
{
    pool::ensure_global();
    let (job, handles) = (Spawning::begin(), handles_panics(pool::current()));
    ::rayon_core::spawn_broadcast(move |context| spawn::run(&job, handles, || op(context)));
}
