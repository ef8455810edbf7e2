//! What goes by the name of `parking_lot` 0.13 in a checked program: the library's mirror of it,
//! around the real one and the `lock_api` that the program has.

// Counts what the process has taken, even if nobody has the checked std.
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
