//! One source of tests, compiled against `parking_lot` 0.12 and 0.13 and against their mirrors, in
//! checked builds and in others.
#![cfg(feature = "arc_lock")]

#[cfg(feature = "parking_lot")]
mod real_0_12 {
    use parking_lot as subject;
    include!("locks.rs");
    include!("recursive_0_12.rs");
}

#[cfg(feature = "parking_lot")]
mod lockdep_0_12 {
    use lockdep::parking_lot as subject;
    include!("locks.rs");
    include!("recursive_0_12.rs");
}

/// 0.13, with the constant constructors that its `new` has made superfluous.
#[cfg(feature = "parking_lot_0_13")]
macro_rules! line_0_13 {
    ($name:ident is $parking_lot:path) => {
        mod $name {
            mod subject {
                pub(super) use $parking_lot::*;

                pub(super) const fn const_mutex<T>(value: T) -> Mutex<T> {
                    Mutex::new(value)
                }
                pub(super) const fn const_fair_mutex<T>(value: T) -> FairMutex<T> {
                    FairMutex::new(value)
                }
                pub(super) const fn const_reentrant_mutex<T>(value: T) -> ReentrantMutex<T> {
                    ReentrantMutex::new(value)
                }
                pub(super) const fn const_rwlock<T>(value: T) -> RwLock<T> {
                    RwLock::new(value)
                }
            }
            include!("locks.rs");
            include!("new_in_0_13.rs");
        }
    };
}

#[cfg(feature = "parking_lot_0_13")]
line_0_13!(real_0_13 is parking_lot_0_13);
#[cfg(feature = "parking_lot_0_13")]
line_0_13!(lockdep_0_13 is lockdep::parking_lot_0_13);
