//! What goes by the name of `tracing` in the crate tokio, and only there: reports
//! each task that tokio polls to lockdep.
//!
//! With `--cfg tokio_unstable` and its feature `tracing`, tokio wraps the future of each task in an
//! [`Instrumented`], from `block_on` to `spawn_local`. This one polls it by
//! [`tasks::poll`](lockdep::__private::validator::tasks::poll). All other spans and events of tokio are nothing:
//! they have no size and their arguments are not evaluated.
//!
//! The source is the same for all versions of tokio. Where one of them describes a spawn in a way that is not
//! known here, this does not compile, and tokio is compiled without it.

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
