//! Records on disk, and merging them. Feature `records`.
//!
//! With `LOCKDEP_OUT=dir` in the environment, each process writes a file into that folder, with one
//! JSON object per line: a header, its locks, its edges of the lock order and its findings. Each
//! line is written in one call as soon as it is known, so a killed process loses nothing.
//! `docs/record-format.md` in the repository describes the format. `LOCKDEP_OUT=-` writes to standard
//! output, where each line is marked, so that it can be read from a log.
//!
//! [`read()`] reads one record. [`Merge`] reads many: what 40 processes found is one finding, and
//! it also finds what no single process could see, two locks that one process acquires in one order
//! and another in the opposite one.
//!
//! Plain data and pure functions, independent of the locks of this process.
//!
//! ```
//! # #[cfg(feature = "records")]
//! # {
//! let mut merge = lockdep::record::Merge::default();
//! merge.read_folder("docs/records")?; // what `LOCKDEP_OUT` has named
//! for finding in merge.findings() {
//!     println!("{finding}");
//! }
//! # }
//! # std::io::Result::Ok(())
//! ```

pub(crate) mod fold;
#[cfg(feature = "records")]
mod log;
#[cfg(feature = "records")]
mod merge;
#[cfg(feature = "records")]
mod read;
mod schema;
mod smallest;

/// What stands before each line of a record that is written to standard output, followed by the record's id.
pub(crate) const MARK: &str = "lockdep:";

/// The maximum number of tests, threads, names and places kept per item: the smallest ones.
const MAX_NAMED: usize = 16;

#[cfg(feature = "records")]
pub use merge::{
    Merge, MergedBug, MergedEdge, MergedFinding, MergedGraph, MergedLock, MergedOrder, Place,
};
#[cfg(feature = "records")]
pub use read::{Problem, read, read_log};
pub use schema::{
    Acquisition, Allow, Call, Edge, Finding, Graph, Header, Label, Line, Lock, Note, SCHEMA, Shown,
};
