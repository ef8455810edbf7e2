//! Waiting by blocking the thread, as tokio's `blocking_` methods do.

use std::{
    future::Future,
    pin::pin,
    sync::{Arc, Condvar, Mutex, PoisonError},
    task::{Context, Poll, Wake},
};

/// Panics if tokio's `blocking_` methods would: in a thread that runs tasks.
#[track_caller]
pub(super) fn assert_may_block() {
    // The lock is free, so this does not wait.
    drop(::tokio::sync::Mutex::new(()).blocking_lock());
}

/// A waiting thread. It does not use `thread::park`, whose token belongs to the program.
#[derive(Default)]
struct Waiter {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Waiter {
    fn wait(&self) {
        let is_woken = self.is_woken.lock().unwrap_or_else(PoisonError::into_inner);
        let woken = self.woken.wait_while(is_woken, |is_woken| !*is_woken);
        *woken.unwrap_or_else(PoisonError::into_inner) = false;
    }
}

impl Wake for Waiter {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        *self.is_woken.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.woken.notify_one();
    }
}

/// Blocks the thread until the future is ready.
pub(super) fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let waiter = Arc::new(Waiter::default());
    let waker = waiter.clone().into();
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => waiter.wait(),
        }
    }
}
