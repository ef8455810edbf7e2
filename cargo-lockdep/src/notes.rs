//! What was done with each crate. A note is a file, as a crate that is up to date is not
//! compiled again, and its note is to be told all the same.

use std::{collections::BTreeSet, fs, io, path::Path};

use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Note {
    /// Its name and version.
    pub(crate) package: String,
    pub(crate) crate_name: String,
    pub(crate) fate: Fate,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Fate {
    /// Its locks are checked.
    Checked,
    /// It has no std.
    NoStd,
    /// It was built with the real std, as it could not be with ours: rustc's first error.
    FellBack(String),
}

pub(crate) fn write(folder: &Path, unit: &str, note: &Note) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(folder.join(unit), serde_json::to_vec(note)?)
}

pub(crate) fn fell_back(folder: &Path, unit: &str) -> bool {
    read_one(&folder.join(unit)).is_some_and(|note| matches!(note.fate, Fate::FellBack(_)))
}

/// All notes, each once.
pub(crate) fn read(folder: &Path) -> BTreeSet<Note> {
    let files = fs::read_dir(folder).into_iter().flatten();
    files.filter_map(|file| read_one(&file.ok()?.path())).collect()
}

fn read_one(path: &Path) -> Option<Note> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}
