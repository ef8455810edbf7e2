//! Streams and collections of futures.

use std::{pin::Pin, sync::Arc, thread};

use futures::{
    FutureExt, Stream, StreamExt,
    future::{join_all, try_join_all},
    stream::{self, FuturesUnordered},
};
use lockdep::tokio::{
    join, spawn,
    sync::{MutexGuard, Notify, RwLockReadGuard, Semaphore, SemaphorePermit, mpsc},
    task::yield_now,
    time::{sleep, timeout},
};

use super::{MS, is_correct, leaked};

type Guard = MutexGuard<'static, ()>;

/// Returns a stream of pages. Each page is read under a lock, which is held until the next one is
/// requested.
fn pages(
    lock: &'static lockdep::tokio::sync::Mutex<()>,
    count: usize,
) -> impl Stream<Item = usize> {
    stream::unfold((0, None::<Guard>), move |(at, guard)| async move {
        drop(guard);
        if at == count {
            return None;
        }
        let guard = lock.lock().await;
        Some((at, (at + 1, Some(guard))))
    })
}

/// Neither of two streams waits for the other.
#[test]
fn two_streams_that_are_merged() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        let both = stream::select(Box::pin(pages(a, 10)), Box::pin(pages(b, 10)));
        assert_eq!(both.count().await, 20);
    });
}

#[test]
fn many_streams_that_are_merged() {
    is_correct(|| async {
        let (a, b, c) = (leaked(), leaked(), leaked());
        let all = stream::select_all([a, b, c].map(|it| Box::pin(pages(it, 10))));
        assert_eq!(all.count().await, 30);
    });
}

#[test]
fn a_pool_for_the_branches_of_a_task() {
    is_correct(|| async {
        let pool = Arc::new(Semaphore::new(2));
        let job = |at: u64| {
            let pool = pool.clone();
            async move {
                for _ in 0..2 {
                    let _permit = pool.acquire().await.unwrap();
                    sleep(MS(at % 3)).await;
                }
            }
        };
        join_all((0..10).map(job)).await;
        (0..10).map(job).collect::<FuturesUnordered<_>>().for_each(|()| async {}).await;
        stream::iter(0..10).map(job).buffer_unordered(4).for_each(|()| async {}).await;
        let owned = |at: u64| {
            let pool = pool.clone();
            async move {
                let permit = pool.acquire_owned().await.map_err(drop)?;
                sleep(MS(at % 3)).await;
                drop(permit);
                Ok::<_, ()>(())
            }
        };
        try_join_all((0..10).map(owned)).await.unwrap();
    });
}

/// A branch that needs no waker, because its time is over immediately.
#[test]
fn a_pool_for_branches_that_do_not_wait() {
    is_correct(|| async {
        let pool: &'static Semaphore = Box::leak(Box::new(Semaphore::new(2)));
        async fn page(
            pool: &'static Semaphore,
            (at, permit): (usize, Option<SemaphorePermit<'static>>),
        ) -> Option<(usize, (usize, Option<SemaphorePermit<'static>>))> {
            drop(permit);
            if at == 10 {
                return None;
            }
            let permit = pool.acquire().await.unwrap();
            Some((at, (at + 1, Some(permit))))
        }
        let pages = || stream::unfold((0, None), move |state| page(pool, state));
        let both = stream::select(Box::pin(pages()), Box::pin(pages()));
        assert_eq!(both.count().await, 20);
    });
}

/// A worker receives a waiting future, and does something else first.
#[test]
fn a_future_that_a_busy_worker_polls_late() {
    type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
    is_correct(|| async {
        let lock = leaked();
        let (sender, mut receiver) = mpsc::channel::<Boxed>(1);
        let worker = spawn(async move {
            while let Some(job) = receiver.recv().await {
                sleep(MS(800)).await;
                job.await;
            }
        });
        let guard = lock.lock().await;
        let mut job: Boxed = Box::pin(async move { drop(lock.lock().await) });
        assert!((&mut job).now_or_never().is_none());
        assert!(timeout(MS(1), &mut job).await.is_err());
        sender.send(job).await.unwrap();
        drop(guard);
        drop(lock.lock().await);
        drop(sender);
        worker.await.unwrap();
    });
}

/// The time of both branches is over in the same poll.
#[test]
fn branches_that_go_on_at_the_same_time() {
    is_correct(|| async {
        let (a, b, tick) = (leaked(), leaked(), Notify::new());
        for _ in 0..5 {
            join!(
                async {
                    for _ in 0..3 {
                        tick.notified().await;
                        let _a = a.lock().await;
                        yield_now().await;
                        tick.notified().await;
                    }
                },
                async {
                    for _ in 0..3 {
                        tick.notified().await;
                        let _b = b.lock().await;
                        tick.notified().await;
                    }
                },
                async {
                    for _ in 0..20 {
                        sleep(MS(1)).await;
                        tick.notify_waiters();
                        tick.notify_one();
                    }
                }
            );
        }
    });
}

/// A job for a thread pool takes the only connection with it.
#[test]
fn a_pool_of_threads() {
    is_correct(|| async {
        let connection = leaked();
        let (sender, receiver) = std::sync::mpsc::channel::<Guard>();
        let thread = thread::spawn(move || {
            for guard in receiver {
                thread::sleep(MS(10));
                drop(guard);
            }
        });
        for _ in 0..5 {
            let guard = connection.lock().await;
            sender.send(guard).unwrap();
        }
        drop(sender);
        thread.join().unwrap();
    });
}

/// Two merged cursors over one table.
#[test]
fn two_streams_that_read_the_same() {
    is_correct(|| async {
        let table = &*Box::leak(Box::<lockdep::tokio::sync::RwLock<u32>>::default());
        let rows = || {
            stream::unfold(
                (0, None::<RwLockReadGuard<'static, u32>>),
                move |(at, guard)| async move {
                    drop(guard);
                    if at == 10 {
                        return None;
                    }
                    let guard = table.read().await;
                    Some((*guard, (at + 1, Some(guard))))
                },
            )
        };
        let writer = spawn(async move {
            for _ in 0..20 {
                *table.write().await += 1;
                yield_now().await;
            }
        });
        assert_eq!(stream::select(Box::pin(rows()), Box::pin(rows())).count().await, 20);
        writer.await.unwrap();
    });
}
