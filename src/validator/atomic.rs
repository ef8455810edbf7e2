//! The atomics of what is modelled with loom: std's, or those that loom watches.
//!
//! `RUSTFLAGS="--cfg loom" cargo test --release --lib loom` runs the models.

#[cfg(loom)]
pub(super) use loom::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
#[cfg(not(loom))]
pub(super) use std::sync::atomic::{AtomicPtr, AtomicU64, AtomicUsize, Ordering, fence};
