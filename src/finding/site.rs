//! A place in the source.

use std::{borrow::Cow, fmt, panic::Location, path::Path};

use super::doctest;
use crate::upstream;

/// A place in the source: file, line and column, both counted from 1.
///
/// ```
/// use std::panic::Location;
///
/// let site = lockdep::Site::from(Location::caller());
/// assert!(site.to_string().starts_with(file!())); // src/main.rs:3:12
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Site {
    file: Cow<'static, str>,
    line: u32,
    column: u32,
}

impl Site {
    pub(crate) fn new(file: String, line: u32, column: u32) -> Self {
        Self { file: Cow::Owned(file), line, column }
    }

    /// Returns `true` if both are the same line, where either path may be relative to a folder that the other one
    /// begins with.
    pub(crate) fn is_at(&self, other: &Self) -> bool {
        let is_end = |long: &str, short: &str| {
            long.strip_suffix(short)
                .is_some_and(|root| root.is_empty() || root.ends_with(['/', '\\']))
        };
        self.line == other.line
            && (is_end(&self.file, &other.file) || is_end(&other.file, &self.file))
    }

    /// Returns the place with a path relative to a folder, if it is in there.
    pub(crate) fn relative_to(&self, root: &Path) -> Self {
        let file = match Path::new(&*self.file).strip_prefix(root) {
            Ok(file) => Cow::Owned(file.display().to_string()),
            Err(_) => self.file.clone(),
        };
        Self { file, ..*self }
    }

    /// Returns the path as passed to the compiler: for crates of a workspace, relative to the
    /// workspace's root.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// Returns the line, counted from 1.
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Returns `true` if this is in the standard library: it only says that a `.map(Mutex::new)`
    /// somewhere called the constructor.
    pub(crate) fn is_of_the_toolchain(&self) -> bool {
        upstream::is_of_the_toolchain(&self.file)
    }

    /// Returns `true` for the acquisitions in lock_api's `ReentrantMutex`. They happen in a
    /// closure, so the caller is unknown.
    pub(crate) fn is_of_reentrant_mutex(&self) -> bool {
        upstream::is_reentrant_mutex(&self.file)
    }

    /// Returns `true` in the mirror of rayon, which spawns the workers of pools.
    pub(crate) fn is_of_our_rayon(&self) -> bool {
        self.file.ends_with("src/rayon/builder.rs")
    }

    /// Returns `true` in the program of a doctest, where the line may be counted inside that program,
    /// unlike those of the file.
    pub(crate) fn may_be_in_a_doctest(&self) -> bool {
        doctest::may_be_elsewhere(&self.file)
    }

    /// Returns the column, counted from 1 in characters.
    #[must_use]
    pub fn column(&self) -> u32 {
        self.column
    }
}

impl From<&'static Location<'static>> for Site {
    fn from(location: &'static Location<'static>) -> Self {
        let (file, line, column) = doctest::place(location);
        Self { file, line, column }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)?;
        // Unknown in some call stacks.
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        if self.may_be_in_a_doctest() { f.write_str(" (or in a doctest)") } else { Ok(()) }
    }
}
