//! Waits: for locks that are contended, for the end of a thread, and for events of channels and
//! barriers.

pub(super) mod barrier_order;
pub(super) mod blocking;
pub(super) mod channel_space;
pub(super) mod events;
pub(super) mod jobs;
pub(super) mod join;
