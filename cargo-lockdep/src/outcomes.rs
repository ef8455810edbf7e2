//! The outcome of each crate's compilation, as a file (a note), so that it is still known when the
//! crate is up to date and not compiled again.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    fs, io,
    path::Path,
    time::SystemTime,
};

use serde::{Deserialize, Serialize};

/// The extension of files in the folder of records that hold the path of a program that has run.
const PROGRAM: &str = "program";

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
    pub(crate) has_tasks: bool,
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
}

/// Why the tasks that await a crate's locks are unknown.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum UnknownTasks {
    /// The program traces its tasks itself.
    OwnTracing,
    /// The crate does not compile with our `tracing`. Holds rustc's first error.
    Incompatible(String),
    /// While a program ran, something other than a known task polled the future of a lock: another
    /// executor, or a version of the crate that runs its tasks in an unknown way.
    Elsewhere,
}

pub(crate) fn write(folder: &Path, unit: &str, note: &Note) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(unit), serde_json::to_vec(note)?)
}

pub(crate) fn read_one(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Records that doc examples of a crate have run.
pub(crate) fn has_run(records: &Path, unit: &str) -> io::Result<()> {
    fs::write(records.join(unit).with_extension(PROGRAM), unit)
}

/// Returns the notes on the crates of which the programs that ran consist, or all notes if no
/// program is known. `records` is the folder of the run.
pub(crate) fn of_run(folder: &Path, records: &Path) -> BTreeSet<Note> {
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
    let of_kind = |kind: &'static str| {
        files(records)
            .map(|file| file.path())
            .filter(move |path| path.extension() == Some(OsStr::new(kind)))
    };
    let programs = of_kind(PROGRAM).filter_map(|path| fs::read_to_string(path).ok());
    let made_of = made_of(&notes, programs);
    if of_kind(UNKNOWN_TASKS).next().is_none() {
        return made_of;
    }
    made_of.into_iter().map(Note::with_unknown_tasks).collect()
}

impl Note {
    /// Records that unknown tasks awaited the crate's locks, unless the reason is already known.
    fn with_unknown_tasks(mut self) -> Self {
        if self.has_tasks {
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
    let mut waiting: Vec<&Unit> = programs
        .filter_map(|path| {
            let name = Path::new(&path).file_stem()?.to_str()?;
            by_name.get(name).copied().or_else(|| newest(name))
        })
        .collect();
    if waiting.is_empty() {
        return units.iter().map(|unit| unit.note.clone()).collect();
    }
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
            has_tasks: false,
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
        assert_eq!(of(&[]).len(), units.len());
    }
}
