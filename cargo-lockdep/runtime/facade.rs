//! What goes by the name of `std` in a checked program: std, except that `sync` and `thread` are
//! lockdep's. What is named explicitly wins over the glob.

pub use ::std::*;
pub use lockdep::{sync, thread};

#[cfg(unix)]
mod counts;
