//! Reads the lines of a record.

use std::{
    error::Error,
    fmt,
    io::{self, BufRead},
    path::PathBuf,
};

use super::schema::{Line, SCHEMA};

/// A line that could not be read. The other lines are read regardless.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Problem {
    /// The file, if the record was read from one.
    pub file: Option<PathBuf>,
    /// The line, counted from 1. 0 if nothing of the file was read.
    pub line: usize,
    /// What is wrong with the line.
    pub reason: String,
}

impl Error for Problem {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file =
            self.file.as_deref().map_or_else(|| "record".into(), |file| file.to_string_lossy());
        match self.line {
            0 => write!(f, "{file}: {}", self.reason),
            line => write!(f, "{file}:{line}: {}", self.reason),
        }
    }
}

/// Calls a closure for each line of a record. Returns the lines that cannot be read. An incomplete
/// last line is skipped silently, because its process was killed.
///
/// # Errors
///
/// Returns an error if the input cannot be read.
///
/// # Examples
///
/// ```
/// use lockdep::record::{self, Line};
///
/// let file = r#"{"lock": {"id": 1, "name": "accounts", "type": "Mutex<i64>"}}
/// {"lock": {"id": 2, "name": "led"#; // the process was killed
/// let mut names = Vec::new();
/// let problems = record::read(file.as_bytes(), |line| {
///     if let Line::Lock(lock) = line {
///         names.push(lock.name.into_owned());
///     }
/// })?;
/// assert_eq!((names, problems), (vec!["accounts".to_owned()], vec![]));
/// # std::io::Result::Ok(())
/// ```
pub fn read(input: impl BufRead, mut each: impl FnMut(Line<'_>)) -> io::Result<Vec<Problem>> {
    read_numbered(input, |_, line| each(line))
}

/// As [`read`], with the number of each line.
pub(super) fn read_numbered(
    mut input: impl BufRead,
    mut each: impl FnMut(usize, Line<'_>),
) -> io::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let is_whole = text.ends_with(b"\n");
        match serde_json::from_slice(&text) {
            Ok(Line::Header(header)) if header.schema > SCHEMA => {
                let schema = header.schema;
                let reason = format!("schema {schema}: this reader knows schemas up to {SCHEMA}");
                problems.push(Problem { file: None, line, reason });
                break;
            }
            Ok(read) => each(line, read),
            Err(_) if !is_whole => {}
            Err(error) => {
                let reason = match error.column() {
                    0 => error.to_string(),
                    // The error refers to a single line, whose number is in the problem.
                    column => error.to_string().replace(&format!(" at line 1 column {column}"), ""),
                };
                problems.push(Problem { file: None, line, reason });
            }
        }
    }
    Ok(problems)
}
