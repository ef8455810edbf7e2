//! [`futures_util::lock`], with its mutex checked.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! `futures_util::lock`.
//!
//! ```
//! # #[cfg(feature = "tokio")] #[::tokio::main(flavor = "current_thread")] async fn main() {
//! use lockdep::futures_lock::Mutex; // was: use futures::lock::Mutex;
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
//! `lockdep::as_task`. Elsewhere nothing is checked.
//!
//! The mutex wakes a waiting task without granting it the lock, which another task may take first.
//! So orders are checked, and a task that waits for this mutex is never reported as stuck.

mod guard;
mod mutex;

// `BiLock`, with its unstable feature `bilock`.
#[allow(
    unused_imports,
    unreachable_pub,
    reason = "nothing else is there without that feature"
)]
pub use ::futures_util::lock::*;

pub use self::{
    guard::{MappedMutexGuard, MutexGuard, OwnedMutexGuard},
    mutex::{Mutex, MutexLockFuture, OwnedMutexLockFuture},
};
