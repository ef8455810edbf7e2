//! A place in the source.

use std::{borrow::Cow, fmt, panic::Location};

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
        write!(f, "{}:{}:{}", self.file, self.line, self.column)?;
        if self.may_be_in_a_doctest() { f.write_str(" (or in a doctest)") } else { Ok(()) }
    }
}
