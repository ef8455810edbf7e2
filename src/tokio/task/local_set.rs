//! [`LocalSet`].

use std::{
    cell::Cell,
    fmt,
    future::{Future, poll_fn},
    ops::{Deref, DerefMut},
    pin::{Pin, pin},
    task::{Context, Poll},
};

use ::tokio::task::JoinHandle;

use crate::{
    tokio::{root::Root, runtime::Runtime},
    validator::tasks,
};

/// [`tokio::task::LocalSet`], to which it dereferences for everything except spawning futures.
///
/// ```
/// use std::rc::Rc;
///
/// use lockdep::tokio::{self, task::LocalSet};
///
/// # #[tokio::main] async fn main() {
/// let local = LocalSet::new();
/// let name = Rc::new("local");
/// let length = local.spawn_local(async move { name.len() });
/// assert_eq!(local.run_until(length).await.unwrap(), 5);
/// # }
/// ```
pub struct LocalSet(::tokio::task::LocalSet);

impl LocalSet {
    /// As tokio's.
    #[must_use]
    pub fn new() -> Self {
        Self(::tokio::task::LocalSet::new())
    }

    /// As tokio's.
    #[track_caller]
    pub fn spawn_local<F>(&self, future: F) -> JoinHandle<F::Output>
    where
        F: Future + 'static,
        F::Output: 'static,
    {
        self.0.spawn_local(Root::spawned(future))
    }

    /// As tokio's. The future counts as part of the calling thread.
    #[track_caller]
    pub fn block_on<F: Future>(&self, rt: &Runtime, future: F) -> F::Output {
        self.0.block_on(rt, Root::to_block_on(future))
    }

    /// As tokio's. The future counts as part of the task that awaits this.
    pub async fn run_until<F: Future>(&self, future: F) -> F::Output {
        let outer = Cell::new(None::<tasks::Outer>);
        let within = async {
            let mut future = pin!(future);
            let poll = |cx: &mut Context<'_>| match outer.take() {
                Some(outer) => outer.poll(cx, |cx| future.as_mut().poll(cx)),
                None => future.as_mut().poll(cx),
            };
            poll_fn(poll).await
        };
        let mut set = pin!(self.0.run_until(within));
        let poll = |cx: &mut Context<'_>| {
            tasks::poll_set_around(cx, |cx, task| {
                outer.set(task);
                set.as_mut().poll(cx)
            })
        };
        poll_fn(poll).await
    }
}

impl Deref for LocalSet {
    type Target = ::tokio::task::LocalSet;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl DerefMut for LocalSet {
    fn deref_mut(&mut self) -> &mut Self::Target {
        &mut self.0
    }
}

impl Future for LocalSet {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        tasks::poll_set(|| Pin::new(&mut self.0).poll(cx))
    }
}

impl Default for LocalSet {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LocalSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
