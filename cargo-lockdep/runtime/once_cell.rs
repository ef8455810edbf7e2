//! What goes by the name of `once_cell` in a checked program: the library's mirror of its module
//! `sync`, around the real one.

// Counts what the process has taken, even if nobody has the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, tracked};

#[path = "lockdep/src"]
mod flavours {
    #[path = "once_cell/mod.rs"]
    pub mod once_cell;
}

pub use flavours::once_cell::sync;
#[cfg(feature = "race")]
pub use once_cell::race;
pub use once_cell::unsync;
