//! What one call of this program tells another, and the program's processes, in the environment.

/// The folder of the runtime: this program is a wrapper then.
pub(crate) const FOLDER: &str = "CARGO_LOCKDEP_WRAP";
/// What is to be checked.
pub(crate) const CHOICE: &str = "CARGO_LOCKDEP_CHOICE";
/// The wrapper that was set before us.
pub(crate) const INNER: &str = "CARGO_LOCKDEP_RUSTC_WRAPPER";
/// The rustdoc that was set before us.
pub(crate) const RUSTDOC: &str = "CARGO_LOCKDEP_RUSTDOC";
/// The folder of records: where processes write how much they have seen.
pub(crate) const COUNTS: &str = "CARGO_LOCKDEP_COUNTS";
