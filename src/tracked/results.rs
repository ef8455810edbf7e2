//! Results of std's locks: with a guard, poisoned or not, or without.

use std::sync::{LockResult, PoisonError, TryLockError, TryLockResult};

/// Returns the guard of a `try_` method of std's that got the lock, poisoned or not.
pub(crate) fn taken<G>(result: TryLockResult<G>) -> Option<LockResult<G>> {
    match result {
        Ok(guard) => Some(Ok(guard)),
        Err(TryLockError::Poisoned(poisoned)) => Some(Err(poisoned)),
        Err(TryLockError::WouldBlock) => None,
    }
}

/// Handles a poisoned guard. A cold function, so that the result of an attempt, which nothing else
/// refers to, can stay in registers.
#[cold]
#[inline(never)]
fn poisoned<G>(guard: G) {
    drop(guard);
}

/// Handles a failed attempt of the fast path. A poisoned lock is released for the slow path to
/// take.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn not_free<G>(error: TryLockError<G>) {
    if let TryLockError::Poisoned(guard) = error {
        poisoned(guard.into_inner());
    }
}

/// Wraps the inner lock's guard, poisoned or not.
#[cfg_attr(not(debug_assertions), inline(always))]
pub(crate) fn map_guard<G, R>(result: LockResult<G>, guard: impl FnOnce(G) -> R) -> LockResult<R> {
    match result {
        Ok(inner) => Ok(guard(inner)),
        Err(poisoned) => Err(PoisonError::new(guard(poisoned.into_inner()))),
    }
}
