//! Other correct programs.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
};

use futures::{FutureExt, StreamExt, stream};
use lockdep::{
    FindingKind, Level,
    sync::Mutex as StdMutex,
    tokio::{
        self, join, select, spawn,
        sync::{
            Mutex, Notify, OnceCell, OwnedRwLockWriteGuard, RwLock, Semaphore, broadcast, watch,
        },
        task::{JoinSet, LocalSet, block_in_place, spawn_blocking, spawn_local, yield_now},
        time::{sleep, timeout},
    },
};

use super::{Lock, MS, in_order, is_correct, is_correct_on, leaked, multi, single};

/// A service: workers with a shutdown, cancellation, a cache, a pool, timeouts.
#[test]
fn a_service() {
    is_correct(|| async {
        let (down, _) = watch::channel(false);
        let (news, _) = broadcast::channel::<u64>(64);
        let pool = Arc::new(Semaphore::new(3));
        let cache = Arc::new(RwLock::new(0_u64));
        let log = Lock::default();
        let count = Arc::new(AtomicU64::new(0));
        let mut set = JoinSet::new();
        for at in 0..8_u64 {
            let (mut down, mut news) = (down.subscribe(), news.subscribe());
            let (pool, cache, log, count) =
                (pool.clone(), cache.clone(), log.clone(), count.clone());
            set.spawn(async move {
                loop {
                    select! {
                        _ = down.changed() => break,
                        _ = news.recv() => {
                            let _permit = pool.acquire().await.unwrap();
                            let read = timeout(MS(5), cache.read()).await.map(|it| *it);
                            if read.unwrap_or(0) % 3 == at % 3 {
                                let mut value = cache.write().await;
                                *value += 1;
                                let _log = log.lock().await;
                                yield_now().await;
                            }
                            count.fetch_add(1, SeqCst);
                        }
                        () = async {
                            let _log = log.lock().await;
                            sleep(MS(1)).await;
                        } => {}
                    }
                }
            });
        }
        for at in 0..100 {
            let _ = news.send(at);
            sleep(MS(1)).await;
        }
        down.send(true).unwrap();
        while let Some(done) = set.join_next().await {
            done.unwrap();
        }
        assert!(count.load(SeqCst) > 0);
    });
}

#[test]
fn streams_that_hold_guards() {
    is_correct(|| async {
        let locks: Vec<Lock> = (0..4).map(|_| Lock::default()).collect();
        for _ in 0..3 {
            let one = stream::iter(0..40)
                .map(|at: usize| {
                    let (first, second) = (locks[at % 4].clone(), locks[(at + 1) % 4].clone());
                    async move {
                        {
                            let _first = first.lock().await;
                            yield_now().await;
                        }
                        let _second = second.lock().await;
                        sleep(MS(1)).await;
                    }
                })
                .buffer_unordered(6);
            one.for_each(|()| async {}).await;
        }
    });
}

#[test]
fn a_cell_with_cancelled_and_failing_initializers() {
    is_correct(|| async {
        let cell = Arc::new(OnceCell::<u32>::new());
        let lock = Lock::default();
        let tasks: Vec<_> = (0..10)
            .map(|at| {
                let (cell, lock) = (cell.clone(), lock.clone());
                spawn(async move {
                    let init = cell.get_or_try_init(async || {
                        let _guard = lock.lock().await;
                        sleep(MS(5)).await;
                        if at < 7 { Err(at) } else { Ok(at) }
                    });
                    let _ = timeout(MS(u64::from(3 * at)), init).await;
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        cell.get_or_init(async || 5).await;
        assert!(cell.initialized());
    });
}

#[test]
fn blocking_and_nested_runtimes() {
    is_correct_on(multi(), || async {
        let (a, b) = (Lock::default(), Lock::default());
        let handle = tokio::runtime::Handle::current();
        let tasks: Vec<_> = (0..6)
            .map(|at| {
                let (a, b, handle) = (a.clone(), b.clone(), handle.clone());
                if at % 2 == 0 {
                    spawn_blocking(move || {
                        let _a = a.blocking_lock();
                        handle.block_on(async {
                            let _b = b.lock().await;
                            sleep(MS(2)).await;
                        });
                    })
                } else {
                    spawn(async move {
                        let _a = a.lock().await;
                        block_in_place(|| {
                            handle.block_on(async {
                                sleep(MS(2)).await;
                                let _b = b.lock().await;
                                yield_now().await;
                            });
                            drop(b.blocking_lock());
                        });
                    })
                }
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn guards_that_change() {
    is_correct(|| async {
        let (lock, other) = (Arc::new(RwLock::new((0, 0))), Lock::default());
        let write: OwnedRwLockWriteGuard<_> = lock.clone().write_owned().await;
        let read = write.downgrade();
        spawn(async move { drop(read) }).await.unwrap();
        drop(other.lock().await);
        let write = lock.write().await;
        let read = write.downgrade();
        yield_now().await;
        drop(read);
        let mapped = tokio::sync::RwLockWriteGuard::map(lock.write().await, |it| &mut it.0);
        yield_now().await;
        drop(mapped);
        let mapped = OwnedRwLockWriteGuard::map(lock.clone().write_owned().await, |it| &mut it.1);
        spawn(async move {
            yield_now().await;
            drop(mapped);
        })
        .await
        .unwrap();
        drop(lock.write().await);
        let pool = Arc::new(Semaphore::new(4));
        let mut three = pool.clone().acquire_many_owned(3).await.unwrap();
        let one = three.split(1).unwrap();
        let task = spawn(async move { drop(one) });
        task.await.unwrap();
        three.merge(pool.clone().acquire_owned().await.unwrap());
        drop(three);
        drop(pool.acquire_many(4).await.unwrap());
    });
}

/// Writers wait for readers that hold nothing else.
#[test]
fn many_readers_and_writers() {
    is_correct(|| async {
        let lock = Arc::new(RwLock::new(0_u64));
        let tasks: Vec<_> = (0..40_u64)
            .map(|at| {
                let lock = lock.clone();
                spawn(async move {
                    for round in 0..30 {
                        match (at + round) % 4 {
                            0 => {
                                let mut value = lock.write().await;
                                yield_now().await;
                                *value += 1;
                            }
                            1 => drop(timeout(MS(1), lock.write()).await),
                            2 => {
                                let mut waits = Box::pin(lock.read());
                                select! {
                                    biased;
                                    _ = &mut waits => {}
                                    () = yield_now() => {}
                                }
                            }
                            _ => {
                                let value = lock.read().await;
                                yield_now().await;
                                let _ = *value;
                            }
                        }
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// Tasks are aborted while they hold, wait for, or were granted a lock.
#[test]
fn tasks_that_are_aborted() {
    is_correct(|| async {
        let (a, b) = (Lock::default(), Lock::default());
        for round in 0..60 {
            let tasks: Vec<_> = (0..4)
                .map(|_| {
                    let (a, b) = (a.clone(), b.clone());
                    spawn(async move {
                        let _a = a.lock().await;
                        yield_now().await;
                        let _b = b.lock().await;
                        sleep(MS(2)).await;
                    })
                })
                .collect();
            for _ in 0..round % 5 {
                yield_now().await;
            }
            for task in &tasks {
                task.abort();
            }
            for task in tasks {
                let _ = task.await;
            }
        }
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
    });
}

/// A rate limit: one task adds permits, others consume them.
#[test]
fn a_limit_of_the_rate() {
    is_correct(|| async {
        let bucket = Arc::new(Semaphore::new(1));
        let filler = spawn({
            let bucket = bucket.clone();
            async move {
                for _ in 0..6 {
                    sleep(MS(350)).await;
                    bucket.add_permits(1);
                }
            }
        });
        for _ in 0..3 {
            bucket.acquire().await.unwrap().forget();
        }
        filler.await.unwrap();
    });
}

/// The only permit is kept while the task waits for a second one from elsewhere.
#[test]
fn a_semaphore_that_grows() {
    is_correct(|| async {
        let pool = Arc::new(Semaphore::new(1));
        let grower = spawn({
            let pool = pool.clone();
            async move {
                sleep(MS(50)).await;
                pool.add_permits(1);
            }
        });
        let _first = pool.acquire().await.unwrap();
        let _second = pool.acquire().await.unwrap();
        grower.await.unwrap();
    });
}

/// The permit is a sign of life: a task that waits for it waits for the end of its holder.
#[test]
fn a_semaphore_that_is_closed() {
    is_correct(|| async {
        let alive = Arc::new(Semaphore::new(1));
        let closer = spawn({
            let alive = alive.clone();
            async move {
                sleep(MS(50)).await;
                alive.close();
            }
        });
        let _first = alive.acquire().await.unwrap();
        assert!(alive.acquire().await.is_err());
        closer.await.unwrap();
    });
}

/// A supervisor aborts a slow task.
#[test]
fn a_task_that_is_aborted_by_its_supervisor() {
    is_correct(|| async {
        let (lock, go_on) = (Lock::default(), Arc::new(Notify::new()));
        let worker = spawn({
            let (lock, go_on) = (lock.clone(), go_on.clone());
            async move {
                let _guard = lock.lock().await;
                go_on.notify_one();
                std::future::pending::<()>().await;
            }
        });
        go_on.notified().await;
        let waiting = spawn({
            let lock = lock.clone();
            async move { drop(lock.lock().await) }
        });
        sleep(MS(500)).await;
        worker.abort();
        waiting.await.unwrap();
    });
}

/// Two tasks poll one future alternately.
#[test]
fn a_future_that_two_tasks_poll() {
    is_correct(|| async {
        type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;
        let (a, b) = (Lock::default(), Lock::default());
        let (c, d) = (a.clone(), b.clone());
        let job: Boxed = Box::pin(async move {
            for _ in 0..10 {
                let _c = c.lock().await;
                yield_now().await;
                let _d = d.lock().await;
                sleep(MS(1)).await;
            }
        });
        let job = Arc::new(Mutex::new(Some(job)));
        let drive = |job: Arc<Mutex<Option<Boxed>>>| async move {
            loop {
                let mut job = job.lock().await;
                let Some(it) = &mut *job else { break };
                select! { biased; () = it => *job = None, () = sleep(MS(1)) => {} }
                drop(job);
                yield_now().await;
            }
        };
        let (one, two) = (spawn(drive(job.clone())), spawn(drive(job)));
        let (one, two) = join!(one, two);
        one.unwrap();
        two.unwrap();
        drop((a.lock().await, b.lock().await));
    });
}

/// A poll panics within a task, and the panic is caught there.
#[test]
fn polls_that_panic_and_are_caught() {
    is_correct(|| async {
        let (a, b) = (leaked(), leaked());
        for round in 0..6 {
            let job = async {
                let _a = a.lock().await;
                yield_now().await;
                let _b = b.lock().await;
                if round % 2 == 0 {
                    std::panic::resume_unwind(Box::new(()));
                }
            };
            let ended = std::panic::AssertUnwindSafe(job).catch_unwind().await;
            assert_eq!(ended.is_err(), round % 2 == 0);
            assert!(a.try_lock().is_ok());
        }
        in_order(a, b).await;
    });
}

/// A cell of std is initialized by asynchronous code.
#[test]
fn blocking_while_a_thread_has_locks() {
    is_correct_on(multi(), || async {
        static CELL: lockdep::sync::OnceLock<u32> = lockdep::sync::OnceLock::new();
        let lock = Lock::default();
        let handle = tokio::runtime::Handle::current();
        let thread = spawn_blocking({
            let (lock, handle) = (lock.clone(), handle.clone());
            move || {
                let std = StdMutex::new(0);
                let mut guard = std.lock().unwrap();
                *guard += *CELL.get_or_init(|| {
                    handle.block_on(async {
                        let _lock = lock.lock().await;
                        sleep(MS(2)).await;
                        7
                    })
                });
            }
        });
        thread.await.unwrap();
        let std = Arc::new(StdMutex::new(0));
        let task = spawn({
            let std = std.clone();
            async move {
                let value = block_in_place(|| {
                    let mut guard = std.lock().unwrap();
                    *guard += handle.block_on(async {
                        yield_now().await;
                        let _lock = lock.lock().await;
                        sleep(MS(1)).await;
                        1
                    });
                    *guard
                });
                yield_now().await;
                value
            }
        });
        assert_eq!(task.await.unwrap(), 1);
    });
}

/// The scope of a test contains its local tasks.
#[test]
fn a_scope_in_a_local_task() {
    let _alone = crate::alone();
    lockdep::reset();
    LocalSet::new().block_on(&single(), async {
        let task = spawn_local(async {
            let scope = lockdep::testing::Scope::new();
            lockdep::set_level(FindingKind::SingleThreadInversion, Level::Warn);
            let (a, b) = (leaked(), leaked());
            yield_now().await;
            drop((a.lock().await, b.lock().await));
            drop((b.lock().await, a.lock().await));
            scope.take_findings().len()
        });
        assert_eq!(task.await.unwrap(), 1, "of the scope");
    });
    assert_eq!(lockdep::take_findings().len(), 0, "of the process");
}

/// The runtime advances time as soon as no task can run.
#[test]
fn time_that_is_paused() {
    let paused = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    is_correct_on(paused, || async {
        let lock = Lock::default();
        let tasks: Vec<_> = (0..5)
            .map(|at| {
                let lock = lock.clone();
                spawn(async move {
                    let held = timeout(MS(at * 1000), lock.lock()).await;
                    sleep(MS(700)).await;
                    held.is_ok()
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

/// A server: the main future accepts requests, each of which has its own task; a semaphore limits
/// them.
#[test]
fn a_server_that_works_on_one_request_at_a_time() {
    let _alone = crate::alone();
    lockdep::reset();
    for runtime in [multi(), single()] {
        runtime.block_on(async {
            let limit = Arc::new(Semaphore::new(1));
            for _request in 0..2 {
                let permit = limit.clone().acquire_owned().await.unwrap();
                spawn(async move {
                    sleep(MS(600)).await;
                    drop(permit);
                });
            }
        });
        let kinds: Vec<_> = lockdep::take_findings().iter().map(lockdep::Finding::kind).collect();
        assert_eq!(kinds, []);
    }
}
