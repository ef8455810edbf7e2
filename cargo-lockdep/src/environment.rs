//! The environment variables of `cargo lockdep` itself, for its wrapper and the checked processes.

/// The folder of the runtime. If it is set, this program was called as a wrapper.
pub(crate) const FOLDER: &str = "CARGO_LOCKDEP_WRAP";
/// The selection of locks to check.
pub(crate) const CHOICE: &str = "CARGO_LOCKDEP_CHOICE";
/// The rustc wrapper that was configured before.
pub(crate) const INNER: &str = "CARGO_LOCKDEP_RUSTC_WRAPPER";
/// The rustdoc that was configured before.
pub(crate) const RUSTDOC: &str = "CARGO_LOCKDEP_RUSTDOC";
/// The start of the names of the runtime's variables, whose rest is as for the library.
pub(crate) const OF_RUNTIME: &str = "CARGO_";
/// The folder to which processes write how many locks and edges they had.
pub(crate) const COUNTS: &str = "CARGO_LOCKDEP_COUNTS";
