//! The acquisitions that threads make before they let an event happen.
//!
//! A wait for an event is also a wait for these acquisitions, so they are edges from the event.
//! Most events are never waited for under a lock. So the acquisitions are kept here, outside the
//! order graph, until one is. Then the event becomes *awaited*, and its edges are entered.
//!
//! The lock guards the table only.

use std::panic::Location;

use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use smallvec::SmallVec;

use crate::validator::{context::acquisition_log::Logged, lock_id::LockId};

/// The number of acquisitions kept for one event. Later ones are missed.
const MAX_OWED: usize = 128;

static OBLIGATIONS: Mutex<Option<FxHashMap<LockId, Obligation>>> = Mutex::new(None);

/// The acquisitions and obligors of one event.
#[derive(Default)]
struct Obligation {
    owed: Vec<Owed>,
    is_awaited: bool,
    /// The numbers of the threads that must all act before the event happens. Empty if unknown.
    obligors: SmallVec<[u64; 2]>,
}

/// An acquisition that a thread makes before it lets the event happen.
#[derive(Clone)]
pub(in crate::validator) struct Owed {
    /// Where that thread last let the event happen.
    pub(in crate::validator) since: &'static Location<'static>,
    pub(in crate::validator) acquired: Logged,
}

/// Returns the lock around the table, for a fork.
#[cfg(all(unix, not(loom)))]
pub(in crate::validator) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &OBLIGATIONS
}

/// Adds acquisitions that an event depends on. Returns `true` if it is awaited, so that they must
/// be entered into the graph.
pub(in crate::validator) fn add(event: LockId, owed: impl Iterator<Item = Owed>) -> bool {
    let mut all = OBLIGATIONS.lock();
    let obligation = all.get_or_insert_default().entry(event).or_default();
    obligation.owed.retain(|known| known.acquired.is_remembered());
    for new in owed {
        let is_known = |known: &Owed| known.acquired.covers(&new.acquired);
        if !obligation.owed.iter().any(is_known) && obligation.owed.len() < MAX_OWED {
            obligation.owed.push(new);
        }
    }
    obligation.is_awaited
}

/// Called when an event is about to be waited for under a lock. Returns what it depends on.
pub(in crate::validator) fn wait_for(event: LockId) -> Vec<Owed> {
    let mut all = OBLIGATIONS.lock();
    let obligation = all.get_or_insert_default().entry(event).or_default();
    obligation.is_awaited = true;
    obligation.owed.retain(|known| known.acquired.is_remembered());
    obligation.owed.clone()
}

/// Returns what an event depends on.
pub(in crate::validator) fn of(event: LockId) -> Vec<Owed> {
    let all = OBLIGATIONS.lock();
    all.as_ref().and_then(|all| all.get(&event)).map_or_else(Vec::new, |known| known.owed.clone())
}

/// Sets the numbers of the threads that must all act before the event happens; none if unknown.
pub(in crate::validator) fn set_obligors(event: LockId, numbers: impl IntoIterator<Item = u64>) {
    let mut all = OBLIGATIONS.lock();
    let obligation = all.get_or_insert_default().entry(event).or_default();
    obligation.obligors.clear();
    obligation.obligors.extend(numbers);
}

/// Returns the threads that must all act before the event happens.
pub(in crate::validator) fn obligors(event: LockId) -> SmallVec<[u64; 2]> {
    let all = OBLIGATIONS.lock();
    let known = all.as_ref().and_then(|all| all.get(&event));
    known.map_or_else(SmallVec::new, |known| known.obligors.clone())
}

/// Forgets an event, which will not happen again or depends on unknown threads.
pub(in crate::validator) fn forget(event: LockId) {
    let mut all = OBLIGATIONS.lock();
    let forgotten = all.as_mut().map(|all| all.remove(&event));
    drop(all);
    drop(forgotten);
}
