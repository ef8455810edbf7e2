//! Adapters that check any raw lock of [`lock_api`](lock_api_0_5) 0.5. They work as [those for
//! 0.4](crate::lock_api), except that guards have a state, recursive readers have their own raw
//! lock, and condition variables are generic.
//!
//! In a build that is not checked, each of them is the raw lock itself.
//!
//! Reports do not know the line of a wait, because `lock_api`'s `Condvar` does not pass it on, in
//! addition to the limits [there](crate::lock_api).
//!
//! ```
//! # #[cfg(feature = "parking_lot_0_13")]
//! # {
//! # use {lock_api_0_5 as lock_api, parking_lot_0_13 as parking_lot};
//! // was: type Mutex<T> = lock_api::Mutex<parking_lot::RawMutex, T>;
//! type Mutex<T> = lock_api::Mutex<lockdep::lock_api_0_5::RawMutex<parking_lot::RawMutex>, T>;
//!
//! let (a, b) = (Mutex::new(1), Mutex::new(2));
//! let (first, second) = (a.lock(), b.lock());
//! assert_eq!(*first + *second, 3);
//! # }
//! ```

#[cfg(any(debug_assertions, feature = "enforce"))]
mod condvar;
#[cfg(any(debug_assertions, feature = "enforce"))]
mod mutex;
#[cfg(any(debug_assertions, feature = "enforce"))]
mod rwlock;

#[cfg(any(debug_assertions, feature = "enforce"))]
pub use self::{
    condvar::RawCondvar,
    mutex::RawMutex,
    rwlock::{RawRwLock, RawRwLockRecursive},
};

/// The raw lock itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawMutex<R> = R;

/// The raw lock itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawRwLock<R> = R;

/// The raw lock itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawRwLockRecursive<R> = R;

/// The raw condition variable itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawCondvar<C> = C;
