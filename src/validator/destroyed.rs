//! Destroyed locks, about which everything is forgotten.

use super::{
    context::{
        self, State as ThreadState,
        current::{current_if_attached, inside},
        leaks,
    },
    graph,
    lock_id::{LockId, known_locks},
    tasks,
};
use crate::ledger;

/// Called when a lock is destroyed. Forgets everything about it.
#[cfg_attr(not(debug_assertions), inline)]
pub(crate) fn destroyed(lock: LockId) {
    let is_idle = current_if_attached().is_some_and(|context| context.held.is_idle());
    if !is_idle || known_locks::may_be_known(lock) {
        destroyed_known(lock, is_idle);
    }
}

#[cold]
#[inline(never)]
fn destroyed_known(lock: LockId, is_idle: bool) {
    if !is_idle || !graph::leaves::forget(lock) {
        destroyed_slow(lock);
    }
}

#[cold]
#[inline(never)]
fn destroyed_slow(lock: LockId) {
    if let Some(context) = current_if_attached() {
        if !context.held.is_empty() {
            context.held.purge(lock);
        }
        if context.is(ThreadState::InValidator) {
            // This thread may hold a lock of lockdep. Only a global allocator gets here, with a
            // lock that it created and destroyed meanwhile.
            return;
        }
    } else {
        context::current::destroyed_unattached(lock);
    }
    if !known_locks::may_be_known(lock) || graph::leaves::forget(lock) {
        return;
    }
    // The key belongs to the program, so it is dropped without any lock of lockdep.
    let key = inside(|| {
        leaks::destroyed(lock);
        tasks::destroyed(lock);
        for other in ledger::forget_pairs(lock) {
            known_locks::left(lock);
            known_locks::left(other);
        }
        graph::lock().forget(lock)
    });
    drop(key);
}
