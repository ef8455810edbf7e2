//! [`std::sync`], checked: everything that it holds, under the same names.
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
    reason = "measured: what an acquisition has in registers is lost at a call"
)]

mod condvar;
mod lazy_lock;
mod mutex;
mod once;
mod once_lock;
mod rwlock;

pub use std::sync::*;

#[allow(deprecated, reason = "std still has it")]
pub use self::once::ONCE_INIT;
pub use self::{
    condvar::Condvar,
    lazy_lock::LazyLock,
    mutex::{Mutex, MutexGuard},
    once::Once,
    once_lock::OnceLock,
    rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard},
};
