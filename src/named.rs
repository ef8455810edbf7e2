//! Which types [`name`](crate::name) takes: the locks of `lockdep::sync`, whichever
//! side of the switch the build is on.

use crate::sync;

/// A lock that can be [named](crate::name): a `Mutex`, `RwLock`, `Once`, `OnceLock`
/// or `LazyLock` of [`lockdep::sync`](crate::sync).
///
/// Cannot be implemented elsewhere.
pub trait Lock: sealed::Sealed {}

impl<L: sealed::Sealed + ?Sized> Lock for L {}

mod sealed {
    #[allow(unreachable_pub, unnameable_types, reason = "that is what seals the trait")]
    pub trait Sealed {
        /// Does nothing in a build that is not checked.
        fn set_name(&self, name: &str);
    }
}

pub(crate) fn set_name<L: Lock + ?Sized>(lock: &L, name: &str) {
    lock.set_name(name);
}

macro_rules! locks {
    ($([$($parameters:tt)*] $lock:ty)*) => {$(
        impl<$($parameters)*> sealed::Sealed for $lock {
            #[cfg(any(debug_assertions, feature = "enforce"))]
            fn set_name(&self, name: &str) {
                self.tracked().name(name);
            }

            #[cfg(not(any(debug_assertions, feature = "enforce")))]
            fn set_name(&self, _name: &str) {}
        }
    )*};
}

locks! {
    [T: ?Sized] sync::Mutex<T>
    [T: ?Sized] sync::RwLock<T>
    [] sync::Once
    [T] sync::OnceLock<T>
    [T, F] sync::LazyLock<T, F>
}
