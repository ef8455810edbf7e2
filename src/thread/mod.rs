//! [`std::thread`], checked: everything that it holds, under the same names.
//!
//! A thread holds its own exit from the moment it is spawned until it has ended; to join it, or to come to
//! the end of its scope, is to acquire that. So who joins with a lock held that the thread takes
//! is told, although nothing hangs. Threads that are started so are also known to descend from who
//! started them.
//!
//! In a build without debug assertions and without the feature `enforce`, this module *is*
//! `std::thread`.
//!
//! ```
//! use lockdep::thread; // was: use std::thread;
//!
//! let worker = thread::spawn(|| 6 * 7);
//! assert_eq!(worker.join().unwrap(), 42);
//! ```

mod builder;
mod join_handle;
mod scoped;
mod spawned;

pub use std::thread::*;

pub use self::{
    builder::{Builder, spawn},
    join_handle::JoinHandle,
    scoped::{Scope, ScopedJoinHandle, scope},
};
