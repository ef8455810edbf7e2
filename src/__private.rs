//! What flavours import, for those that `cargo lockdep` compiles into the crates that take the place of
//! parking_lot and others; and what that program draws with this crate's code. Not public API.

/// What flavours use of `crate::finding`.
pub mod finding {
    pub use crate::finding::{LockKind, LockOf, Mode, Role};
}

/// What flavours use of `crate::points`.
pub mod points {
    pub use crate::points::Released;
}

/// What flavours use of `crate::tracked`.
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

/// What reports use of `crate::render`.
pub mod render {
    pub use crate::render::dot::quoted;
}

/// What flavours use of `crate::validator`.
pub mod validator {
    pub use crate::validator::tasks;
}
