//! What goes by the name of `tokio` in a checked program: the real one, and the library's mirror of the
//! locks in its module `sync`, and of the time-outs around them.

// Counts the process's locks, even if no crate has the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, tracked, validator};

#[path = "lockdep/src/tokio"]
mod flavours {
    #[path = "sync/mod.rs"]
    pub mod sync;
    #[cfg(feature = "time")]
    #[path = "time.rs"]
    pub mod time;
}

pub use ::tokio::*;
pub use flavours::sync;
#[cfg(feature = "time")]
pub use flavours::time;
