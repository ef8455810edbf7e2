//! A place in the source.

use std::{borrow::Cow, fmt, panic::Location};

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
    /// The path as the compiler was given it: for the crates of a workspace,
    /// relative to the workspace's root.
    ///
    /// ```
    /// let site = lockdep::Site::from(std::panic::Location::caller());
    /// assert_eq!(site.file(), file!());
    /// ```
    #[must_use]
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The line, from 1.
    ///
    /// ```
    /// let (site, line) = (lockdep::Site::from(std::panic::Location::caller()), line!());
    /// assert_eq!(site.line(), line);
    /// ```
    #[must_use]
    pub fn line(&self) -> u32 {
        self.line
    }

    /// Whether it belongs to the standard library: then it is where some
    /// `.map(Mutex::new)` called the constructor, and tells nobody anything.
    pub(crate) fn is_of_the_toolchain(&self) -> bool {
        is_of_the_toolchain(&self.file)
    }

    /// Returns `true` for the acquisitions in lock_api's `ReentrantMutex`: they are in a closure, so the caller is
    /// unknown.
    pub(crate) fn is_of_reentrant_mutex(&self) -> bool {
        let path = self.file.replace('\\', "/");
        path.ends_with("/src/remutex.rs") && path.contains("/lock_api-")
    }

    /// The column, from 1, in characters.
    ///
    /// ```
    /// use std::panic::Location;
    ///
    /// let column = lockdep::Site::from(Location::caller()).column();
    /// assert_eq!(column, 34);
    /// ```
    #[must_use]
    pub fn column(&self) -> u32 {
        self.column
    }
}

/// The same of a file.
pub(crate) fn is_of_the_toolchain(file: &str) -> bool {
    file.starts_with("/rustc/") || file.contains("/lib/rustlib/src/")
}

impl From<&'static Location<'static>> for Site {
    fn from(location: &'static Location<'static>) -> Self {
        Self {
            file: Cow::Borrowed(location.file()),
            line: location.line(),
            column: location.column(),
        }
    }
}

impl fmt::Display for Site {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.file, self.line, self.column)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_library_is_told_by_its_path() {
        let is_of_it = |file: &'static str| {
            Site { file: Cow::Borrowed(file), line: 1, column: 1 }.is_of_the_toolchain()
        };
        assert!(is_of_it("/rustc/59807616e1/library/core/src/array/mod.rs"));
        assert!(is_of_it(
            "/home/me/.rustup/toolchains/stable/lib/rustlib/src/rust/library/core.rs"
        ));
        assert!(!is_of_it("src/rustc/library.rs") && !is_of_it("/home/me/project/src/lib.rs"));
    }
}
