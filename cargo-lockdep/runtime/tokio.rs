//! The `tokio` of a checked program: the real one, with the library's mirrors of the locks in its
//! module `sync` and of the timeouts in `time`.

// Records the process's counts, even if no crate uses the checked std.
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
