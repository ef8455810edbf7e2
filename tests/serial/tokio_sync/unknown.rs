//! Tasks of other executors, many of which one thread polls in turn: they are unknown, and nothing
//! is reported.

use std::{
    pin::pin,
    task::{Context, Poll, Waker},
};

use lockdep::tokio::sync::{Mutex, RwLock, Semaphore};

use super::alone;

fn poll<F: Future + Unpin>(mut future: F) -> Poll<F::Output> {
    pin!(&mut future).as_mut().poll(&mut Context::from_waker(Waker::noop()))
}

fn ready<F: Future>(future: F) -> F::Output {
    match poll(pin!(future)) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("it is not free"),
    }
}

#[test]
fn tasks_of_one_thread() {
    let found = alone(|| {
        let (a, b) = (Mutex::new(1), Mutex::new(2));
        // Of one task, and then of another.
        let first = ready(a.lock());
        drop(ready(b.lock()));
        drop(first);
        let first = ready(b.lock());
        drop(ready(a.lock()));
        drop(first);

        let lock = RwLock::new(1);
        let (one, other) = (ready(lock.read()), ready(lock.read()));
        assert!(poll(pin!(lock.write())).is_pending());
        drop((one, other));

        let pool = Semaphore::new(2);
        drop((ready(pool.acquire()), ready(pool.acquire())));
        let lock = Mutex::new(1);
        let guard = ready(lock.lock());
        assert!(poll(pin!(lock.lock())).is_pending());
        drop(guard);
    });
    assert!(found.is_empty(), "{found:?}");
}
