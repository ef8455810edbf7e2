//! The program's own source, if it is available.

use std::{
    cell::RefCell,
    collections::HashMap,
    env, fs,
    path::{Component, Path, PathBuf},
    rc::Rc,
};

use serde::Serialize;

/// A place in the source, as written in records: `file:line:column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Place<'a> {
    pub(crate) file: &'a str,
    pub(crate) line: u32,
    /// In characters, from 1; 0 if it is unknown.
    #[serde(skip_serializing_if = "is_zero")]
    pub(crate) column: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes it")]
fn is_zero(column: &u32) -> bool {
    *column == 0
}

impl<'a> Place<'a> {
    pub(crate) fn parse(text: &'a str) -> Option<Self> {
        let (rest, column) = text.rsplit_once(':')?;
        let (file, line) = rest.rsplit_once(':')?;
        Some(Self { file, line: line.parse().ok()?, column: column.parse().ok()? })
    }
}

/// The folders that may contain the program's source, and a cache of its files.
#[derive(Debug, Default)]
pub(crate) struct Sources {
    /// The candidates for the folder to which paths in records are relative: one folder and its
    /// ancestors.
    folders: Vec<PathBuf>,
    /// The root of the repository.
    repository: Option<PathBuf>,
    files: RefCell<HashMap<String, Option<Rc<str>>>>,
}

impl Sources {
    /// Returns the sources of the project that contains a folder.
    pub(crate) fn of(folder: &Path) -> Self {
        let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_owned());
        let folders: Vec<_> = folder.ancestors().map(Path::to_owned).collect();
        let repository = folders.iter().find(|it| it.join(".git").exists()).cloned();
        Self { repository, folders, files: RefCell::default() }
    }

    /// Returns the sources of the project in the current folder.
    pub(crate) fn here() -> Self {
        Self::of(&env::current_dir().unwrap_or_else(|_| PathBuf::from(".")))
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, file: &str) -> Option<Rc<str>> {
        let read = || Some(fs::read_to_string(self.find(file)?).ok()?.into());
        self.files.borrow_mut().entry(file.to_owned()).or_insert_with(read).clone()
    }

    /// Returns one line of a file.
    pub(crate) fn line(&self, place: Place<'_>) -> Option<String> {
        let text = self.text(place.file)?;
        text.lines().nth((place.line as usize).checked_sub(1)?).map(str::to_owned)
    }

    /// Returns the path relative to the repository's root, with slashes. Returns `None` for a file
    /// that is known to be elsewhere; the path of a file that does not exist here is taken as it
    /// is.
    pub(crate) fn in_repository(&self, file: &str) -> Option<String> {
        let path = match (self.find(file), &self.repository) {
            (Some(found), Some(repository)) => found.strip_prefix(repository).ok()?.to_owned(),
            _ => PathBuf::from(file),
        };
        let part = |part: Component<'_>| match part {
            Component::Normal(part) => Some(part.to_string_lossy().into_owned()),
            _ => None,
        };
        let parts: Option<Vec<_>> =
            path.components().filter(|part| *part != Component::CurDir).map(part).collect();
        Some(parts?.join("/"))
    }

    pub(crate) fn repository(&self) -> Option<&Path> {
        self.repository.as_deref()
    }

    fn find(&self, file: &str) -> Option<PathBuf> {
        // Records may come from anyone; they must not bring anything but Rust source into a report.
        Path::new(file).extension().filter(|extension| *extension == "rs")?;
        self.folders.iter().map(|folder| folder.join(file)).find(|path| path.is_file())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_parsed_from_the_end() {
        let place = Place::parse(r"C:\a b\lib.rs:12:7").unwrap();
        assert_eq!((place.file, place.line, place.column), (r"C:\a b\lib.rs", 12, 7));
        assert_eq!(Place::parse("an unknown place"), None);
        assert_eq!(Place::parse("a:b:c"), None);
    }

    #[test]
    fn paths_are_relative_to_the_repository_root() {
        let package = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = Sources::of(&package.join("src/report"));
        let path = |file: &str| sources.in_repository(file);
        if sources.repository().is_some() {
            assert_eq!(path("cargo-lockdep/src/main.rs").unwrap(), "cargo-lockdep/src/main.rs");
            assert_eq!(path("src/main.rs").unwrap(), "cargo-lockdep/src/main.rs");
        }
        assert_eq!(path("./src/of_another_machine.rs").unwrap(), "src/of_another_machine.rs");
        assert_eq!(path("/rustc/1234/library/std/src/lib.rs"), None);
        assert_eq!(path("../elsewhere.rs"), None);
        assert!(sources.line(Place { file: "src/main.rs", line: 1, column: 1 }).is_some());
        assert_eq!(sources.line(Place { file: "src/main.rs", line: 0, column: 1 }), None);
        assert_eq!(sources.line(Place { file: "Cargo.toml", line: 1, column: 1 }), None);
    }
}
