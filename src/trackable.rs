//! The locks that functions of the crate take, such as [`name`](crate::name): on both sides of the switch.

use crate::sync;
#[cfg(any(feature = "lock_api", feature = "lock_api_0_5"))]
use crate::tracked::RawLock;

/// A lock that can be [named](crate::name), [declared](crate::declare_order) and classified: a `Mutex`, `RwLock`,
/// `Once`, `OnceLock` or `LazyLock` of [`lockdep::sync`](crate::sync), an [`Event`](crate::external::Event), a
/// [`Resource`](crate::external::Resource), and the locks of the other flavours except `ReentrantMutex`, whose raw lock cannot be reached.
///
/// This trait is sealed.
///
/// ```
/// use lockdep::{Trackable, sync::{Mutex, RwLock}};
///
/// fn named<L: Trackable>(lock: L, name: &str) -> L {
///     lockdep::name(&lock, name);
///     lock
/// }
///
/// let accounts = named(Mutex::new(vec![100, 200]), "accounts");
/// let rates = named(RwLock::new(1.5), "rates");
/// ```
pub trait Trackable: sealed::Sealed {}

impl<L: sealed::Sealed + ?Sized> Trackable for L {}

mod sealed {
    #[allow(unreachable_pub, unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {
        /// The lock's number; none in a build that is not checked.
        fn number(&self) -> Option<u64>;
    }
}

/// The number of a lock; none in a build that is not checked.
pub(crate) fn number<L: Trackable + ?Sized>(lock: &L) -> Option<u64> {
    lock.number()
}

macro_rules! locks {
    ($([$($parameters:tt)*] $lock:ty => $tracked:path, $kind:expr;)*) => {$(
        impl<$($parameters)*> sealed::Sealed for $lock {
            #[cfg(any(debug_assertions, feature = "enforce"))]
            fn number(&self) -> Option<u64> {
                Some($tracked(self).number($kind))
            }

            #[cfg(not(any(debug_assertions, feature = "enforce")))]
            fn number(&self) -> Option<u64> {
                None
            }
        }
    )*};
}

locks! {
    [T: ?Sized] sync::Mutex<T> => sync::Mutex::tracked, Self::KIND;
    [T: ?Sized] sync::RwLock<T> => sync::RwLock::tracked, Self::KIND;
    [] sync::Once => sync::Once::tracked, Self::KIND;
    [T] sync::OnceLock<T> => sync::OnceLock::tracked, Self::KIND;
    [T, F] sync::LazyLock<T, F> => sync::LazyLock::tracked, Self::KIND;
}

impl sealed::Sealed for crate::external::Event {
    fn number(&self) -> Option<u64> {
        Self::number(self)
    }
}

impl sealed::Sealed for crate::external::Resource {
    fn number(&self) -> Option<u64> {
        Self::number(self)
    }
}

#[cfg(feature = "lock_api")]
locks! {
    [R: ::lock_api::RawMutex, T: ?Sized]
        ::lock_api::Mutex<crate::lock_api::RawMutex<R>, T> => crate::lock_api::RawMutex::tracked_of, crate::lock_api::RawMutex::<R>::KIND;
    [R: ::lock_api::RawRwLock, T: ?Sized]
        ::lock_api::RwLock<crate::lock_api::RawRwLock<R>, T> => crate::lock_api::RawRwLock::tracked_of, crate::lock_api::RawRwLock::<R>::KIND;
}

#[cfg(feature = "parking_lot")]
locks! {
    [] crate::parking_lot::Once => crate::parking_lot::Once::tracked, Self::KIND;
}

#[cfg(feature = "once_cell")]
locks! {
    [T] crate::once_cell::sync::OnceCell<T> => crate::once_cell::sync::OnceCell::tracked, Self::KIND;
    [T, F] crate::once_cell::sync::Lazy<T, F> => crate::once_cell::sync::Lazy::tracked, Self::KIND;
}

#[cfg(feature = "tokio")]
locks! {
    [T: ?Sized] crate::tokio::sync::Mutex<T> => crate::tokio::sync::Mutex::tracked, Self::KIND;
    [T: ?Sized] crate::tokio::sync::RwLock<T> => crate::tokio::sync::RwLock::tracked, Self::KIND;
    [] crate::tokio::sync::Semaphore => crate::tokio::sync::Semaphore::tracked, Self::KIND;
    [T] crate::tokio::sync::OnceCell<T> => crate::tokio::sync::OnceCell::tracked, Self::KIND;
}

#[cfg(feature = "async_lock")]
locks! {
    [T: ?Sized] crate::async_lock::Mutex<T> => crate::async_lock::Mutex::tracked, Self::KIND;
    [T: ?Sized] crate::async_lock::RwLock<T> => crate::async_lock::RwLock::tracked, Self::KIND;
    [] crate::async_lock::Semaphore => crate::async_lock::Semaphore::tracked, Self::KIND;
}

#[cfg(feature = "futures_lock")]
locks! {
    [T: ?Sized] crate::futures_lock::Mutex<T> => crate::futures_lock::Mutex::tracked, Self::KIND;
}

#[cfg(feature = "lock_api_0_5")]
locks! {
    [R: ::lock_api_0_5::RawMutex, T: ?Sized]
        ::lock_api_0_5::Mutex<crate::lock_api_0_5::RawMutex<R>, T>
        => crate::lock_api_0_5::RawMutex::tracked_of, crate::lock_api_0_5::RawMutex::<R>::KIND;
}

#[cfg(all(feature = "lock_api_0_5", any(debug_assertions, feature = "enforce")))]
locks! {
    [R: ::lock_api_0_5::RawRwLock, T: ?Sized, const RECURSIVE: bool]
        ::lock_api_0_5::RwLock<crate::lock_api_0_5::RawRwLock<R, RECURSIVE>, T>
        => crate::lock_api_0_5::RawRwLock::tracked_of, crate::lock_api_0_5::RawRwLock::<R, RECURSIVE>::KIND;
}

#[cfg(all(feature = "lock_api_0_5", not(any(debug_assertions, feature = "enforce"))))]
locks! {
    [R: ::lock_api_0_5::RawRwLock, T: ?Sized] ::lock_api_0_5::RwLock<R, T>
        => crate::lock_api_0_5::RawRwLock::tracked_of, crate::lock_api_0_5::RawRwLock::<R>::KIND;
}

#[cfg(feature = "parking_lot_0_13")]
locks! {
    [] crate::parking_lot_0_13::Once => crate::parking_lot_0_13::Once::tracked, Self::KIND;
}
