//! The `async_io` of a checked program: the real one, in which a thread that blocks on a future is a known task.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use std::{future::Future, panic::Location};

pub use ::async_io::*;
use lockdep_tracing::Instrumented;

/// As [`async_io::block_on`].
#[track_caller]
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    ::async_io::block_on(Instrumented::to_block_on(future, Location::caller()))
}
