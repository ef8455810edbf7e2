//! `std::io` with checked standard streams.

mod handles;
mod stream;
mod terminal;

pub use ::std::io::*;

pub use self::{
    handles::{Stderr, StderrLock, Stdin, StdinLock, Stdout, StdoutLock, stderr, stdin, stdout},
    terminal::IsTerminal,
};

#[doc(hidden)]
pub use crate::print::{_eprint, _print};
pub(crate) use self::handles::{STDERR, STDOUT};
