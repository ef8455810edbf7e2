//! The `async_task` of a checked program: the real one, with all futures polled as tasks that are known.
//!
//! The executors of smol, async-std and bevy spawn their tasks with it.

// Records the process's counts, even if no crate uses the checked std.
extern crate lockdep_std as _;

use std::{future::Future, panic::Location};

pub use async_task::{FallibleTask, Runnable, Schedule, ScheduleInfo, Task, WithInfo};
use lockdep_tracing::Instrumented;

/// As [`async_task::Builder`].
#[derive(Debug)]
pub struct Builder<M>(async_task::Builder<M>);

impl<M: Default> Default for Builder<M> {
    fn default() -> Self {
        Self(async_task::Builder::default())
    }
}

impl Builder<()> {
    pub fn new() -> Self {
        Self(async_task::Builder::new())
    }

    pub fn metadata<M>(self, metadata: M) -> Builder<M> {
        Builder(self.0.metadata(metadata))
    }
}

impl<M> Builder<M> {
    #[cfg(feature = "std")]
    pub fn propagate_panic(self, propagate_panic: bool) -> Self {
        Self(self.0.propagate_panic(propagate_panic))
    }

    #[track_caller]
    pub fn spawn<F, Fut, S>(self, future: F, schedule: S) -> (Runnable<M>, Task<Fut::Output, M>)
    where
        F: FnOnce(&M) -> Fut,
        Fut: Future + Send + 'static,
        Fut::Output: Send + 'static,
        S: Schedule<M> + Send + Sync + 'static,
    {
        let site = Location::caller();
        self.0.spawn(|metadata| Instrumented::spawned(future(metadata), site), schedule)
    }

    #[cfg(feature = "std")]
    #[track_caller]
    pub fn spawn_local<F, Fut, S>(
        self,
        future: F,
        schedule: S,
    ) -> (Runnable<M>, Task<Fut::Output, M>)
    where
        F: FnOnce(&M) -> Fut,
        Fut: Future + 'static,
        Fut::Output: 'static,
        S: Schedule<M> + Send + Sync + 'static,
    {
        let site = Location::caller();
        self.0.spawn_local(|metadata| Instrumented::spawned(future(metadata), site), schedule)
    }

    /// # Safety
    ///
    /// As for the real one.
    #[track_caller]
    pub unsafe fn spawn_unchecked<'a, F, Fut, S>(
        self,
        future: F,
        schedule: S,
    ) -> (Runnable<M>, Task<Fut::Output, M>)
    where
        F: FnOnce(&'a M) -> Fut,
        Fut: Future + 'a,
        S: Schedule<M>,
        M: 'a,
    {
        let site = Location::caller();
        let future = |metadata| Instrumented::spawned(future(metadata), site);
        // SAFETY: the caller keeps the rules. The task's future is in the one that is spawned, and is nowhere else.
        unsafe { self.0.spawn_unchecked(future, schedule) }
    }
}

/// As [`async_task::spawn`].
#[track_caller]
pub fn spawn<F, S>(future: F, schedule: S) -> (Runnable, Task<F::Output>)
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
    S: Schedule + Send + Sync + 'static,
{
    Builder::new().spawn(move |()| future, schedule)
}

/// As [`async_task::spawn_local`].
#[cfg(feature = "std")]
#[track_caller]
pub fn spawn_local<F, S>(future: F, schedule: S) -> (Runnable, Task<F::Output>)
where
    F: Future + 'static,
    F::Output: 'static,
    S: Schedule + Send + Sync + 'static,
{
    Builder::new().spawn_local(move |()| future, schedule)
}

/// As [`async_task::spawn_unchecked`].
///
/// # Safety
///
/// As for the real one.
#[track_caller]
pub unsafe fn spawn_unchecked<F, S>(future: F, schedule: S) -> (Runnable, Task<F::Output>)
where
    F: Future,
    S: Schedule,
{
    // SAFETY: the caller keeps the rules.
    unsafe { Builder::new().spawn_unchecked(move |()| future, schedule) }
}
