//! What goes by the name of `parking_lot` 0.12 in a checked program: the library's mirror of it,
//! around the real one and the `lock_api` that the program has.

// Counts what the process has taken, even if nobody has the checked std.
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
