//! Suppressed findings: pairs of locks from `allow_pair`, and the entries of a `lockdep.toml`. The lock guards the
//! pairs only.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{allow_entry::Entry, config_file::entries, known};
use crate::finding::{Finding, FindingKind};
#[cfg(feature = "write_records")]
use crate::record::Allow;

/// Each lock of a pair, mapped to its partners.
static PAIRS: Mutex<Option<FxHashMap<u64, Others>>> = Mutex::new(None);
/// `true` once there was a pair: a check without the lock.
static ARE_ANY: AtomicBool = AtomicBool::new(false);
/// The partners of one lock, each with its reason.
type Others = FxHashMap<u64, Arc<str>>;

/// Returns the lock around the pairs, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &PAIRS
}

/// See [`crate::allow_pair`]. Returns `true` if the pair is new.
pub(crate) fn allow_pair([a, b]: [u64; 2], reason: &str) -> bool {
    if a == b {
        return false;
    }
    let reason: Arc<str> = Arc::from(reason);
    let mut pairs = PAIRS.lock();
    ARE_ANY.store(true, Relaxed);
    let pairs = pairs.get_or_insert_default();
    pairs.entry(a).or_default().insert(b, Arc::clone(&reason));
    pairs.entry(b).or_default().insert(a, reason).is_none()
}

/// Removes the pairs of a destroyed lock and returns its partners.
pub(crate) fn forget_pairs(lock: u64) -> Vec<u64> {
    if !ARE_ANY.load(Relaxed) {
        return Vec::new();
    }
    let mut pairs = PAIRS.lock();
    let Some(pairs) = pairs.as_mut() else { return Vec::new() };
    let others: Vec<u64> = pairs.remove(&lock).unwrap_or_default().into_keys().collect();
    for other in &others {
        if let Some(theirs) = pairs.get_mut(other) {
            theirs.remove(&lock);
            if theirs.is_empty() {
                pairs.remove(other);
            }
        }
    }
    others
}

/// Returns why all orders of two locks are allowed, if they are.
pub(super) fn reason_for_pair(a: u64, b: u64) -> Option<Arc<str>> {
    if !ARE_ANY.load(Relaxed) {
        return None;
    }
    PAIRS.lock().as_ref().and_then(|pairs| pairs.get(&a)?.get(&b).cloned())
}

/// Returns the entries of the file, if it was read.
#[cfg(feature = "write_records")]
pub(super) fn for_record() -> Vec<Allow<'static>> {
    entries().iter().map(Entry::for_record).collect()
}

/// Returns why a finding is suppressed, if it is.
///
/// A deadlock that has happened is reported regardless of pairs, and suppressed only by an entry of
/// the file for that kind.
pub(super) fn reason(finding: &Finding) -> Option<Arc<str>> {
    let locks = finding.cycle.iter().flat_map(|edge| [edge.held.id, edge.wanted.id]);
    let mut locks: Vec<u64> = locks.collect();
    locks.sort_unstable();
    locks.dedup();
    if finding.kind != FindingKind::Deadlock
        && let Ok([a, b]) = <[u64; 2]>::try_from(locks)
        && let Some(reason) = reason_for_pair(a, b)
    {
        return Some(reason);
    }
    if let Some(reason) = known::reason(finding) {
        return Some(Arc::from(reason));
    }
    super::load_config();
    let entry = entries().iter().find(|entry| entry.fits(finding))?;
    entry.is_used.store(true, Relaxed);
    Some(Arc::clone(&entry.reason))
}

/// Returns the positions of the entries that no finding has matched so far.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
pub(super) fn unused() -> Vec<&'static str> {
    let unused = |entry: &&Entry| !entry.is_used.load(Relaxed);
    let entries = entries().iter();
    entries.filter(unused).map(|entry| entry.place.as_str()).collect()
}

/// Returns each entry of the file, if it was read: its position, its reason, and whether a finding has matched it.
pub(crate) fn allow_entries() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    entries().iter().map(|entry| (&*entry.place, &*entry.reason, entry.is_used.load(Relaxed)))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    /// A pair is symmetric, and goes away with either lock.
    #[test]
    fn pairs_are_forgotten_with_their_locks() {
        // Not used by any other test.
        let [a, b, c] = [1, 2, 3].map(|number| u64::MAX - number);
        assert!(allow_pair([a, b], "startup alone") && allow_pair([c, b], "startup alone"));
        assert!(!allow_pair([b, a], "said again") && !allow_pair([a, a], "no pair"));
        let mut others = forget_pairs(b);
        others.sort_unstable();
        assert_eq!(others, [c, a]);
        assert!([a, b, c].map(forget_pairs).iter().all(Vec::is_empty));
        let pairs = PAIRS.lock();
        assert!(
            pairs.as_ref().is_some_and(|pairs| ![a, b, c].iter().any(|it| pairs.contains_key(it)))
        );
    }
}
