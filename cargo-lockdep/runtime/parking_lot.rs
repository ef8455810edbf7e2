//! The `parking_lot` 0.12 of a checked program: the library's mirror, built on the real one and the
//! program's `lock_api`.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, points, tracked};

#[path = "lockdep/src"]
mod flavours {
    #[path = "lock_api/mod.rs"]
    pub mod lock_api;
    #[path = "parking_lot/mod.rs"]
    pub mod parking_lot;
}

pub use flavours::parking_lot::*;
#[cfg(feature = "deadlock_detection")]
pub use parking_lot::deadlock;
