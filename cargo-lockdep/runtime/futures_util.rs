//! The `futures_util` of a checked program: the real one, with the library's mirror of its module `lock`.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, tracked, validator};

#[path = "lockdep/src"]
mod flavours {
    #[path = "futures_lock/mod.rs"]
    pub mod futures_lock;
    #[path = "wrapped_async.rs"]
    pub mod wrapped_async;
}

pub use ::futures_util::*;
pub use flavours::futures_lock as lock;
use flavours::wrapped_async;
