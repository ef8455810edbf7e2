//! What goes by the name of `std` in a checked program: all of it, but for `sync` and `thread`,
//! which are ours. What is named explicitly wins over the glob.

pub use ::std::*;
pub use lockdep::{sync, thread};

#[cfg(unix)]
mod counts;
