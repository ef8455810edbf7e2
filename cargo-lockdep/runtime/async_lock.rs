//! The `async_lock` of a checked program: the real one, with the library's mirrors of its mutex, its reader-writer lock
//! and its semaphore.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, tracked, validator};

#[path = "lockdep/src"]
mod flavours {
    #[path = "async_lock/mod.rs"]
    pub mod async_lock;
    #[path = "wrapped_async.rs"]
    pub mod wrapped_async;
}

use flavours::wrapped_async;
pub use flavours::async_lock::*;
