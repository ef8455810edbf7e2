//! What is known and not to be told again: pairs of locks by `allow_pair`, and the entries of
//! a `lockdep.toml`.
//!
//! Its lock guards the pairs alone. The file is read once, when it may matter for the first time: see
//! [`load`]. To look for it takes longer than all else that the first lock of a process does.

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

/// From each lock of a pair to the other.
static PAIRS: Mutex<Option<FxHashMap<u64, Others>>> = Mutex::new(None);
/// Whether there were ever any: a glance, without the lock.
static ARE_ANY: AtomicBool = AtomicBool::new(false);
/// The other locks of one lock's pairs, each with its reason.
type Others = FxHashMap<u64, Arc<str>>;

/// The entries of the file, once it was read: none if there is no file, or something is wrong with it.
static FILE: OnceBox<Vec<Entry>> = OnceBox::new();
/// The current folder when the process took its first lock: the file is looked for there, whenever it is
/// read.
static START_FOLDER: OnceBox<PathBuf> = OnceBox::new();

/// One `[[allow]]` of the file.
#[derive(Debug)]
struct Entry {
    /// Where it stands, to be named if nothing needs it: `lockdep.toml:3`.
    #[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
    place: String,
    kind: Option<FindingKind>,
    /// Names of locks, as reports have them: all of these are in the finding.
    locks: Vec<String>,
    /// Places in the source, each the end of a path and maybe a line: all are in the finding.
    sites: Vec<(String, Option<u32>)>,
    reason: Arc<str>,
    is_used: AtomicBool,
}

/// The lock around the pairs.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &PAIRS
}

/// See [`crate::allow_pair`]. Whether the pair is new.
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

/// A lock was destroyed, and its pairs with it: the others of these.
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

/// Why a finding is not to be told, if it is not.
///
/// A deadlock that has happened is told whatever is known of its locks, unless an entry of the
/// file says that it means just that.
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

/// Remembers where to look for the file.
pub(super) fn note_start_folder() {
    let is_named = settings().config.as_ref().is_some_and(|path| Path::new(path).is_absolute());
    if !is_named && let Ok(folder) = std::env::current_dir() {
        let _ = START_FOLDER.set(Box::new(folder));
    }
}

/// Reads the file that `LOCKDEP_CONFIG` names, or the `lockdep.toml` in the folder where the process began or
/// the next above it, unless it was read before. Says by `print` what is wrong with it. Returns `true` if
/// this call has read it and it has entries.
pub(super) fn load(print: fn(&str)) -> bool {
    if FILE.get().is_some() {
        return false;
    }
    // Without a lock: two threads that come here at once read the same file, and one of the results is kept.
    let (entries, complaint) = match read() {
        Ok(entries) => (entries, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    let are_any = !entries.is_empty();
    if FILE.set(Box::new(entries)).is_err() {
        return false;
    }
    if let Some(error) = complaint {
        print(&format!("lockdep: nothing is silenced: {error}"));
    }
    are_any
}

fn read() -> Result<Vec<Entry>, String> {
    let folder = START_FOLDER.get();
    let (path, shown) = if let Some(named) = &settings().config {
        // An absolute path stays what it is when it is joined to another.
        let path = folder.map_or_else(|| PathBuf::from(named), |folder| folder.join(named));
        (path, named.clone())
    } else {
        let folders = folder.into_iter().flat_map(|folder| folder.ancestors());
        let mut paths = folders.map(|folder| folder.join("lockdep.toml"));
        // A folder or a dangling link of this name is an error, and not passed over.
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

/// Returns the entries of the file that nothing has needed so far, by their places.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
pub(super) fn unused() -> Vec<&'static str> {
    let unused = |entry: &&Entry| !entry.is_used.load(Relaxed);
    let entries = FILE.get().into_iter().flatten();
    entries.filter(unused).map(|entry| entry.place.as_str()).collect()
}

/// What is wrong with the text of a file, if anything is.
#[cfg(fuzzing)]
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text, "lockdep.toml").map(|_| ())
}

/// A value with its place, and the key that it stands under.
struct Item<'a> {
    key: &'a str,
    value: &'a DeValue<'a>,
    at: Range<usize>,
}

/// The entries of a file; or what is wrong with it, with line and key.
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
            ("reason", _) => return Err(expected("a text")),
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
        return Err(wrong(at, "`reason` is missing: say why this is no problem"));
    }
    if entry.locks.is_empty() && entry.sites.is_empty() {
        return Err(wrong(at, "`locks` or `sites` is missing: this would silence everything"));
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

/// `src/settle.rs:43`, with or without the line.
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

    /// A pair is one whichever lock is named first, and goes with either.
    #[test]
    fn pairs_go_with_their_locks() {
        // Of no lock of the other tests.
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
    fn a_bad_file_is_one_error_with_line_and_key() {
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
            ("[[allow]]\nreason = 3", "lockdep.toml:2: `reason` must be a text"),
            ("allow = 3", "lockdep.toml:1: `allow` must be a list of tables: `[[allow]]`"),
            ("[[allow]]\nreason = \"x", "lockdep.toml:2: "),
        ] {
            let error = error(text);
            assert!(error.starts_with(expected), "{text}\n{error}");
        }
    }
}
