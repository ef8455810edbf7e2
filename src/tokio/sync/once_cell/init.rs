//! The initialization of a [`OnceCell`].

use std::{
    future::Future,
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use pin_project_lite::pin_project;

use super::{
    super::acquire::{Acquired, Request, acquire},
    OnceCell,
};
use crate::finding::Mode;

/// The right to set the value, held while an initializer runs. Dropping it lets the next
/// initializer run.
pub(super) struct Initializing<'a, T> {
    cell: &'a OnceCell<T>,
}

impl<'a, T> Initializing<'a, T> {
    pub(super) fn finish(self, value: T) -> &'a T {
        let Self { cell } = self;
        mem::forget(self);
        let set = cell.inner.set(value).is_ok();
        cell.tracked.release(Mode::Exclusive, || cell.free.close());
        debug_assert!(set, "no other task sets it concurrently");
        cell.inner.get().expect("it was set")
    }
}

impl<T> Drop for Initializing<'_, T> {
    fn drop(&mut self) {
        let free = &self.cell.free;
        self.cell.tracked.release(Mode::Exclusive, || free.add_permits(1));
    }
}

/// Returns a future of the value. If the cell has a value, `there` converts it; otherwise the
/// initializer runs, and `finish` converts its result.
#[track_caller]
pub(super) fn get_or_run<'a, T, F, Fut, O>(
    cell: &'a OnceCell<T>,
    init: F,
    there: fn(&'a T) -> O,
    finish: fn(Fut::Output, Initializing<'a, T>) -> O,
) -> impl Future<Output = O>
where
    F: FnOnce() -> Fut,
    Fut: Future,
{
    let kind = OnceCell::<T>::KIND;
    let request = Request { kind, mode: Mode::Exclusive, is_write: false, permits: 1 };
    let initializing = |cell, acquired: Acquired| acquired.ok().map(|_| Initializing { cell });
    GetOrRun {
        acquire: acquire(cell, request, initializing),
        running: None,
        initializing: None,
        init: Some(init),
        cell,
        there,
        finish,
    }
}

pin_project! {
    // Field order is drop order.
    struct GetOrRun<'a, T, A, F, Fut: Future, O> {
        #[pin]
        acquire: A,
        #[pin]
        running: Option<Fut>,
        initializing: Option<Initializing<'a, T>>,
        init: Option<F>,
        cell: &'a OnceCell<T>,
        there: fn(&'a T) -> O,
        finish: fn(Fut::Output, Initializing<'a, T>) -> O,
    }
}

impl<'a, T, A, F, Fut, O> Future for GetOrRun<'a, T, A, F, Fut, O>
where
    A: Future<Output = Option<Initializing<'a, T>>>,
    F: FnOnce() -> Fut,
    Fut: Future,
{
    type Output = O;

    /// `track_caller`, so that a panic shows the location of the `.await`.
    #[track_caller]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<O> {
        let mut this = self.project();
        // Taken out of the future, so that it is dropped if the initializer panics.
        let mut initializing = this.initializing.take();
        if initializing.is_none() {
            if let Some(value) = this.cell.get() {
                return Poll::Ready((this.there)(value));
            }
            initializing = ready!(this.acquire.poll(cx));
            if initializing.is_some() {
                let init = this.init.take().expect("acquired once");
                this.running.set(Some(init()));
            }
        }
        let Some(initializing) = initializing else {
            let value = this.cell.get().expect("it is closed only after it is initialized");
            return Poll::Ready((this.there)(value));
        };
        let running = this.running.as_mut().as_pin_mut().expect("it runs while initializing");
        let Poll::Ready(result) = running.poll(cx) else {
            *this.initializing = Some(initializing);
            return Poll::Pending;
        };
        this.running.set(None);
        Poll::Ready((this.finish)(result, initializing))
    }
}
