//! [`Runtime`].

use std::{
    fmt,
    future::Future,
    io,
    ops::Deref,
    panic::{RefUnwindSafe, UnwindSafe},
    time::Duration,
};

use ::tokio::task::JoinHandle;

use super::{Builder, Handle};
use crate::{tokio::root::Root, validator::tasks};

/// [`tokio::runtime::Runtime`], to which it dereferences.
///
/// `.into()` converts it to and from tokio's own.
pub struct Runtime {
    runtime: ::tokio::runtime::Runtime,
    handle: Handle,
}

impl Runtime {
    /// As tokio's.
    pub fn new() -> io::Result<Self> {
        Builder::new_multi_thread().enable_all().build()
    }

    /// As tokio's.
    #[must_use]
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.runtime.spawn(Root::spawned(future))
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.runtime.spawn_blocking(tasks::job(func))
    }

    /// As tokio's. The future counts as part of the calling thread, so locks that the thread holds
    /// count as held by the future.
    ///
    /// # Panics
    ///
    /// If tokio's version would panic, if the future panics, and for a finding at
    /// [`Level::Deny`](crate::Level::Deny).
    #[track_caller]
    pub fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(Root::to_block_on(future))
    }

    /// As tokio's.
    pub fn shutdown_timeout(self, duration: Duration) {
        self.runtime.shutdown_timeout(duration);
    }

    /// As tokio's.
    pub fn shutdown_background(self) {
        self.runtime.shutdown_background();
    }
}

impl Deref for Runtime {
    type Target = ::tokio::runtime::Runtime;

    fn deref(&self) -> &Self::Target {
        &self.runtime
    }
}

impl From<::tokio::runtime::Runtime> for Runtime {
    fn from(runtime: ::tokio::runtime::Runtime) -> Self {
        let handle = runtime.handle().clone().into();
        Self { runtime, handle }
    }
}

impl From<Runtime> for ::tokio::runtime::Runtime {
    fn from(runtime: Runtime) -> Self {
        runtime.runtime
    }
}

// Older versions of tokio do not implement these for `Handle`.
impl UnwindSafe for Runtime {}
impl RefUnwindSafe for Runtime {}

impl fmt::Debug for Runtime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.runtime.fmt(f)
    }
}
