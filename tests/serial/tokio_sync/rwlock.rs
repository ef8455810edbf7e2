//! `RwLock`: orders of readers and writers, and recursive reads.

use std::sync::{Arc, Barrier};

use lockdep::{
    FindingKind,
    tokio::{
        self,
        sync::{RwLock, RwLockWriteGuard, mpsc},
        task::yield_now,
    },
};

use super::{elsewhere, found, kinds, task, two};

#[test]
fn writers_in_two_orders() {
    let found = found(|| async {
        let [a, b] = two::<RwLock<u8>>();
        let (c, d) = (a.clone(), b.clone());
        assert!(
            task(async move {
                let _a = a.write().await;
                elsewhere().await;
                let _b = b.read().await;
            })
            .await
        );
        assert!(
            !task(async move {
                let _d = d.write().await;
                elsewhere().await;
                let _c = c.read().await;
            })
            .await
        );
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
    let report = found[0].to_string();
    assert!(report.contains("a `tokio::RwLock<u8>`"), "{report}");
}

/// Readers wait for each other only behind a writer, so the finding is reported at the first write.
#[test]
fn readers_in_two_orders() {
    for (writes, expected) in [(false, vec![]), (true, vec![FindingKind::Inversion])] {
        let found = found(|| async {
            let [a, b] = two::<RwLock<u8>>();
            let writers = [a.clone(), b.clone()];
            for [first, second] in [[a.clone(), b.clone()], [b, a]] {
                assert!(
                    task(async move {
                        let _first = first.read().await;
                        elsewhere().await;
                        let _second = second.read().await;
                    })
                    .await
                );
            }
            if writes {
                let [a, b] = writers.clone();
                assert!(task(async move { *a.write().await += 1 }).await);
                assert!(!task(async move { *b.write().await += 1 }).await);
            }
        });
        assert_eq!(kinds(&found), expected);
    }
}

#[test]
fn a_thread_that_writes_is_a_writer() {
    let found = found(|| async {
        let [a, b] = two::<RwLock<u8>>();
        let writers = [a.clone(), b.clone()];
        for [first, second] in [[a.clone(), b.clone()], [b, a]] {
            assert!(
                task(async move {
                    let _first = first.read().await;
                    elsewhere().await;
                    let _second = second.read().await;
                })
                .await
            );
        }
        let [a, b] = writers;
        let threads = std::thread::spawn(move || {
            *a.blocking_write() += 1;
            std::thread::spawn(move || *b.blocking_write() += 1).join().unwrap_err();
        });
        threads.join().unwrap();
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
}

#[test]
fn recursive_read() {
    let found = found(|| async {
        let lock = Arc::new(RwLock::new(1));
        let again = lock.clone();
        assert!(
            !task(async move {
                let _first = again.read().await;
                elsewhere().await;
                let _second = again.read().await;
            })
            .await
        );
        // Its locks are free.
        assert!(lock.try_write().is_ok());
    });
    assert_eq!(kinds(&found), [FindingKind::RecursiveRead]);
}

#[test]
fn recursive_read_after_a_downgrade() {
    let found = found(|| async {
        let lock = Arc::new(RwLock::new((1, 2)));
        assert!(
            !task(async move {
                let _first = RwLockWriteGuard::downgrade_map(lock.write().await, |it| &it.0);
                elsewhere().await;
                let _second = lock.read().await;
            })
            .await
        );
    });
    assert_eq!(kinds(&found), [FindingKind::RecursiveRead]);
}

#[test]
fn reads_that_are_not_recursive() {
    let found = found(|| async {
        let lock = Arc::new(RwLock::new(1));
        // One after the other.
        drop(lock.read().await);
        drop(lock.read().await);
        // Without waiting.
        let reader = lock.read().await;
        drop(lock.try_read().unwrap());
        // By different tasks.
        let other = lock.clone();
        assert!(task(async move { drop(other.read().await) }).await);
        drop(reader);
        // By branches of one task, which end without each other.
        let read = async || {
            let _reader = lock.read().await;
            elsewhere().await;
            elsewhere().await;
        };
        tokio::join!(read(), async {
            elsewhere().await;
            read().await;
        });
        // After a write is over.
        let writer = lock.write().await.downgrade();
        drop(writer);
        drop(lock.read().await);
        // In another task, to which the guard has gone.
        let (sender, mut receiver) = mpsc::channel(1);
        let guards = tokio::spawn(async move { drop(receiver.recv().await) });
        sender.send(lock.clone().read_owned().await).await.unwrap();
        drop(lock.clone().read_owned().await);
        guards.await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// Two branches that wait for nothing but their next poll, for which the runtime keeps one waker.
#[test]
fn branches_that_yield_are_not_recursive() {
    let found = found(|| async {
        let lock = RwLock::new(1);
        let first = async {
            let _reader = lock.read().await;
            for _ in 0..4 {
                yield_now().await;
            }
        };
        let second = async {
            yield_now().await;
            let _reader = lock.read().await;
            yield_now().await;
        };
        tokio::join!(first, second);
    });
    assert_eq!(kinds(&found), []);
}

/// The thread has sent its guard away before it reads again.
#[test]
fn a_read_in_a_thread_after_the_guard_was_sent() {
    let found = found(|| async {
        let (table, is_over) = (RwLock::new(0), Barrier::new(2));
        let is_over = &is_over;
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let guard = table.blocking_read();
                scope.spawn(move || {
                    is_over.wait();
                    drop(guard);
                });
                drop(table.blocking_read());
                is_over.wait();
            });
        });
    });
    assert_eq!(kinds(&found), []);
}
