//! [`std::thread`], checked: everything that it holds, under the same names.
//!
//! A thread holds its own *exit* from its spawn until it has ended. Joining it, or reaching the end
//! of its scope, acquires the exit. So joining a thread under a lock that the thread takes is an
//! [`Inversion`](crate::FindingKind::Inversion), reported in runs that do not hang. The mirror also
//! records which thread spawned which, for
//! [`OrderedInversion`](crate::FindingKind::OrderedInversion).
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
mod park;
mod scoped;
mod spawned;

pub use std::thread::*;

pub use self::{
    builder::{Builder, spawn},
    join_handle::JoinHandle,
    park::{park, park_timeout},
    scoped::{Scope, ScopedJoinHandle, scope},
};
