//! [async-lock](https://docs.rs/async-lock), with its mutex, its reader-writer lock and its semaphore checked.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! `async_lock`. Its other types are async-lock's own in any build, and not checked.
//!
//! ```
//! # #[cfg(feature = "tokio")] #[::tokio::main(flavor = "current_thread")] async fn main() {
//! use lockdep::async_lock::Mutex; // was: use async_lock::Mutex;
//!
//! let accounts = Mutex::new(vec![100, 200]);
//! accounts.lock().await[0] -= 10;
//! assert_eq!(*accounts.lock().await, [90, 200]);
//! # }
//! # #[cfg(not(feature = "tokio"))] fn main() {}
//! ```
//!
//! A task that is known to lockdep keeps what it holds over an `.await`, and has one lock order with
//! all other locks. Known are the tasks of `lockdep::tokio`, and on any executor the futures in
//! `lockdep::as_task`. Elsewhere, only the functions that block a thread are checked: they wait with what
//! the thread holds, but it is not known who has the guard afterwards.
//!
//! They wake a waiting task without granting it the lock, which another task may take first. So
//! orders are checked, and a task that waits for one of them is never reported as stuck.

pub mod futures;
mod guard;
mod mutex;
mod rwlock;
mod semaphore;

pub use ::async_lock::{Barrier, BarrierWaitResult, OnceCell};

pub use self::{
    guard::{MutexGuard, MutexGuardArc},
    mutex::Mutex,
    rwlock::{
        RwLock, RwLockReadGuard, RwLockReadGuardArc, RwLockUpgradableReadGuard,
        RwLockUpgradableReadGuardArc, RwLockWriteGuard, RwLockWriteGuardArc,
    },
    semaphore::{Semaphore, SemaphoreGuard, SemaphoreGuardArc},
};
