//! The future of a task, as tokio polls it, or another executor.

use std::{
    fmt,
    future::Future,
    mem,
    panic::Location,
    pin::Pin,
    ptr,
    sync::Arc,
    task::{Context, Poll},
};

use lockdep::__private::validator::{
    root_poll,
    tasks::{self, Task},
};
use pin_project_lite::pin_project;

use crate::span::{Span, Spawn, take_spawn};

pin_project! {
    /// As `tracing::instrument::Instrumented`: a future, polled and dropped as a task.
    pub struct Instrumented<F> {
        // `None` once the task has completed.
        #[pin]
        future: Option<F>,
        root: Option<Root>,
    }

    impl<F> PinnedDrop for Instrumented<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(root) = this.root {
                root_poll::end(&root.task, this.future);
            }
        }
    }
}

/// A task, and how tokio polls it.
struct Root {
    task: Arc<Task>,
    /// tokio has boxed the future and polls a pointer.
    is_in_box: bool,
}

impl Root {
    fn new<F>(spawn: &Spawn) -> Self {
        let is_in_box = spawn.unboxed_size.is_some() && size_of::<F>() == size_of::<usize>();
        let size = spawn.unboxed_size.filter(|_| is_in_box).unwrap_or(size_of::<F>());
        let task = if spawn.blocks_thread() {
            Task::to_block_on(spawn.site, size)
        } else {
            Task::new(spawn.site, size)
        };
        Self { task, is_in_box }
    }

    /// Returns the address of the task's own future.
    fn address<F>(&self, polled: &F) -> usize {
        if self.is_in_box {
            // SAFETY: tokio boxes only sized futures, so this is a `Pin<Box<_>>` that consists of
            // one pointer.
            unsafe { mem::transmute_copy::<F, usize>(polled) }
        } else {
            ptr::from_ref(polled).addr()
        }
    }
}

impl<F> Instrumented<F> {
    /// Makes a task of a future that is spawned at a location in the program.
    pub fn spawned(future: F, site: &'static Location<'static>) -> Self {
        Self::with_task(future, Task::new(site, size_of::<F>()))
    }

    /// Makes a task of a future that the calling thread is about to block on.
    pub fn to_block_on(future: F, site: &'static Location<'static>) -> Self {
        Self::with_task(future, Task::to_block_on(site, size_of::<F>()))
    }

    fn with_task(future: F, task: Arc<Task>) -> Self {
        Self { future: Some(future), root: Some(Root { task, is_in_box: false }) }
    }

    /// As in `tracing`.
    pub fn span(&self) -> &Span {
        const { &Span::none() }
    }
}

impl<F> fmt::Debug for Instrumented<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Instrumented").finish_non_exhaustive()
    }
}

impl<F: Future> Future for Instrumented<F> {
    type Output = F::Output;

    // The report of a denied finding names the caller.
    #[track_caller]
    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let future = this.future.as_ref().get_ref().as_ref().expect("not polled after completion");
        match this.root {
            Some(root) => {
                let address = root.address(future);
                root_poll::poll_at(&root.task, this.future, address, cx)
            }
            None => this.future.as_pin_mut().expect("not polled after completion").poll(cx),
        }
    }
}

/// As `tracing::instrument::Instrument`.
pub trait Instrument: Sized {
    /// Makes a task of the future, whose span was just created.
    fn instrument(self, _: Span) -> Instrumented<Self> {
        let root = take_spawn().filter(Spawn::is_task).map(|spawn| Root::new::<Self>(&spawn));
        Instrumented { future: Some(self), root }
    }
}

impl<F> Instrument for F {}
