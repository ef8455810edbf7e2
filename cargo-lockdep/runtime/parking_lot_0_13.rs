//! The `parking_lot` 0.13 of a checked program: the library's mirror, built on the real one and the
//! program's `lock_api`.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use lockdep::__private::{finding, points, tracked};

#[path = "lockdep/src"]
mod flavours {
    #[path = "lock_api_0_5/mod.rs"]
    pub mod lock_api_0_5;
    #[path = "parking_lot_0_13/mod.rs"]
    pub mod parking_lot_0_13;
}

pub use flavours::parking_lot_0_13::*;
#[cfg(feature = "deadlock_detection")]
pub use parking_lot_0_13::deadlock;
