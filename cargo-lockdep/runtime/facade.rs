//! What goes by the name of `std` in a checked program: all of it, but for `sync`, which is
//! ours. What is named explicitly wins over the glob.

pub use ::std::*;
pub use lockdep::sync;

#[cfg(unix)]
mod counts;
