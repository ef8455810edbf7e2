//! A thread, as a report names it.

use std::{fmt, num::NonZeroU64, sync::Arc};

/// The number of a scope of [`testing`](crate::testing), never used again.
pub(crate) type ScopeId = NonZeroU64;

/// A thread of the program.
///
/// [`Display`](fmt::Display) is its name, or `#4` for a thread without one.
#[derive(Clone, Debug, Default)]
pub struct ThreadInfo {
    pub(crate) number: u64,
    pub(crate) name: Option<Arc<str>>,
    /// The innermost scope that it was in.
    pub(crate) scope: Option<ScopeId>,
}

impl ThreadInfo {
    /// The number of this thread: given when it first takes a lock, never used
    /// again in this process.
    #[must_use]
    pub fn number(&self) -> u64 {
        self.number
    }

    /// The name it had when it first took a lock.
    #[must_use]
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }
}

impl PartialEq for ThreadInfo {
    /// The same thread.
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}

impl Eq for ThreadInfo {}

impl fmt::Display for ThreadInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) => f.write_str(name),
            None => write!(f, "#{}", self.number),
        }
    }
}
