//! [`parking_lot`] 0.12, checked: everything that it holds, under the same
//! names, and usable in its place, since its locks are `lock_api`'s around
//! [our raw locks](crate::lock_api). The real parking_lot runs underneath.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! the crate `parking_lot`.
//!
//! # Swapping it
//!
//! In one file, by the import:
//!
//! ```
//! use lockdep::parking_lot::{Mutex, RwLock}; // was: use parking_lot::{Mutex, RwLock};
//! ```
//!
//! In a whole workspace, without touching a source, by a package of yours that stands in for
//! it. Two files:
//!
//! ```toml
//! # checked/parking_lot/Cargo.toml
//! [package]
//! name = "parking_lot"
//! version = "0.12.999"
//! edition = "2024"
//! publish = false
//!
//! [dependencies]
//! lockdep = { version = "0.1", features = ["parking_lot"] }
//! ```
//!
//! ```
//! // checked/parking_lot/src/lib.rs
//! pub use lockdep::parking_lot::*;
//! ```
//!
//! and one line in the workspace's `Cargo.toml`, for members that say
//! `parking_lot.workspace = true`:
//!
//! ```toml
//! [workspace.dependencies]
//! parking_lot = { path = "checked/parking_lot" } # was: parking_lot = "0.12"
//! ```
//!
//! The locks of your dependencies stay as they are.

mod condvar;
mod once;

pub use ::lock_api;
pub use ::parking_lot::{OnceState, RawThreadId, WaitTimeoutResult};
use lock_api::RawMutex as _;

pub use self::{condvar::Condvar, once::Once};

/// [`parking_lot::RawMutex`], checked.
pub type RawMutex = super::lock_api::RawMutex<::parking_lot::RawMutex>;
/// [`parking_lot::RawFairMutex`], checked.
pub type RawFairMutex = super::lock_api::RawMutex<::parking_lot::RawFairMutex>;
/// [`parking_lot::RawRwLock`], checked.
pub type RawRwLock = super::lock_api::RawRwLock<::parking_lot::RawRwLock>;

/// [`parking_lot::Mutex`], checked.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// [`parking_lot::MutexGuard`], checked.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// [`parking_lot::MappedMutexGuard`], checked.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// [`parking_lot::FairMutex`], checked.
pub type FairMutex<T> = lock_api::Mutex<RawFairMutex, T>;
/// [`parking_lot::FairMutexGuard`], checked.
pub type FairMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawFairMutex, T>;
/// [`parking_lot::MappedFairMutexGuard`], checked.
pub type MappedFairMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawFairMutex, T>;

/// [`parking_lot::ReentrantMutex`], checked. Taking it again
/// in the same thread adds nothing.
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;
/// [`parking_lot::ReentrantMutexGuard`], checked.
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot::MappedReentrantMutexGuard`],
/// checked.
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// [`parking_lot::RwLock`], checked.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;
/// [`parking_lot::RwLockReadGuard`], checked.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockWriteGuard`], checked.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// [`parking_lot::RwLockUpgradableReadGuard`],
/// checked.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockReadGuard`], checked.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot::MappedRwLockWriteGuard`], checked.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// [`parking_lot::ArcMutexGuard`] and its like.
#[cfg(feature = "arc_lock")]
pub use lock_api::{
    ArcMutexGuard, ArcReentrantMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard,
    ArcRwLockWriteGuard,
};

/// [`parking_lot::const_mutex`]: a mutex in a constant context.
pub const fn const_mutex<T>(val: T) -> Mutex<T> {
    Mutex::from_raw(RawMutex::INIT, val)
}

/// [`parking_lot::const_fair_mutex`]: a fair mutex in a
/// constant context.
pub const fn const_fair_mutex<T>(val: T) -> FairMutex<T> {
    FairMutex::from_raw(RawFairMutex::INIT, val)
}

/// [`parking_lot::const_reentrant_mutex`]: a reentrant
/// mutex in a constant context.
pub const fn const_reentrant_mutex<T>(val: T) -> ReentrantMutex<T> {
    ReentrantMutex::const_new(RawMutex::INIT, <RawThreadId as lock_api::GetThreadId>::INIT, val)
}

/// [`parking_lot::const_rwlock`]: a readers-writer lock in a
/// constant context.
pub const fn const_rwlock<T>(val: T) -> RwLock<T> {
    RwLock::from_raw(<RawRwLock as lock_api::RawRwLock>::INIT, val)
}
