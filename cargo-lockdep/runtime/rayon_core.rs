//! The `rayon_core` of a checked program: the library's mirror, built on the real one.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::{__private::validator, thread};

#[path = "lockdep/src"]
mod flavours {
    #[path = "rayon/mod.rs"]
    pub mod rayon;
}

pub use flavours::rayon::*;
