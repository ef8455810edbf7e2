//! Adapters that check any raw lock of [`lock_api`] 0.4.
//!
//! A `lock_api` lock consists of a raw lock and a value. Put an adapter around the raw lock, and
//! the lock is checked. Its guards, mapped guards and `Arc` guards are `lock_api`'s own:
//!
//! ```
//! use std::sync::atomic::{AtomicBool, Ordering::{Acquire, Relaxed, Release}};
//!
//! /// A spin lock, as `lock_api`'s documentation has it.
//! pub struct RawSpinlock(AtomicBool);
//!
//! // SAFETY: it excludes.
//! unsafe impl lock_api::RawMutex for RawSpinlock {
//!     const INIT: Self = RawSpinlock(AtomicBool::new(false));
//!     type GuardMarker = lock_api::GuardNoSend;
//!
//!     fn lock(&self) {
//!         while !self.try_lock() {}
//!     }
//!
//!     fn try_lock(&self) -> bool {
//!         self.0.compare_exchange(false, true, Acquire, Relaxed).is_ok()
//!     }
//!
//!     unsafe fn unlock(&self) {
//!         self.0.store(false, Release);
//!     }
//! }
//!
//! // was: type Spinlock<T> = lock_api::Mutex<RawSpinlock, T>;
//! type Spinlock<T> = lock_api::Mutex<lockdep::lock_api::RawMutex<RawSpinlock>, T>;
//!
//! let (a, b) = (Spinlock::new(1), Spinlock::new(2));
//! let (first, second) = (a.lock(), b.lock());
//! assert_eq!(*first + *second, 3);
//! ```
//!
//! In a build that is not checked, `RawMutex<R>` and `RawRwLock<R>` are `R` itself.
//!
//! Reports do not know where such a lock was created, because `lock_api`'s constructors do not pass
//! on their caller's location. Nor do they know where a `ReentrantMutex` was acquired, except from
//! the backtrace.

#[cfg(any(debug_assertions, feature = "enforce"))]
mod mutex;
#[cfg(any(debug_assertions, feature = "enforce"))]
mod rwlock;

#[cfg(any(debug_assertions, feature = "enforce"))]
pub use self::{mutex::RawMutex, rwlock::RawRwLock};

/// The raw lock itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawMutex<R> = R;

/// The raw lock itself: this build is not checked.
#[cfg(not(any(debug_assertions, feature = "enforce")))]
pub type RawRwLock<R> = R;
