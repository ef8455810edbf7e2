//! Destroyed locks, about which everything is forgotten.
//!
//! A lock may be destroyed while a thread holds it, if the guard was forgotten. If another thread
//! destroys it, the holder, which alone changes what it holds, removes it before it checks its next
//! chain. So the dead locks of a thread do not accumulate, and make no edges.

use super::{
    context::{
        self, Context, State as ThreadState,
        current::{current_if_attached, inside},
        held::Entry,
        leaks,
    },
    found::{Found, own_edge, report},
    graph,
    lock_id::{LockId, known_locks},
    tasks,
};
use crate::{
    finding::{Detail, FindingKind},
    ledger,
    stack::RawStack,
};

/// Called when a lock is destroyed. Forgets everything about it.
#[cfg_attr(not(debug_assertions), inline)]
pub(crate) fn destroyed(lock: LockId) {
    known_locks::note_destroyed(lock);
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
    forget(lock);
}

/// Forgets what the graph and other tables have about a lock.
fn forget(lock: LockId) {
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

/// Removes locks that other threads have destroyed from what the calling thread holds, and reports
/// each place in the source that has acquired one. Returns `true` if anything was removed.
#[inline]
pub(super) fn settle(context: &'static Context) -> bool {
    context.held.iter().any(|held| known_locks::is_destroyed(held.tag.lock())) && remove(context)
}

#[cold]
#[inline(never)]
fn remove(context: &'static Context) -> bool {
    // If another thread had the guard, it released the lock before it destroyed it.
    if tasks::settle_released_elsewhere(context) {
        return true;
    }
    let found: Vec<Found> = {
        let _inside = context.enter(ThreadState::InValidator);
        let is_gone = |held: &Entry| known_locks::is_destroyed(held.tag.lock());
        let gone: Vec<Entry> = context.held.iter().filter(is_gone).collect();
        let found = gone.iter().map(|held| {
            let edge = own_edge(context, held, held, held.site, &RawStack::EMPTY);
            let detail = Detail::Destroyed;
            Found { kind: FindingKind::LeakedGuard, cycle: vec![edge], detail }
        });
        let found = found.collect();
        for held in gone {
            context.held.remove(held.tag);
            context.drop_trace(held.tag);
            // This thread may have nested it after it was destroyed.
            forget(held.tag.lock());
        }
        found
    };
    // Never denied here, far from where the guard was forgotten.
    let _ = report(context, found);
    true
}

#[cfg(all(test, any(debug_assertions, feature = "enforce"), not(loom), not(shuttle)))]
mod tests {
    use super::*;
    use crate::{sync::Mutex, validator::attach::current};

    /// Returns the number of findings about a lock that was acquired at the same place.
    fn findings_at(held: &Entry) -> usize {
        let is_there = |edge: &crate::finding::Edge| edge.held_at == held.site.into();
        ledger::findings().iter().filter(|finding| finding.cycle.iter().any(is_there)).count()
    }

    /// Another thread destroys a lock while this one nests it, so that neither sees the other.
    #[test]
    fn a_lock_that_was_nested_after_its_end_is_forgotten() {
        let (dead, other) = (Mutex::new(()), Mutex::new(()));
        let _forgotten = dead.lock();
        drop(other.lock());
        let context = current().unwrap();
        let held = context.held.only().unwrap();
        let is_known = || {
            let graph = inside(|| graph::lock().snapshot());
            graph.as_petgraph().node_weights().any(|lock| lock.id() == held.tag.lock())
        };
        assert!(is_known() && !settle(context));
        known_locks::note_destroyed(held.tag.lock());
        assert!(settle(context) && context.held.is_empty());
        assert!(!is_known());
        assert_eq!(findings_at(&held), 1);
    }

    /// Another thread, which had the guard, releases a lock and destroys it, after this one has
    /// looked for releases.
    #[test]
    fn a_lock_that_was_released_elsewhere_was_not_forgotten() {
        let lock = Mutex::new(());
        let _sent = lock.lock();
        let context = current().unwrap();
        let held = context.held.only().unwrap();
        context.note_released_elsewhere(held.tag);
        known_locks::note_destroyed(held.tag.lock());
        assert!(settle(context) && context.held.is_empty());
        assert_eq!(findings_at(&held), 0);
    }
}
