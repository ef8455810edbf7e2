//! [`Handle`].

use std::{fmt, future::Future, ops::Deref};

use ::tokio::{runtime::TryCurrentError, task::JoinHandle};

use crate::{tokio::root::Root, validator::tasks};

/// [`tokio::runtime::Handle`], to which it dereferences.
///
/// `.into()` converts it to and from tokio's own.
///
/// ```
/// use lockdep::tokio::{self, runtime::Handle};
///
/// fn of_a_library(_: &::tokio::runtime::Handle) {}
///
/// # #[tokio::main] async fn main() {
/// let handle = Handle::current();
/// assert_eq!(handle.spawn(async { 1 }).await.unwrap(), 1);
/// of_a_library(&handle);
/// # }
/// ```
#[derive(Clone)]
pub struct Handle(::tokio::runtime::Handle);

impl Handle {
    /// As tokio's.
    ///
    /// # Panics
    ///
    /// Outside a runtime, as tokio's.
    #[must_use]
    #[track_caller]
    pub fn current() -> Self {
        Self(::tokio::runtime::Handle::current())
    }

    /// As tokio's.
    pub fn try_current() -> Result<Self, TryCurrentError> {
        ::tokio::runtime::Handle::try_current().map(Self)
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        self.0.spawn(Root::spawned(future))
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_blocking<F, R>(&self, func: F) -> JoinHandle<R>
    where
        F: FnOnce() -> R + Send + 'static,
        R: Send + 'static,
    {
        self.0.spawn_blocking(tasks::job(func))
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
        self.0.block_on(Root::to_block_on(future))
    }
}

impl Deref for Handle {
    type Target = ::tokio::runtime::Handle;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<::tokio::runtime::Handle> for Handle {
    fn from(handle: ::tokio::runtime::Handle) -> Self {
        Self(handle)
    }
}

impl From<Handle> for ::tokio::runtime::Handle {
    fn from(handle: Handle) -> Self {
        handle.0
    }
}

impl fmt::Debug for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
