//! The `std` of a checked program: std, with `sync` and `thread` from lockdep. Explicit names
//! shadow the glob.

pub use ::std::*;
pub use lockdep::{sync, thread};

#[cfg(unix)]
mod counts;
