//! The `std` of a checked program if the toolchain supports it and the crate compiles with it: the
//! checked `std`, with checked standard streams.
//!
//! The streams are in types of `io` and in the printing macros, which use internals of std.

#![feature(allow_internal_unstable, format_args_nl, internal_output_capture, print_internals)]
#![allow(internal_features, reason = "the printing macros use them")]

pub use lockdep_std::*;

pub mod io;
pub mod prelude;
mod print;
