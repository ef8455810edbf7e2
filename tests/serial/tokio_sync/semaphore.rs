//! `Semaphore` as a mutex, as a pool and as a signal.

use std::{sync::Arc, time::Duration};

use lockdep::{
    FindingKind,
    tokio::{
        self,
        sync::{Mutex, Notify, OwnedSemaphorePermit, Semaphore, mpsc},
    },
};

use super::{elsewhere, found, kinds, task};

#[test]
fn a_semaphore_of_one_is_a_mutex() {
    let found = found(|| async {
        let (mutex, semaphore) = (Arc::new(Mutex::new(1)), Arc::new(Semaphore::new(1)));
        let (m, s) = (mutex.clone(), semaphore.clone());
        assert!(
            task(async move {
                let _permit = semaphore.acquire().await.unwrap();
                elsewhere().await;
                let _guard = mutex.lock().await;
            })
            .await
        );
        assert!(
            !task(async move {
                let _guard = m.lock().await;
                elsewhere().await;
                let _permit = s.acquire().await.unwrap();
            })
            .await
        );
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
    let report = found[0].to_string();
    assert!(
        report.contains("a permit of `semaphore`") && report.contains("`tokio::Semaphore`"),
        "{report}"
    );
}

/// A mutex and a semaphore in both orders, where the semaphore is not used as a mutex.
async fn mutex_and(semaphore: Semaphore) {
    let (mutex, semaphore) = (Arc::new(Mutex::new(1)), Arc::new(semaphore));
    let (m, s) = (mutex.clone(), semaphore.clone());
    assert!(
        task(async move {
            let _permit = semaphore.acquire().await.unwrap();
            elsewhere().await;
            let _guard = mutex.lock().await;
        })
        .await
    );
    assert!(
        task(async move {
            let _guard = m.lock().await;
            elsewhere().await;
            let _permit = s.acquire().await.unwrap();
        })
        .await
    );
}

#[test]
fn other_semaphores_are_no_mutexes() {
    let found = found(|| async {
        mutex_and(Semaphore::new(2)).await;
        let signal = Semaphore::new(0);
        signal.add_permits(1);
        mutex_and(signal).await;
        let added = Semaphore::new(1);
        added.add_permits(1);
        mutex_and(added).await;
    });
    assert_eq!(kinds(&found), []);
}

#[test]
fn a_second_permit_of_a_pool() {
    let found = found(|| async {
        let pool = Arc::new(Semaphore::new(3));
        let connections = pool.clone();
        assert!(
            task(async move {
                let _one = connections.acquire().await.unwrap();
                elsewhere().await;
                let _other = connections.acquire_many(2).await.unwrap();
            })
            .await
        );
        assert_eq!(pool.available_permits(), 3);
    });
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
    let report = found[0].to_string();
    assert!(
        report.contains("holds a permit of `connections` and waits for another one"),
        "{report}"
    );
}

#[test]
fn a_second_permit_of_a_part_of_the_first() {
    let found = found(|| async {
        let pool = Arc::new(Semaphore::new(3));
        assert!(
            task(async move {
                let mut both = pool.acquire_many(2).await.unwrap();
                let one = both.split(1).unwrap();
                drop(both);
                let _other = pool.acquire().await.unwrap();
                drop(one);
            })
            .await
        );
    });
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
}

#[test]
fn a_second_permit_in_a_thread() {
    let found = found(|| async {
        let pool = Semaphore::new(3);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _one = pool.blocking_acquire().unwrap();
                let _other = pool.blocking_acquire().unwrap();
            });
        });
    });
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
}

/// Any thread may add a permit, so the thread does not panic.
#[test]
fn the_only_permit_twice_in_a_thread() {
    let found = found(|| async {
        let turn = Semaphore::new(1);
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                let _one = turn.blocking_acquire().unwrap();
                let _other = turn.blocking_acquire().unwrap();
            });
            while !lockdep::held().to_string().contains("waits for  `turn` (permit)") {
                std::thread::yield_now();
            }
            turn.add_permits(1);
            thread.join().unwrap();
        });
    });
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
    let report = found[0].render(false);
    assert!(
        report.contains("it waits for itself for ever, unless another permit is added."),
        "{report}"
    );
}

#[test]
fn permits_that_exhaust_no_pool() {
    let found = found(|| async {
        let pool = Arc::new(Semaphore::new(3));
        // One after the other, all at once, and without waiting.
        drop(pool.acquire().await.unwrap());
        let two = pool.acquire_many(2).await.unwrap();
        drop(pool.try_acquire().unwrap());
        drop(two);
        // Split, merged, and released.
        let mut two = pool.acquire_many(2).await.unwrap();
        let one = two.split(1).unwrap();
        let (none, all) = (two.split(0).unwrap(), two.split(1).unwrap());
        two.merge(all);
        two.merge(one);
        drop(two);
        drop(pool.acquire().await.unwrap());
        drop(none);
        // By branches of one task, which end without each other.
        let take = async || {
            let _permit = pool.acquire().await.unwrap();
            elsewhere().await;
            elsewhere().await;
        };
        tokio::join!(take(), async {
            elsewhere().await;
            take().await;
        });
        // One for each task, by the task that spawns them.
        let mut tasks = Vec::new();
        for _ in 0..20 {
            let permit = pool.clone().acquire_owned().await.unwrap();
            tasks.push(tokio::spawn(async move {
                elsewhere().await;
                drop(permit);
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        // One for each job, through a channel.
        let (sender, mut receiver) = mpsc::channel::<OwnedSemaphorePermit>(1);
        let jobs = tokio::spawn(async move { while receiver.recv().await.is_some() {} });
        for _ in 0..20 {
            sender.send(pool.clone().acquire_owned().await.unwrap()).await.unwrap();
        }
        drop(sender);
        jobs.await.unwrap();
        // Of two pools.
        let other = Semaphore::new(3);
        let _one = pool.acquire().await.unwrap();
        let _other = other.acquire().await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// A task waits for a permit of a pool, with a lock that a holder of another permit waits for. The
/// next permit comes from an unknown task.
#[test]
fn a_pool_is_no_circle() {
    let found = found(|| async {
        let (pool, mutex) = (Arc::new(Semaphore::new(2)), Arc::new(Mutex::new(1)));
        let (start, end) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let (p, started, ended) = (pool.clone(), start.clone(), end.clone());
        let unknown = ::tokio::spawn(async move {
            let _permit = p.acquire().await.unwrap();
            started.notify_one();
            ended.notified().await;
        });
        start.notified().await;
        let waiter = {
            let (pool, mutex, start) = (pool.clone(), mutex.clone(), start.clone());
            async move {
                let _guard = mutex.lock().await;
                start.notify_one();
                drop(pool.acquire().await.unwrap());
            }
        };
        #[allow(clippy::async_yields_async, reason = "it returns the handle of the other task")]
        let holder = tokio::spawn(async move {
            let _permit = pool.acquire().await.unwrap();
            let waiter = tokio::spawn(waiter);
            start.notified().await;
            let _guard = mutex.lock().await;
            waiter
        });
        // Long enough for a check of tasks that do not continue.
        tokio::time::sleep(Duration::from_millis(500)).await;
        end.notify_one();
        holder.await.unwrap().await.unwrap();
        unknown.await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// An acquired permit does not order the task that waits for a new one.
#[test]
fn a_semaphore_whose_permit_was_forgotten_is_a_signal() {
    for by_semaphore in [false, true] {
        let found = found(|| async {
            let (mutex, semaphore) = (Arc::new(Mutex::new(1)), Arc::new(Semaphore::new(1)));
            let (m, s) = (mutex.clone(), semaphore.clone());
            assert!(
                task(async move {
                    let permit = s.acquire().await.unwrap();
                    drop(m.lock().await);
                    if by_semaphore {
                        drop(permit);
                        assert_eq!(s.forget_permits(1), 1);
                    } else {
                        permit.forget();
                    }
                })
                .await
            );
            let s = semaphore.clone();
            let waiter = tokio::spawn(async move {
                let _guard = mutex.lock().await;
                drop(s.acquire().await.unwrap());
            });
            elsewhere().await;
            semaphore.add_permits(1);
            waiter.await.unwrap();
        });
        assert_eq!(kinds(&found), []);
    }
}

/// A thread acquires a permit for each job, and sends it to another thread.
#[test]
fn permits_that_a_thread_hands_on() {
    let found = found(|| async {
        let pool = Arc::new(Semaphore::new(3));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for number in 0..20 {
                    let pool = pool.clone();
                    let permit = match number % 2 {
                        0 => pool.blocking_acquire_owned().unwrap(),
                        _ => loop {
                            if let Ok(permit) = pool.clone().try_acquire_owned() {
                                break permit;
                            }
                            std::thread::yield_now();
                        },
                    };
                    scope.spawn(move || {
                        std::thread::sleep(Duration::from_millis(1));
                        drop(permit);
                    });
                }
            });
        });
        assert_eq!(pool.available_permits(), 3);
    });
    assert_eq!(kinds(&found), []);
}
