//! Re-exports for `cargo lockdep`, not public API: for the flavours that it compiles into its
//! replacements of parking_lot and other crates, and for its reports.

/// The part of `crate::finding` that flavours use.
pub mod finding {
    pub use crate::finding::{LockKind, LockOf, Mode, Role};
}

/// The part of `crate::points` that flavours use.
pub mod points {
    pub use crate::points::Released;
}

/// The part of `crate::tracked` that flavours use.
pub mod tracked {
    pub use crate::tracked::{
        Attempt, Awaited, FastAcquire, GuardKind, Held, Initializer, PendingAcquire, RawLock,
        Tracked,
    };
}

/// Sets the name that reports use for the lock with this id.
pub fn name(lock: u64, name: &str) {
    crate::validator::name(lock, name);
}

/// The part of `crate::render` that the reports of `cargo lockdep` use.
pub mod render {
    pub use crate::render::dot::quoted;
}

/// The part of `crate::validator` that flavours use.
pub mod validator {
    pub use crate::validator::{root_poll, tasks};
}
