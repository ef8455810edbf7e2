//! What the runtime of `cargo lockdep` and its reports use. Not public API.

/// The part of `crate::finding` that the runtime uses.
pub mod finding {
    pub use crate::finding::{LockKind, LockOf, Mode, Role};
}

/// The part of `crate::points` that the runtime uses.
pub mod points {
    pub use crate::points::Released;
}

/// The part of `crate::tracked` that the runtime uses.
pub mod tracked {
    pub use crate::tracked::{
        Attempt, Awaited, Completion, FastAcquire, GuardKind, Handle, Held, Initializer,
        PendingAcquire, Pool, RawLock, Tracked,
    };
}

/// Sets the name that reports use for the lock with this id.
pub fn name(lock: u64, name: &str) {
    crate::validator::name(lock, name);
}

/// Returns each entry of the `lockdep.toml`, if it was read: its position, its reason, and whether a finding has
/// matched it.
pub fn allow_entries() -> impl Iterator<Item = (&'static str, &'static str, bool)> {
    crate::ledger::allow_entries()
}

/// The part of `crate::render` that the reports of `cargo lockdep` use.
pub mod render {
    pub use crate::render::dot::{MAX_LABELLED, max_arrows, not_drawn, quoted};
}

/// The part of `crate::source` that the reports of `cargo lockdep` use.
pub mod source {
    pub use crate::source::{Constructors, is_anonymous};
}

/// The part of `crate::validator` that the runtime uses.
pub mod validator {
    pub use crate::validator::{jobs, root_poll, tasks};
}
