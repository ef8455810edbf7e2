//! Records on disk, and what many of them say together. Feature `serde`.
//!
//! With `LOCKDEP_OUT=dir` in the environment, each process writes a file into that folder, a JSON
//! object a line: whose record it is, its locks, its edges of the lock order and its findings,
//! each as it comes and in one call. So a process that is killed loses nothing that it has
//! told. `docs/record-format.md` in the repository describes the format.
//!
//! [`read()`] reads one record. [`Merge`] reads many: what 40 processes found is one finding,
//! and what no single process could see is found as well, an order of locks that two of them
//! have the other way round.
//!
//! Plain data and pure functions: nothing here knows of the locks of this process.
//!
//! ```
//! # #[cfg(feature = "serde")]
//! # {
//! let mut merge = lockdep::record::Merge::default();
//! merge.read_folder("docs/records")?; // what `LOCKDEP_OUT` has named
//! for finding in merge.findings() {
//!     println!("{finding}");
//! }
//! # }
//! # std::io::Result::Ok(())
//! ```

#[cfg(feature = "serde")]
mod merge;
#[cfg(feature = "serde")]
mod read;
mod schema;

#[cfg(feature = "serde")]
pub use merge::{Merge, MergedEdge, MergedFinding, MergedGraph, MergedLock, MergedOrder, Place};
#[cfg(feature = "serde")]
pub use read::{Problem, read};
pub use schema::{Edge, Finding, Graph, Header, Line, Lock, SCHEMA};
