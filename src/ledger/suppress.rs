//! Suppressed findings: pairs of locks from `allow_pair`, and the entries of a `lockdep.toml`.
//!
//! The lock guards the pairs only. The file is read once, when it may first matter, as [`load`]
//! explains: looking for it takes longer than everything else that a process's first lock does.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use once_cell::race::OnceBox;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use toml::{
    Spanned,
    de::{DeArray, DeTable, DeValue},
};

use super::{known, settings};
use crate::{
    finding::{Finding, FindingKind, Site, UnknownName},
    render,
};

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

/// One `[[allow]]` entry of the file.
#[derive(Debug)]
struct Entry {
    /// The entry's position, printed if it is unused: `lockdep.toml:3`.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
    place: String,
    kind: Option<FindingKind>,
    /// Names of locks as reports print them. The finding must have all of them.
    locks: Vec<String>,
    /// Source locations, each a suffix of a path and an optional line. The finding must have all of
    /// them.
    sites: Vec<(String, Option<u32>)>,
    reason: Arc<str>,
    is_used: AtomicBool,
}

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
        && let Some(reason) =
            PAIRS.lock().as_ref().and_then(|pairs| pairs.get(&a)?.get(&b).cloned())
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

impl Entry {
    fn fits(&self, finding: &Finding) -> bool {
        let is_at = |(file, line): &(String, Option<u32>), site: &Site| {
            Path::new(site.file()).ends_with(file) && line.is_none_or(|line| line == site.line())
        };
        let sites = || finding.cycle.iter().flat_map(|edge| [&edge.held_at, &edge.acquired_at]);
        let is_of_kind = match self.kind {
            Some(kind) => finding.kind == kind,
            None => finding.kind != FindingKind::Deadlock,
        };
        is_of_kind
            && self.sites.iter().all(|place| sites().any(|site| is_at(place, site)))
            && (self.locks.is_empty() || {
                let names = render::lock_names(finding);
                self.locks.iter().all(|lock| names.contains(lock))
            })
    }
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

/// Parses a file. Returns the error, if there is one.
#[cfg(fuzzing)]
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text, "lockdep.toml").map(|_| ())
}

/// A key with its value and position.
struct Item<'a> {
    key: &'a str,
    value: &'a DeValue<'a>,
    at: Range<usize>,
}

/// Parses the entries of a file. An error names the line and the key.
fn parse(text: &str, path: &str) -> Result<Vec<Entry>, String> {
    let place = |at: &Range<usize>| {
        let line = text[..at.start.min(text.len())].matches('\n').count() + 1;
        format!("{path}:{line}")
    };
    let wrong = |at: &Range<usize>, what: &str| format!("{}: {what}", place(at));
    let table = DeTable::parse(text)
        .map_err(|error| wrong(&error.span().unwrap_or_default(), error.message().trim()))?;
    let mut entries = Vec::new();
    for item in items(table.get_ref()) {
        if item.key != "allow" {
            let what = format!("unknown key `{}`, expected `[[allow]]`", item.key);
            return Err(wrong(&item.at, &what));
        }
        let DeValue::Array(all) = item.value else {
            return Err(wrong(&item.at, "`allow` must be a list of tables: `[[allow]]`"));
        };
        for entry in all {
            let at = entry.span();
            let DeValue::Table(table) = entry.get_ref() else {
                return Err(wrong(&at, "`allow` must be a list of tables: `[[allow]]`"));
            };
            entries.push(parse_entry(table, &at, place(&at), &wrong)?);
        }
    }
    Ok(entries)
}

fn parse_entry(
    table: &DeTable<'_>,
    at: &Range<usize>,
    place: String,
    wrong: &impl Fn(&Range<usize>, &str) -> String,
) -> Result<Entry, String> {
    let mut entry = Entry {
        place,
        kind: None,
        locks: Vec::new(),
        sites: Vec::new(),
        reason: Arc::from(""),
        is_used: AtomicBool::new(false),
    };
    for Item { key, value, at } in items(table) {
        let expected = |what: &str| wrong(&at, &format!("`{key}` must be {what}"));
        match (key, value) {
            ("reason", DeValue::String(reason)) => entry.reason = Arc::from(reason.trim()),
            ("reason", _) => return Err(expected("a string")),
            ("kind", DeValue::String(name)) => {
                let kind =
                    name.parse().map_err(|error: UnknownName| wrong(&at, &error.to_string()))?;
                entry.kind = Some(kind);
            }
            ("kind", _) => return Err(expected("the name of a kind of finding")),
            ("locks", DeValue::Array(locks)) => {
                entry.locks = texts(locks).ok_or_else(|| expected("a list of names"))?;
            }
            ("sites", DeValue::Array(sites)) => {
                let sites = texts(sites).ok_or_else(|| expected("a list of places"))?;
                entry.sites = sites.iter().map(|site| parse_site(site)).collect();
            }
            ("locks" | "sites", _) => return Err(expected("a list")),
            _ => {
                let known = "`kind`, `locks`, `sites` or `reason`";
                return Err(wrong(&at, &format!("unknown key `{key}`, expected {known}")));
            }
        }
    }
    if entry.reason.is_empty() {
        return Err(wrong(at, "`reason` is missing: say why the finding is harmless"));
    }
    if entry.locks.is_empty() && entry.sites.is_empty() {
        return Err(wrong(
            at,
            "`locks` or `sites` is missing: the entry would match every finding",
        ));
    }
    Ok(entry)
}

fn items<'a>(table: &'a DeTable<'a>) -> impl Iterator<Item = Item<'a>> {
    table.iter().map(|(key, value): (&Spanned<_>, &Spanned<_>)| Item {
        key: key.get_ref(),
        value: value.get_ref(),
        at: key.span(),
    })
}

fn texts(array: &DeArray<'_>) -> Option<Vec<String>> {
    let text = |value: &Spanned<DeValue<'_>>| value.get_ref().as_str().map(str::to_owned);
    array.iter().map(text).collect()
}

/// Parses `src/settle.rs:43`, with or without the line.
fn parse_site(site: &str) -> (String, Option<u32>) {
    match site.rsplit_once(':').map(|(file, line)| (file, line.parse())) {
        Some((file, Ok(line))) => (file.to_owned(), Some(line)),
        _ => (site.to_owned(), None),
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        parse(text, "lockdep.toml").map(|_| ()).expect_err(text)
    }

    #[test]
    fn entries() {
        let text = r#"
            [[allow]]
            kind = "inversion"
            locks = ["a", "b.c"]
            reason = "startup alone"

            [[allow]]
            sites = ["src/main.rs:7", "lib.rs"]
            reason = "never at once"
        "#;
        let entries = parse(text, "lockdep.toml").unwrap();
        assert_eq!(entries[0].kind, Some(FindingKind::Inversion));
        assert_eq!(entries[0].locks, ["a", "b.c"]);
        assert_eq!(&*entries[0].reason, "startup alone");
        let sites = [("src/main.rs".to_owned(), Some(7)), ("lib.rs".to_owned(), None)];
        assert_eq!(entries[1].sites, sites);
        assert_eq!(entries[1].place, "lockdep.toml:7");
        assert!(parse("", "lockdep.toml").unwrap().is_empty());
    }

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

    #[test]
    fn an_invalid_file_is_one_error_with_line_and_key() {
        for (text, expected) in [
            ("[[allow]]\nlocks = [\"a\"]\n", "lockdep.toml:1: `reason` is missing"),
            ("[[allow]]\nreason = \"x\"", "lockdep.toml:1: `locks` or `sites` is missing"),
            (
                "\n[[alow]]\nreason = \"x\"",
                "lockdep.toml:2: unknown key `alow`, expected `[[allow]]`",
            ),
            (
                "[[allow]]\n\nlock = [\"a\"]",
                "lockdep.toml:3: unknown key `lock`, expected `kind`, `locks`, `sites` or `reason`",
            ),
            (
                "[[allow]]\nkind = \"inversoin\"",
                "lockdep.toml:2: unknown kind of finding `inversoin`, expected `inversion`",
            ),
            ("[[allow]]\nkind = 3", "lockdep.toml:2: `kind` must be the name of a kind of finding"),
            ("[[allow]]\nlocks = \"a\"", "lockdep.toml:2: `locks` must be a list"),
            ("[[allow]]\nlocks = [1]", "lockdep.toml:2: `locks` must be a list of names"),
            ("[[allow]]\nreason = 3", "lockdep.toml:2: `reason` must be a string"),
            ("allow = 3", "lockdep.toml:1: `allow` must be a list of tables: `[[allow]]`"),
            ("[[allow]]\nreason = \"x", "lockdep.toml:2: "),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{text}\n{error}");
        }
    }
}
