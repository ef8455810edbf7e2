//! The `tracing` of the crate tokio, and of no other: reports each task that tokio polls to
//! lockdep.
//!
//! With `--cfg tokio_unstable` and its feature `tracing`, tokio wraps the future of each task in an
//! [`Instrumented`], from `block_on` to `spawn_local`. This one polls it through
//! [`root_poll::poll`](lockdep::__private::validator::root_poll::poll). All other spans and events
//! of tokio are empty: they have no size, and their arguments are not evaluated.
//!
//! One source serves all versions of tokio. If a version describes a spawn in an unknown way, this
//! does not compile, and tokio is compiled without it.
//!
//! The replacement of async-task makes its tasks with the same future.

mod fields;
mod instrumented;
mod span;

pub use self::{
    instrumented::{Instrument, Instrumented},
    span::{Entered, Id, Span},
};

/// As `tracing::instrument`.
pub mod instrument {
    pub use crate::instrumented::{Instrument, Instrumented};
}
