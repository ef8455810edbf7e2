//! The outcome of each crate's compilation, as a file (a note), so that it is still known when the
//! crate is up to date and not compiled again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

/// The extension of files in the folder of records that hold the path of a program that has run.
const PROGRAM: &str = "program";

/// The extension of files in the folder of records with the note on a crate that does not compile.
const FAILURE: &str = "failure";

/// The extension of files that mark a program in which unknown tasks awaited locks.
const UNKNOWN_TASKS: &str = "unknown_tasks";

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Note {
    /// The package's name and version.
    pub(crate) package: String,
    pub(crate) crate_name: String,
    pub(crate) outcome: Outcome,
    /// The crate defines locks, which are checked only if it is replaced.
    pub(crate) brings_locks: bool,
    /// The crate does not compile with checked standard streams and uses std's.
    pub(crate) lacks_streams: bool,
    /// The crate is replaced, and tasks await its locks.
    pub(crate) is_awaited: bool,
    /// Why some or all of these tasks are unknown.
    pub(crate) unknown_tasks: Option<UnknownTasks>,
    /// The crates that it depends on, by the stems of their files.
    pub(crate) needs: BTreeSet<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Outcome {
    /// The crate's locks are checked.
    Checked,
    /// As `Checked`, with the locks that it builds on `lock_api`.
    CheckedParts,
    /// A crate with checked locks replaces it.
    Replaced,
    /// The crate is `no_std`.
    NoStd,
    /// The crate was not selected.
    Unchosen,
    /// The crate does not compile with checked locks and was built with the real ones. Holds
    /// rustc's first error.
    FellBack(String),
    /// The crate was built with the real locks, because a crate that depends on it does not compile otherwise. Holds
    /// the package of that crate.
    FellBackFor(String),
    /// It is lockdep, and its findings are recorded.
    Records,
    /// It is lockdep, and its findings are not recorded. Holds the reason.
    Unrecorded(String),
}

impl Outcome {
    /// Returns `true` if the crate was built with the real locks of std, parking_lot and once_cell.
    pub(crate) fn has_real_locks(&self) -> bool {
        matches!(self, Self::FellBack(_) | Self::FellBackFor(_) | Self::Unchosen)
    }

    /// Returns `true` if crates that use it see checked locks.
    pub(crate) fn has_checked_locks(&self) -> bool {
        !self.has_real_locks() && *self != Self::NoStd
    }
}

/// Why the tasks that await a crate's locks are unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum UnknownTasks {
    /// The crate does not report those that it runs.
    Of(WhyUnknown),
    /// While a program ran, something other than a known task polled the future of a lock: another
    /// executor, or a version of a crate that runs its tasks in an unknown way.
    Elsewhere,
}

/// Why a crate does not report its tasks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum WhyUnknown {
    /// The program traces its tasks itself.
    OwnTracing,
    /// The crate does not compile with our `tracing`. Holds rustc's first error.
    Incompatible(String),
}

pub(crate) fn write(folder: &Path, unit: &str, note: &Note) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(unit), serde_json::to_vec(note)?)
}

pub(crate) fn read_one(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Records that a crate does not compile while crates below it have checked locks.
pub(crate) fn write_failure(records: &Path, unit: &str, note: &Note) -> io::Result<()> {
    fs::write(records.join(unit).with_extension(FAILURE), serde_json::to_vec(note)?)
}

/// Removes and returns the notes of [`write_failure`].
pub(crate) fn take_failures(records: &Path) -> Vec<Note> {
    let files = with_extension(records, FAILURE);
    files
        .filter_map(|path| {
            let note = read_one(&path);
            let _ = fs::remove_file(path);
            note
        })
        .collect()
}

/// Returns the notes on all crates below one that needs the named ones, by the stems of their files.
pub(crate) fn below(folder: &Path, needs: &BTreeSet<String>) -> BTreeMap<String, Note> {
    let mut found = BTreeMap::new();
    let mut waiting: Vec<_> = needs.iter().cloned().collect();
    while let Some(name) = waiting.pop() {
        if found.contains_key(&name) {
            continue;
        }
        if let Some(note) = read_one(&folder.join(&name)) {
            waiting.extend(note.needs.iter().cloned());
            found.insert(name, note);
        }
    }
    found
}

fn with_extension(folder: &Path, extension: &'static str) -> impl Iterator<Item = PathBuf> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let has_it = move |path: &PathBuf| path.extension() == Some(OsStr::new(extension));
    files.map(|file| file.path()).filter(has_it)
}

/// Records that doc examples of a crate have run.
pub(crate) fn has_run(records: &Path, unit: &str) -> io::Result<()> {
    fs::write(records.join(unit).with_extension(PROGRAM), unit)
}

/// Returns the notes on the crates of which the programs that ran consist. `records` is the folder of the run.
///
/// A program without checked locks leaves no trace there. So crates of `packages` that fell back are included, and those
/// below them. Other projects may share the folder of the notes, so others are not.
pub(crate) fn of_run(folder: &Path, records: &Path, packages: &BTreeSet<String>) -> BTreeSet<Note> {
    let files = |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten();
    let mut notes = Vec::new();
    for file in files(folder) {
        let written = file.metadata().and_then(|file| file.modified());
        let name = file.file_name().to_string_lossy().into_owned();
        notes.extend(read_one(&file.path()).map(|note| Unit {
            name,
            note,
            written: written.unwrap_or(SystemTime::UNIX_EPOCH),
        }));
    }
    let programs =
        with_extension(records, PROGRAM).filter_map(|path| fs::read_to_string(path).ok());
    let killed = with_extension(records, "jsonl").filter_map(|path| killed_program(&path));
    let mut made_of = made_of(&notes, programs.chain(killed));
    made_of.extend(fallbacks(&notes, packages));
    if with_extension(records, UNKNOWN_TASKS).next().is_none() {
        return made_of;
    }
    made_of.into_iter().map(Note::with_unknown_tasks).collect()
}

/// Returns the name of the program that wrote a record, `<program>-<process>-<id>.jsonl`, unless the process has
/// left its path.
fn killed_program(record: &Path) -> Option<String> {
    let mut parts = record.file_stem()?.to_str()?.rsplitn(3, '-').skip(1);
    let (process, program) = (parts.next()?, parts.next()?);
    let has_path = record.with_file_name(process).with_extension(PROGRAM).exists();
    (!has_path).then(|| program.to_owned())
}

impl Note {
    /// Returns the name of its package, without the version.
    pub(crate) fn package_name(&self) -> &str {
        self.package.split(' ').next().unwrap_or_default()
    }

    /// Records that unknown tasks awaited the crate's locks, unless the reason is already known.
    fn with_unknown_tasks(mut self) -> Self {
        if self.is_awaited {
            self.unknown_tasks.get_or_insert(UnknownTasks::Elsewhere);
        }
        self
    }
}

/// The latest compilation of a crate.
struct Unit {
    name: String,
    note: Note,
    written: SystemTime,
}

fn made_of(units: &[Unit], programs: impl Iterator<Item = String>) -> BTreeSet<Note> {
    let by_name: BTreeMap<_, _> = units.iter().map(|unit| (&*unit.name, unit)).collect();
    // Cargo also links a program under its plain name, which belongs to the newest compilation.
    let newest = |name: &str| {
        let name = name.replace('-', "_");
        let named = units.iter().filter(|unit| unit.note.crate_name == name);
        named.max_by_key(|unit| unit.written)
    };
    let programs = programs.filter_map(|path| {
        let name = Path::new(&path).file_stem()?.to_str()?;
        by_name.get(name).copied().or_else(|| newest(name))
    });
    with_dependencies(&by_name, programs.collect())
}

/// Returns the notes on the crates that fell back, among those of some packages and below.
fn fallbacks<'a>(units: &'a [Unit], packages: &'a BTreeSet<String>) -> impl Iterator<Item = Note> {
    let by_name: BTreeMap<_, _> = units.iter().map(|unit| (&*unit.name, unit)).collect();
    let mut newest = BTreeMap::<_, &Unit>::new();
    for unit in units.iter().filter(|unit| packages.contains(unit.note.package_name())) {
        let place = newest.entry((&unit.note.package, &unit.note.crate_name)).or_insert(unit);
        if place.written < unit.written {
            *place = unit;
        }
    }
    let notes = with_dependencies(&by_name, newest.into_values().collect());
    notes.into_iter().filter(|note| {
        matches!(
            note.outcome,
            Outcome::FellBack(_) | Outcome::FellBackFor(_) | Outcome::Unrecorded(_)
        )
    })
}

/// Returns the notes on some crates, and on all that they depend on.
fn with_dependencies<'a>(
    by_name: &BTreeMap<&str, &'a Unit>,
    mut waiting: Vec<&'a Unit>,
) -> BTreeSet<Note> {
    let mut seen = BTreeSet::new();
    let mut notes = BTreeSet::new();
    while let Some(unit) = waiting.pop() {
        if seen.insert(&unit.name) {
            notes.insert(unit.note.clone());
            waiting.extend(unit.note.needs.iter().filter_map(|name| by_name.get(&**name).copied()));
        }
    }
    notes
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn unit(name: &str, age: u64, needs: &[&str]) -> Unit {
        let (crate_name, _) = name.split_once('-').unwrap();
        let note = Note {
            package: format!("{name} 1.0.0"),
            crate_name: crate_name.to_owned(),
            outcome: Outcome::Checked,
            brings_locks: false,
            lacks_streams: false,
            is_awaited: false,
            unknown_tasks: None,
            needs: needs.iter().map(|&name| name.to_owned()).collect(),
        };
        let written = SystemTime::now() - Duration::from_secs(age);
        Unit { name: name.to_owned(), note, written }
    }

    #[test]
    fn what_has_run_is_told_from_what_was_built_once() {
        let units = [
            unit("shop-1", 2, &["old-1"]),
            unit("shop-2", 1, &["store-1"]),
            unit("store-1", 3, &["plain-1", "not_ours-1"]),
            unit("plain-1", 3, &[]),
            unit("old-1", 3, &[]),
            unit("the_test-1", 3, &["old-1"]),
        ];
        let of = |programs: &[&str]| {
            let notes = made_of(&units, programs.iter().map(|&path| path.to_owned()));
            notes.into_iter().map(|note| note.package.replace(" 1.0.0", "")).collect::<Vec<_>>()
        };
        assert_eq!(of(&["/t/debug/shop"]), ["plain-1", "shop-2", "store-1"]);
        assert_eq!(
            of(&["/t/debug/deps/the_test-1", "plain-1"]),
            ["old-1", "plain-1", "the_test-1"]
        );
        assert_eq!(of(&[]), [""; 0]);

        let fell_back = |name: &str, age, needs: &[&str]| {
            let unit = unit(name, age, needs);
            let outcome = Outcome::FellBack("no".to_owned());
            Unit { note: Note { package: "store 1".to_owned(), outcome, ..unit.note }, ..unit }
        };
        let units = [
            fell_back("store-1", 2, &["plain-1"]),
            fell_back("store-2", 1, &["plain-1"]),
            fell_back("other-1", 1, &[]),
            unit("plain-1", 3, &[]),
        ];
        let of = |package: &str| {
            let packages = BTreeSet::from([package.to_owned()]);
            fallbacks(&units, &packages).map(|note| note.crate_name).collect::<Vec<_>>()
        };
        assert_eq!(of("store"), ["other", "store"]);
        assert_eq!(of("plain"), [""; 0]);
    }
}
