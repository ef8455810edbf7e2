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
///
/// ```
/// use lockdep::parking_lot_0_13::{Mutex, RawMutex, lock_api};
///
/// let balance: lock_api::Mutex<RawMutex, i64> = Mutex::new(100); // the same type
/// ```
pub type RawMutex = super::lock_api_0_5::RawMutex<parking_lot_0_13::RawMutex>;
/// [`parking_lot_0_13::RawFairMutex`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{FairMutex, RawFairMutex, lock_api};
///
/// let balance: lock_api::Mutex<RawFairMutex, i64> = FairMutex::new(100); // the same type
/// ```
pub type RawFairMutex = super::lock_api_0_5::RawMutex<parking_lot_0_13::RawFairMutex>;
/// [`parking_lot_0_13::RawRwLock`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RawRwLock, RwLock, lock_api};
///
/// let rate: lock_api::RwLock<RawRwLock, u32> = RwLock::new(3); // the same type
/// ```
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
///
/// ```
/// use lockdep::parking_lot_0_13::{Condvar, RawCondvar, lock_api};
///
/// let pushed: lock_api::Condvar<RawCondvar> = Condvar::new(); // the same type
/// ```
pub type RawCondvar = super::lock_api_0_5::RawCondvar<parking_lot_0_13::RawCondvar>;

/// [`parking_lot_0_13::Mutex`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::Mutex;
///
/// let balance = Mutex::new(100);
/// *balance.lock() -= 30; // never poisoned
/// assert_eq!(balance.into_inner(), 70);
/// ```
pub type Mutex<T> = lock_api::Mutex<RawMutex, T>;
/// [`parking_lot_0_13::MutexGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{Mutex, MutexGuard};
///
/// fn append(mut log: MutexGuard<'_, Vec<u32>>) {
///     log.push(1);
///     MutexGuard::unlock_fair(log); // hands over to a waiting thread
/// }
/// append(Mutex::new(vec![]).lock());
/// ```
pub type MutexGuard<'a, T> = lock_api::MutexGuard<'a, RawMutex, T>;
/// [`parking_lot_0_13::MappedMutexGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{MappedMutexGuard, Mutex, MutexGuard};
///
/// let pair = Mutex::new((1, "one"));
/// let mut number: MappedMutexGuard<'_, u32> = MutexGuard::map(pair.lock(), |pair| &mut pair.0);
/// *number += 1;
/// ```
pub type MappedMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawMutex, T>;

/// [`parking_lot_0_13::FairMutex`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::FairMutex;
///
/// let balance = FairMutex::new(100);
/// *balance.lock() -= 30; // waiting threads get it in FIFO order
/// assert_eq!(balance.into_inner(), 70);
/// ```
pub type FairMutex<T> = lock_api::Mutex<RawFairMutex, T>;
/// [`parking_lot_0_13::FairMutexGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{FairMutex, FairMutexGuard};
///
/// fn append(mut log: FairMutexGuard<'_, Vec<u32>>) {
///     log.push(1);
/// }
/// append(FairMutex::new(vec![]).lock());
/// ```
pub type FairMutexGuard<'a, T> = lock_api::MutexGuard<'a, RawFairMutex, T>;
/// [`parking_lot_0_13::MappedFairMutexGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{FairMutex, FairMutexGuard, MappedFairMutexGuard};
///
/// let pair = FairMutex::new((1, "one"));
/// let mut number: MappedFairMutexGuard<'_, u32> =
///     FairMutexGuard::map(pair.lock(), |pair| &mut pair.0);
/// *number += 1;
/// ```
pub type MappedFairMutexGuard<'a, T> = lock_api::MappedMutexGuard<'a, RawFairMutex, T>;

/// [`parking_lot_0_13::ReentrantMutex`], checked. Recursive acquisitions add nothing to the lock
/// order.
///
/// ```
/// use std::cell::Cell;
/// use lockdep::parking_lot_0_13::ReentrantMutex;
///
/// let depth = ReentrantMutex::new(Cell::new(0));
/// let (outer, inner) = (depth.lock(), depth.lock());
/// inner.set(outer.get() + 1);
/// ```
pub type ReentrantMutex<T> = lock_api::ReentrantMutex<RawMutex, RawThreadId, T>;
/// [`parking_lot_0_13::ReentrantMutexGuard`], checked.
///
/// ```
/// use std::cell::Cell;
/// use lockdep::parking_lot_0_13::{ReentrantMutex, ReentrantMutexGuard};
///
/// fn count(times: ReentrantMutexGuard<'_, Cell<u32>>) {
///     times.set(times.get() + 1);
/// }
/// let times = ReentrantMutex::new(Cell::new(0));
/// count(times.lock());
/// ```
pub type ReentrantMutexGuard<'a, T> = lock_api::ReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;
/// [`parking_lot_0_13::MappedReentrantMutexGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{MappedReentrantMutexGuard, ReentrantMutex, ReentrantMutexGuard};
///
/// let pair = ReentrantMutex::new((1, "one"));
/// let number: MappedReentrantMutexGuard<'_, u32> =
///     ReentrantMutexGuard::map(pair.lock(), |pair| &pair.0);
/// assert_eq!(*number, 1);
/// ```
pub type MappedReentrantMutexGuard<'a, T> =
    lock_api::MappedReentrantMutexGuard<'a, RawMutex, RawThreadId, T>;

/// [`parking_lot_0_13::RwLock`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::RwLock;
///
/// let rate = RwLock::new(3);
/// assert_eq!(*rate.read(), 3);
/// *rate.write() += 1;
/// ```
pub type RwLock<T> = lock_api::RwLock<RawRwLock, T>;
/// [`parking_lot_0_13::RwLockReadGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RwLock, RwLockReadGuard};
///
/// fn sum(rates: RwLockReadGuard<'_, Vec<u32>>) -> u32 {
///     rates.iter().sum()
/// }
/// assert_eq!(sum(RwLock::new(vec![1, 2]).read()), 3);
/// ```
pub type RwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::RwLockWriteGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RwLock, RwLockWriteGuard};
///
/// let rate = RwLock::new(3);
/// let mut writer = rate.write();
/// *writer = 4;
/// let reader = RwLockWriteGuard::downgrade(writer); // no writer can intervene
/// assert_eq!(*reader, 4);
/// ```
pub type RwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::RwLockUpgradableReadGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RwLock, RwLockUpgradableReadGuard};
///
/// let names = RwLock::new(vec!["a"]);
/// let reader = names.upgradable_read();
/// if !reader.contains(&"b") {
///     RwLockUpgradableReadGuard::upgrade(reader).push("b"); // no writer has intervened
/// }
/// ```
pub type RwLockUpgradableReadGuard<'a, T> = lock_api::RwLockUpgradableReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::MappedRwLockReadGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{MappedRwLockReadGuard, RwLock, RwLockReadGuard};
///
/// let pair = RwLock::new((1, "one"));
/// let number: MappedRwLockReadGuard<'_, u32> = RwLockReadGuard::map(pair.read(), |pair| &pair.0);
/// assert_eq!(*number, 1);
/// ```
pub type MappedRwLockReadGuard<'a, T> = lock_api::MappedRwLockReadGuard<'a, RawRwLock, T>;
/// [`parking_lot_0_13::MappedRwLockWriteGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{MappedRwLockWriteGuard, RwLock, RwLockWriteGuard};
///
/// let pair = RwLock::new((1, "one"));
/// let mut number: MappedRwLockWriteGuard<'_, u32> =
///     RwLockWriteGuard::map(pair.write(), |pair| &mut pair.0);
/// *number += 1;
/// ```
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
///
/// ```
/// use lockdep::parking_lot_0_13::{RecursiveRwLock, RecursiveRwLockReadGuard};
///
/// fn sum(rates: RecursiveRwLockReadGuard<'_, Vec<u32>>) -> u32 {
///     rates.iter().sum()
/// }
/// assert_eq!(sum(RecursiveRwLock::new(vec![1, 2]).read()), 3);
/// ```
pub type RecursiveRwLockReadGuard<'a, T> = lock_api::RwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::RecursiveRwLockWriteGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RecursiveRwLock, RecursiveRwLockWriteGuard};
///
/// fn double(mut rate: RecursiveRwLockWriteGuard<'_, u32>) {
///     *rate *= 2;
/// }
/// double(RecursiveRwLock::new(3).write());
/// ```
pub type RecursiveRwLockWriteGuard<'a, T> = lock_api::RwLockWriteGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::RecursiveRwLockUpgradableReadGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{RecursiveRwLock, RecursiveRwLockUpgradableReadGuard};
///
/// let names = RecursiveRwLock::new(vec!["a"]);
/// let reader = names.upgradable_read();
/// if !reader.contains(&"b") {
///     RecursiveRwLockUpgradableReadGuard::upgrade(reader).push("b"); // no writer has intervened
/// }
/// ```
pub type RecursiveRwLockUpgradableReadGuard<'a, T> =
    lock_api::RwLockUpgradableReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::MappedRecursiveRwLockReadGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::*;
///
/// let pair = RecursiveRwLock::new((1, "one"));
/// let number: MappedRecursiveRwLockReadGuard<'_, u32> =
///     RecursiveRwLockReadGuard::map(pair.read(), |pair| &pair.0);
/// assert_eq!(*number, 1);
/// ```
pub type MappedRecursiveRwLockReadGuard<'a, T> =
    lock_api::MappedRwLockReadGuard<'a, RawRwLockRecursive, T>;
/// [`parking_lot_0_13::MappedRecursiveRwLockWriteGuard`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::*;
///
/// let pair = RecursiveRwLock::new((1, "one"));
/// let mut number: MappedRecursiveRwLockWriteGuard<'_, u32> =
///     RecursiveRwLockWriteGuard::map(pair.write(), |pair| &mut pair.0);
/// *number += 1;
/// ```
pub type MappedRecursiveRwLockWriteGuard<'a, T> =
    lock_api::MappedRwLockWriteGuard<'a, RawRwLockRecursive, T>;

/// [`parking_lot_0_13::Condvar`], checked.
///
/// ```
/// use lockdep::parking_lot_0_13::{Condvar, Mutex};
///
/// let (queue, pushed) = (Mutex::new(Vec::new()), Condvar::new());
/// std::thread::scope(|scope| {
///     scope.spawn(|| {
///         queue.lock().push("a job");
///         pushed.notify_one();
///     });
///     let mut queue = queue.lock();
///     pushed.wait_while(&mut queue, |queue| queue.is_empty());
///     assert_eq!(queue.pop(), Some("a job"));
/// });
/// ```
pub type Condvar = lock_api::Condvar<RawCondvar>;

/// `ArcMutexGuard` and the other guards that own an `Arc` are `lock_api`'s.
#[cfg(feature = "arc_lock")]
pub use lock_api_0_5::{
    ArcMutexGuard, ArcReentrantMutexGuard, ArcRwLockReadGuard, ArcRwLockUpgradableReadGuard,
    ArcRwLockWriteGuard,
};
