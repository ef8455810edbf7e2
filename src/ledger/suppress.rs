//! Suppressed findings: pairs of locks from `allow_pair`, and the entries of a `lockdep.toml`.
//!
//! The lock guards the pairs only. The file is read once, when it may first matter, as [`load`]
//! explains: looking for it takes longer than everything else that a process's first lock does.

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;

use super::{allow_entry::Entry, config::parse, known, settings};
use crate::finding::{Finding, FindingKind};
#[cfg(feature = "write_records")]
use crate::record::Allow;

/// Each lock of a pair, mapped to its partners.
static PAIRS: Mutex<Option<FxHashMap<u64, Others>>> = Mutex::new(None);
/// `true` once there was a pair: a check without the lock.
static ARE_ANY: AtomicBool = AtomicBool::new(false);
/// The partners of one lock, each with its reason.
type Others = FxHashMap<u64, Arc<str>>;

/// The entries of the file once it was read; none if it is missing or invalid.
static FILE: OnceBox<Vec<Entry>> = OnceBox::new();
/// The current folder when the process took its first lock. The file is looked for there, whenever
/// it is read.
static START_FOLDER: OnceBox<PathBuf> = OnceBox::new();

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
    FILE.get().into_iter().flatten().map(Entry::for_record).collect()
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
    let entry = FILE.get()?.iter().find(|entry| entry.fits(finding))?;
    entry.is_used.store(true, Relaxed);
    Some(Arc::clone(&entry.reason))
}

/// Remembers where to look for the file. Called with the first lock of the process.
pub(super) fn note_start_folder() {
    let is_named = settings().config.as_ref().is_some_and(|path| Path::new(path).is_absolute());
    if !is_named && let Ok(folder) = std::env::current_dir() {
        let _ = START_FOLDER.set(Box::new(folder));
    }
}

/// Reads the file that `LOCKDEP_CONFIG` names, or the `lockdep.toml` in the start folder or the
/// nearest one above it, unless it was read before. Reports errors with `print`. Returns `true` if
/// this call has read the file and found entries.
pub(super) fn load(print: fn(&str)) -> bool {
    if FILE.get().is_some() {
        return false;
    }
    // Without a lock: two threads that arrive at the same time both read the file, and one result
    // is kept.
    let (entries, complaint) = match read() {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let are_any = !entries.is_empty();
    if FILE.set(Box::new(entries)).is_err() {
        return false;
    }
    if let Some(error) = complaint {
        print(&format!("lockdep: no finding is suppressed: {error}"));
    }
    are_any
}

fn read() -> Result<Vec<Entry>, String> {
    let folder = START_FOLDER.get();
    let (path, shown) = if let Some(named) = &settings().config {
        // `join` with an absolute path returns that path.
        let path = folder.map_or_else(|| PathBuf::from(named), |folder| folder.join(named));
        (path, named.clone())
    } else {
        let folders = folder.into_iter().flat_map(|folder| folder.ancestors());
        let mut paths = folders.map(|folder| folder.join("lockdep.toml"));
        // A folder or a dangling link of this name is an error rather than skipped.
        let Some(path) = paths.find(|path| path.symlink_metadata().is_ok()) else {
            return Ok(Vec::new());
        };
        let shown = path.display().to_string();
        (path, shown)
    };
    match std::fs::read_to_string(&path) {
        Ok(text) => parse(&text, &shown),
        Err(error) => Err(format!("{shown}: {error}")),
    }
}

/// Returns the positions of the entries that no finding has matched so far.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
pub(super) fn unused() -> Vec<&'static str> {
    let unused = |entry: &&Entry| !entry.is_used.load(Relaxed);
    let entries = FILE.get().into_iter().flatten();
    entries.filter(unused).map(|entry| entry.place.as_str()).collect()
}

/// Returns each entry of the file, if it was read: its position, its reason, and whether a finding has matched it.
pub(crate) fn allow_entries() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    let entries = FILE.get().into_iter().flatten();
    entries.map(|entry| (&*entry.place, &*entry.reason, entry.is_used.load(Relaxed)))
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
