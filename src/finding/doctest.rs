//! Lines of doctests. The compiler counts them inside the program that rustdoc generates.

use std::{borrow::Cow, panic::Location, path::Path};

use once_cell::race::OnceBox;

static THIS: OnceBox<Doctest> = OnceBox::new();

/// A process that runs a doctest.
pub(crate) enum Doctest {
    /// The program of one doctest. Its lines claim to be in the file with the documentation, so a
    /// place in a file of this package may be in either.
    Single,
    /// A program of many doctests, as of edition 2024, with the origins of its lines.
    Merged {
        /// Its file name: `doctest_bundle_2024.rs`.
        file_name: String,
        origins: Vec<Option<Origin>>,
    },
}

/// Where a line of a doctest comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Origin {
    pub(crate) file: &'static str,
    pub(crate) line: u32,
    /// The length of what precedes the code, `/// ` for example.
    pub(crate) indent: u32,
}

impl Doctest {
    /// Says that this process runs a doctest. Called once, at its first lock.
    pub(crate) fn of_this_process(self) {
        let _ = THIS.set(Box::new(self));
    }
}

/// Returns the file, line and column of a location: those in the documentation for one in a merged
/// doctest.
pub(super) fn place(location: &'static Location<'static>) -> (Cow<'static, str>, u32, u32) {
    let (file, line, column) = (location.file(), location.line(), location.column());
    if let Some(Doctest::Merged { file_name, origins }) = THIS.get()
        && file.ends_with(&**file_name)
        && let Some(Some(origin)) = origins.get((line as usize).wrapping_sub(1))
    {
        return (Cow::Borrowed(origin.file), origin.line, column + origin.indent);
    }
    (Cow::Borrowed(file), line, column)
}

/// Returns `true` if a place in this file may be in a doctest instead.
pub(super) fn may_be_elsewhere(file: &str) -> bool {
    matches!(THIS.get(), Some(Doctest::Single)) && !Path::new(file).is_absolute()
}
