//! [`JoinSet`].

use std::{
    fmt,
    future::Future,
    ops::{Deref, DerefMut},
    panic,
};

use ::tokio::task::AbortHandle;

use super::LocalSet;
use crate::{
    tokio::{root::Root, runtime::Handle},
    validator::tasks,
};

/// [`tokio::task::JoinSet`], to which it dereferences for everything except spawning futures.
///
/// ```
/// use lockdep::tokio::{self, task::JoinSet};
///
/// # #[tokio::main] async fn main() {
/// let mut tasks: JoinSet<u32> = (1..=3).map(|it| async move { it * it }).collect();
/// let mut sum = 0;
/// while let Some(square) = tasks.join_next().await {
///     sum += square.unwrap();
/// }
/// assert_eq!(sum, 14);
/// # }
/// ```
pub struct JoinSet<T>(::tokio::task::JoinSet<T>);

impl<T> JoinSet<T> {
    /// As tokio's.
    #[must_use]
    pub fn new() -> Self {
        Self(::tokio::task::JoinSet::new())
    }

    /// As tokio's.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// As tokio's.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: 'static> JoinSet<T> {
    /// As tokio's.
    #[track_caller]
    pub fn spawn<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.0.spawn(Root::spawned(task))
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_blocking<F>(&mut self, f: F) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.0.spawn_blocking(tasks::job(f))
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_blocking_on<F>(&mut self, f: F, handle: &Handle) -> AbortHandle
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send,
    {
        self.0.spawn_blocking_on(tasks::job(f), handle)
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_on<F>(&mut self, task: F, handle: &Handle) -> AbortHandle
    where
        F: Future<Output = T> + Send + 'static,
        T: Send,
    {
        self.0.spawn_on(Root::spawned(task), handle)
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_local<F>(&mut self, task: F) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.0.spawn_local(Root::spawned(task))
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_local_on<F>(&mut self, task: F, local_set: &LocalSet) -> AbortHandle
    where
        F: Future<Output = T> + 'static,
    {
        self.0.spawn_local_on(Root::spawned(task), local_set)
    }

    /// As tokio's.
    ///
    /// # Panics
    ///
    /// If one of the tasks has panicked or was aborted.
    pub async fn join_all(mut self) -> Vec<T> {
        let mut outputs = Vec::with_capacity(self.len());
        while let Some(joined) = self.join_next().await {
            match joined {
                Ok(output) => outputs.push(output),
                Err(error) if error.is_panic() => panic::resume_unwind(error.into_panic()),
                Err(error) => panic!("{error}"),
            }
        }
        outputs
    }
}

impl<T> Deref for JoinSet<T> {
    type Target = ::tokio::task::JoinSet<T>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl<T> DerefMut for JoinSet<T> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl<T> Default for JoinSet<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> fmt::Debug for JoinSet<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<T, F> Extend<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn extend<I: IntoIterator<Item = F>>(&mut self, tasks: I) {
        for task in tasks {
            self.spawn(task);
        }
    }
}

impl<T, F> FromIterator<F> for JoinSet<T>
where
    F: Future<Output = T> + Send + 'static,
    T: Send + 'static,
{
    fn from_iter<I: IntoIterator<Item = F>>(tasks: I) -> Self {
        let mut set = Self::new();
        set.extend(tasks);
        set
    }
}
