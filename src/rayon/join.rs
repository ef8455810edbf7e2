//! [`join`] and [`join_context`].

use super::{FnContext, pool};
use crate::validator::jobs::{Call, For, How};

/// As `rayon_core::join`.
///
/// # Panics
///
/// As rayon's, if one of the closures panics; and if waiting here is a finding at
/// [`Level::Deny`](crate::Level::Deny), before either of them runs.
#[track_caller]
pub fn join<A, B, RA, RB>(oper_a: A, oper_b: B) -> (RA, RB)
where
    A: FnOnce() -> RA + Send,
    B: FnOnce() -> RB + Send,
    RA: Send,
    RB: Send,
{
    join_context(|_| oper_a(), |_| oper_b())
}

/// As `rayon_core::join_context`. See [`join`].
///
/// # Panics
///
/// As [`join`] does.
#[track_caller]
pub fn join_context<A, B, RA, RB>(oper_a: A, oper_b: B) -> (RA, RB)
where
    A: FnOnce(FnContext) -> RA + Send,
    B: FnOnce(FnContext) -> RB + Send,
    RA: Send,
    RB: Send,
{
    pool::ensure_global();
    let call = Call::begin();
    let _waiting = call.wait(pool::current(), For::Jobs);
    ::rayon_core::join_context(
        |context| call.run(0, How::Forked, true, || oper_a(context)),
        |context| call.run(1, How::Forked, false, || oper_b(context)),
    )
}
