//! The ids of locks, and what is known about a lock by its id alone: tables that take no lock of the
//! order graph.

pub(super) mod creation_sites;
pub(super) mod known_locks;
pub(super) mod tried;

/// The id of a lock, from 1. Assigned lazily, so that `const fn new` works in statics, and never
/// reused: 2⁶⁰ ids outlast any process.
pub(crate) type LockId = u64;

/// The number of bits below the id in the word of an [`Identity`](super::Identity).
pub(super) const SHIFT: u32 = 3;
