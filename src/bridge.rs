//! What flavours are made of, for those that are compiled into another crate: the crates that
//! `cargo lockdep` puts in the place of parking_lot and others; and what that program draws as we do. No
//! part of the public interface.

/// As `crate::finding` is to a flavour.
pub mod finding {
    pub use crate::finding::{LockKind, LockOf, Mode, Role};
}

/// As `crate::points` is to a flavour.
pub mod points {
    pub use crate::points::Released;
}

/// As `crate::tracked` is to a flavour.
pub mod tracked {
    pub use crate::tracked::{
        Attempt, Awaited, FastAcquire, GuardKind, Held, Initializer, PendingAcquire, RawLock,
        Tracked,
    };
}

/// Gives a lock, by its number, the name that reports call it by.
pub fn name(lock: u64, name: &str) {
    crate::validator::name(lock, name);
}

/// Of what is drawn.
pub mod render {
    pub use crate::render::dot::quoted;
}

/// As `crate::validator` is to a flavour.
pub mod validator {
    pub use crate::validator::tasks;
}
