//! [`std::sync`], checked: everything that it holds, under the same names. Locks, cells, condition
//! variables, channels and barriers are checked; the rest is std's.
//!
//! In a build without debug assertions and without the feature `enforce`, this
//! module *is* `std::sync`.
//!
//! ```
//! use lockdep::sync::{Arc, Mutex, mpsc}; // was: use std::sync::{Arc, Mutex, mpsc};
//!
//! let (sender, receiver) = mpsc::channel();
//! sender.send(Arc::new(Mutex::new(1))).unwrap();
//! assert_eq!(*receiver.recv().unwrap().lock().unwrap(), 1);
//! ```

#![allow(
    clippy::inline_always,
    reason = "measured: a call would move an acquisition out of registers"
)]

mod barrier;
mod condvar;
mod lazy_lock;
pub mod mpsc;
mod mutex;
mod once;
mod once_lock;
mod rwlock;

pub use std::sync::*;

#[allow(deprecated, reason = "std still has it")]
pub use self::once::ONCE_INIT;
pub use self::{
    barrier::Barrier,
    condvar::Condvar,
    lazy_lock::LazyLock,
    mutex::{Mutex, MutexGuard},
    once::Once,
    once_lock::OnceLock,
    rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};

/// Guards that give mutable access are invariant in the value, as std's are. Otherwise a `&'static
/// str` could be replaced by one with a shorter lifetime. A reader's guard is covariant, which
/// shows that these examples fail for that reason only:
///
/// ```
/// use lockdep::sync::RwLockReadGuard;
/// fn shorter<'a>(it: RwLockReadGuard<'a, &'static str>) -> RwLockReadGuard<'a, &'a str> { it }
/// ```
///
/// ```compile_fail
/// use lockdep::sync::RwLockWriteGuard;
/// fn shorter<'a>(it: RwLockWriteGuard<'a, &'static str>) -> RwLockWriteGuard<'a, &'a str> { it }
/// ```
///
/// ```compile_fail
/// use lockdep::sync::MutexGuard;
/// fn shorter<'a>(it: MutexGuard<'a, &'static str>) -> MutexGuard<'a, &'a str> { it }
/// ```
#[cfg(doctest)]
struct Variance;
