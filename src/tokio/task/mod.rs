//! [`tokio::task`], with tasks that lockdep knows.
//!
//! ```
//! use lockdep::tokio::{self, task};
//!
//! # #[tokio::main] async fn main() {
//! assert_eq!(task::spawn(async { 1 + 2 }).await.unwrap(), 3);
//! # }
//! ```

mod join_set;
mod local_set;

use std::future::Future;

pub use ::tokio::task::*;

pub use self::{join_set::JoinSet, local_set::LocalSet};
use super::root::Root;
use crate::validator::tasks;

/// As [`tokio::spawn`].
#[track_caller]
pub fn spawn<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    ::tokio::spawn(Root::spawned(future))
}

/// As [`tokio::task::spawn_blocking`].
#[track_caller]
pub fn spawn_blocking<F, R>(f: F) -> JoinHandle<R>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    ::tokio::task::spawn_blocking(tasks::job(f))
}

/// As [`tokio::task::spawn_local`].
#[track_caller]
pub fn spawn_local<F>(future: F) -> JoinHandle<F::Output>
where
    F: Future + 'static,
    F::Output: 'static,
{
    ::tokio::task::spawn_local(Root::spawned(future))
}
