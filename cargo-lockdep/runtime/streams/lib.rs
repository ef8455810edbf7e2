//! What goes by the name of `std` in a checked program where this toolchain allows it and the crate
//! compiles with it: the checked `std`, and the locks of the standard streams as well.
//!
//! These are in types of `io` and in the macros that print, which are made of std's internals.

#![feature(allow_internal_unstable, format_args_nl, internal_output_capture, print_internals)]
#![allow(internal_features, reason = "the macros that print are made of them")]

pub use lockdep_std::*;

pub mod io;
pub mod prelude;
mod print;
