//! The root future of a task, which the runtime polls.

use std::{
    future::Future,
    panic::Location,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use pin_project_lite::pin_project;

use crate::validator::{
    root_poll,
    tasks::{self, Task},
};

pin_project! {
    /// A future that is polled and dropped as a task.
    pub(super) struct Root<F> {
        task: Arc<Task>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for Root<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            root_poll::end(this.task, this.future);
        }
    }
}

impl<F> Root<F> {
    /// Wraps a future that is spawned at the caller's location.
    #[track_caller]
    pub(super) fn spawned(future: F) -> Self {
        let task = Task::new(Location::caller(), size_of::<F>());
        Self { task, future: Some(future) }
    }

    /// Wraps a future that the calling thread blocks on.
    #[track_caller]
    pub(super) fn to_block_on(future: F) -> Self {
        let task = Task::to_block_on(Location::caller(), size_of::<F>());
        Self { task, future: Some(future) }
    }
}

impl<F: Future> Future for Root<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        root_poll::poll(this.task, this.future, cx)
    }
}

/// See [`crate::as_task()`].
#[track_caller]
pub(crate) fn as_task<F: Future>(future: F) -> impl Future<Output = F::Output> {
    AsTask { named_at: Location::caller(), is_begun: false, task: None, future: Some(future) }
}

pin_project! {
    /// A future that is polled and dropped as a task, unless it is part of one.
    struct AsTask<F> {
        named_at: &'static Location<'static>,
        is_begun: bool,
        task: Option<Arc<Task>>,
        #[pin]
        future: Option<F>,
    }

    impl<F> PinnedDrop for AsTask<F> {
        fn drop(this: Pin<&mut Self>) {
            let this = this.project();
            if let Some(task) = this.task {
                root_poll::end(task, this.future);
            }
        }
    }
}

impl<F: Future> Future for AsTask<F> {
    type Output = F::Output;

    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        if !std::mem::replace(this.is_begun, true) && !tasks::is_known() {
            *this.task = Some(Task::within_unknown(this.named_at, size_of::<F>()));
        }
        match this.task {
            Some(task) => root_poll::poll(task, this.future, cx),
            None => this.future.as_pin_mut().expect("it is never taken out").poll(cx),
        }
    }
}
