//! The `futures_lite` of a checked program: the real one, in which a thread that blocks on a future is a known task.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

pub use ::futures_lite::*;

/// As [`futures_lite::future`].
pub mod future {
    use std::panic::Location;

    pub use ::futures_lite::future::*;
    use lockdep_tracing::Instrumented;

    /// As [`futures_lite::future::block_on`].
    #[track_caller]
    pub fn block_on<T>(future: impl Future<Output = T>) -> T {
        ::futures_lite::future::block_on(Instrumented::to_block_on(future, Location::caller()))
    }
}
