//! Reads the lines of a record.

use std::{
    error::Error,
    fmt,
    io::{self, BufRead},
    path::PathBuf,
};

use super::{
    log,
    schema::{Header, Line, SCHEMA},
};

/// The id of a record.
pub(super) type RecordId = u128;

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

const INCOMPLETE: &str =
    "incomplete: the process was killed while it wrote this, or could not write any more";

/// Calls a closure for each line of a record. Returns the lines that cannot be read, among them an incomplete last
/// line: its process was killed while it wrote that, or could not write any more.
///
/// The lines can be among those of a log, as `LOCKDEP_OUT=-` writes them: behind `lockdep:` and the id of
/// their record, with whatever a logger puts before it, or in the `log` or `message` of a JSON object. Other
/// lines are skipped then.
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
/// {"lock": {"id": 2, "name": "led"#; // the disk was full
/// let mut names = Vec::new();
/// let problems = record::read(file.as_bytes(), |line| {
///     if let Line::Lock(lock) = line {
///         names.push(lock.name.into_owned());
///     }
/// })?;
/// assert_eq!(names, ["accounts"]);
/// assert!(problems[0].reason.starts_with("incomplete"));
/// # std::io::Result::Ok(())
/// ```
pub fn read(input: impl BufRead, mut each: impl FnMut(Line<'_>)) -> io::Result<Vec<Problem>> {
    read_numbered(input, |_, _, line| each(line))
}

/// As [`read`], with the id of each line's record, if the line is one of a log.
///
/// ```
/// use lockdep::record;
///
/// let log = "web-1 | listening\nweb-1 | lockdep:000000000000000000000000000000ff {\"lock\": \
///     {\"id\": 1, \"name\": \"accounts\", \"type\": \"Mutex<i64>\"}}\n";
/// let mut ids = Vec::new();
/// record::read_log(log.as_bytes(), |id, _| ids.push(id))?;
/// assert_eq!(ids, [Some(0xff)]);
/// # std::io::Result::Ok(())
/// ```
///
/// # Errors
///
/// Returns an error if the input cannot be read.
pub fn read_log(
    input: impl BufRead,
    mut each: impl FnMut(Option<u128>, Line<'_>),
) -> io::Result<Vec<Problem>> {
    read_numbered(input, |_, id, line| each(id, line))
}

/// As [`read`], with the number of each line and, for the lines of a log, the record that it is of.
pub(super) fn read_numbered(
    mut input: impl BufRead,
    mut each: impl FnMut(usize, Option<RecordId>, Line<'_>),
) -> io::Result<Vec<Problem>> {
    let (mut problems, mut of_others) = (Vec::new(), Vec::new());
    let mut is_log = false;
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        if input.read_until(b'\n', &mut text)? == 0 {
            break;
        }
        let is_whole = text.ends_with(b"\n");
        let problem = |reason| Problem { file: None, line, reason };
        let wrong = |error: &_| {
            problem(if is_whole { without_position(error) } else { INCOMPLETE.to_owned() })
        };
        match serde_json::from_slice(&text) {
            Ok(Line::Header(header)) if header.schema > SCHEMA => {
                problems.push(problem(too_new(&header)));
                break;
            }
            Ok(read) => each(line, None, read),
            Err(error) => {
                let Some((id, marked)) = log::line_in(&text) else {
                    of_others.push(wrong(&error));
                    continue;
                };
                is_log = true;
                match serde_json::from_slice(&marked) {
                    Ok(Line::Header(header)) if header.schema > SCHEMA => {
                        problems.push(problem(format!("record {id:032x}: {}", too_new(&header))));
                    }
                    Ok(read) => each(line, Some(id), read),
                    Err(error) => problems.push(wrong(&error)),
                }
            }
        }
    }
    if !is_log {
        problems.append(&mut of_others);
    }
    Ok(problems)
}

fn too_new(header: &Header<'_>) -> String {
    format!("schema {}: this reader knows schemas up to {SCHEMA}", header.schema)
}

/// The error refers to a single line, whose number is in the problem.
fn without_position(error: &serde_json::Error) -> String {
    match error.column() {
        0 => error.to_string(),
        column => error.to_string().replace(&format!(" at line 1 column {column}"), ""),
    }
}
