//! The `once_cell` of a checked program: the real one, with the library's mirror of its module
//! `sync`.

// Records the process's counts, even if no crate uses the checked std.
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
