//! [`parking_lot`](parking_lot_0_13) 0.13, checked: everything that it holds, under the same names.
//! It is a drop-in replacement, because its locks are `lock_api`'s around [our raw
//! locks](crate::lock_api_0_5). The real parking_lot runs underneath.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! the crate `parking_lot`.
//!
//! ```
//! use lockdep::parking_lot_0_13::{Mutex, RwLock}; // was: use parking_lot::{Mutex, RwLock};
//!
//! let (balance, rate) = (Mutex::new(100), RwLock::new(3));
//! *balance.lock() += *rate.read();
//! assert_eq!(balance.into_inner(), 103);
//! ```

mod once;

pub use lock_api_0_5 as lock_api;
pub use parking_lot_0_13::{OnceState, RawThreadId, WaitTimeoutResult};

pub use self::once::Once;

/// [`parking_lot_0_13::RawMutex`], checked.
pub type RawMutex = super::lock_api_0_5::RawMutex<parking_lot_0_13::RawMutex>;
/// [`parking_lot_0_13::RawFairMutex`], checked.
pub type RawFairMutex = super::lock_api_0_5::RawMutex<parking_lot_0_13::RawFairMutex>;
/// [`parking_lot_0_13::RawRwLock`], checked.
pub type RawRwLock = super::lock_api_0_5::RawRwLock<parking_lot_0_13::RawRwLock>;
/// [`parking_lot_0_13::RawRwLockRecursive`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RawRwLockRecursive, RecursiveRwLock, lock_api};
///
/// let rate: lock_api::RwLock<RawRwLockRecursive, u32> = RecursiveRwLock::new(3); // the same type
/// ```
pub type RawRwLockRecursive =
    super::lock_api_0_5::RawRwLockRecursive<parking_lot_0_13::RawRwLockRecursive>;
/// [`parking_lot_0_13::RawCondvar`], checked.
pub type RawCondvar = super::lock_api_0_5::RawCondvar<parking_lot_0_13::RawCondvar>;

/// [`parking_lot_0_13::Mutex`], checked.
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// [`parking_lot_0_13::MutexGuard`], checked.
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// [`parking_lot_0_13::MappedMutexGuard`], checked.
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// [`parking_lot_0_13::FairMutex`], checked.
pub type FairMutex<T> = lock_api::Mutex<RawFairMutex, T>;
/// [`parking_lot_0_13::FairMutexGuard`], checked.
pub type FairMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawFairMutex, T>;
/// [`parking_lot_0_13::MappedFairMutexGuard`], checked.
pub type MappedFairMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawFairMutex, T>;

/// [`parking_lot_0_13::ReentrantMutex`], checked. Recursive acquisitions add nothing to the lock
/// order.
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;
/// [`parking_lot_0_13::ReentrantMutexGuard`], checked.
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot_0_13::MappedReentrantMutexGuard`], checked.
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// [`parking_lot_0_13::RwLock`], checked.
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;
/// [`parking_lot_0_13::RwLockReadGuard`], checked.
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::RwLockWriteGuard`], checked.
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::RwLockUpgradableReadGuard`], checked.
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::MappedRwLockReadGuard`], checked.
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::MappedRwLockWriteGuard`], checked.
pub type MappedRwLockWriteGuard<'a, T> = lock_api::MappedRwLockWriteGuard<'a, RawRwLock, T>;

/// [`parking_lot_0_13::RecursiveRwLock`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::RecursiveRwLock;
///
/// let rate = RecursiveRwLock::new(3);
/// let (outer, inner) = (rate.read(), rate.read()); // passes waiting writers
/// assert_eq!(*outer, *inner);
/// ```
pub type RecursiveRwLock<T> = lock_api::RwLock<RawRwLockRecursive, T>;
/// [`parking_lot_0_13::RecursiveRwLockReadGuard`], checked.
pub type RecursiveRwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::RecursiveRwLockWriteGuard`], checked.
pub type RecursiveRwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::RecursiveRwLockUpgradableReadGuard`], checked.
pub type RecursiveRwLockUpgradableReadGuard<'a, T> =
    lock_api::RwLockUpgradableReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::MappedRecursiveRwLockReadGuard`], checked.
pub type MappedRecursiveRwLockReadGuard<'a, T> =
    lock_api::MappedRwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::MappedRecursiveRwLockWriteGuard`], checked.
pub type MappedRecursiveRwLockWriteGuard<'a, T> =
    lock_api::MappedRwLockWriteGuard<'a, RawRwLockRecursive, T>;

/// [`parking_lot_0_13::Condvar`], checked.
pub type Condvar = lock_api::Condvar<RawCondvar>;

/// `ArcMutexGuard` and the other guards that own an `Arc` are `lock_api`'s.
#[cfg(feature = "arc_lock")]
pub use lock_api_0_5::{
    ArcMutexGuard, ArcReentrantMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard,
    ArcRwLockWriteGuard,
};
