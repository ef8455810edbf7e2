//! The order in which tasks acquire locks: tokio's alone, and together with std's.

use std::sync::Arc;

use lockdep::{
    FindingKind::{HeldAcrossAwait, Inversion, SameClassNesting},
    sync::Mutex as StdMutex,
    tokio::{
        join, spawn,
        sync::{Mutex, Notify},
        task::{LocalSet, spawn_blocking, spawn_local, yield_now},
    },
};

use super::{Lock, assert_nothing_held, found, locks};

async fn nest(first: Lock, second: Lock) {
    let _first = first.lock().await;
    yield_now().await;
    let _second = second.lock().await;
}

#[test]
fn two_tasks_in_opposite_orders() {
    let found = found(|| async {
        let [a, b] = locks();
        spawn(nest(a.clone(), b.clone())).await.unwrap();
        let denied = spawn(nest(b.clone(), a.clone())).await.unwrap_err();
        assert!(denied.is_panic());
        // Its locks are free, and other tasks continue.
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
        spawn(nest(a, b)).await.unwrap();
    });
    assert_eq!(found, [[Inversion], [Inversion]]);
}

#[test]
fn a_task_and_a_thread_over_locks_of_two_kinds() {
    let found = found(|| async {
        let (a, b) = (Lock::default(), Arc::new(StdMutex::new(())));
        let (c, d) = (a.clone(), b.clone());
        spawn(async move {
            let _a = a.lock().await;
            yield_now().await;
            drop(b.lock().unwrap());
        })
        .await
        .unwrap();
        let thread = spawn_blocking(move || {
            let _d = d.lock().unwrap();
            drop(c.blocking_lock());
        });
        assert!(thread.await.unwrap_err().is_panic());
    });
    assert_eq!(found, [[Inversion], [Inversion]]);
}

/// Each task is polled by several threads, and holds locks in between.
#[test]
fn guards_that_migrate() {
    const TASKS: usize = 40;
    const ROUNDS: usize = 20;
    let found = found(|| async {
        let locks: Vec<_> = (0..8).map(|_| Arc::new(Mutex::new(0))).collect();
        let tasks: Vec<_> = (0..TASKS)
            .map(|at| {
                let (a, b) = (locks[at % 4].clone(), locks[4 + at % 4].clone());
                spawn(async move {
                    for _ in 0..ROUNDS {
                        let mut first = a.lock().await;
                        yield_now().await;
                        let mut second = b.lock().await;
                        yield_now().await;
                        *first += 1;
                        *second += 1;
                        drop(first);
                        yield_now().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        let sum: usize = locks.iter().map(|lock| *lock.try_lock().unwrap()).sum();
        assert_eq!(sum, 2 * TASKS * ROUNDS);
        assert_nothing_held();
    });
    // The indices keep an order, which lockdep does not know.
    assert_eq!(found, [[SameClassNesting], [SameClassNesting]]);
}

/// No other task may wait for the lock by blocking the thread that has to poll this one.
#[test]
fn a_guard_that_is_held_over_an_await() {
    let found = found(|| async {
        let done = spawn_blocking(|| {
            let runtime = lockdep::tokio::runtime::Builder::new_current_thread().build().unwrap();
            LocalSet::new().block_on(&runtime, async {
                let task = spawn_local(async {
                    let lock = StdMutex::new(());
                    let _guard = lock.lock().unwrap();
                    yield_now().await;
                    yield_now().await;
                });
                task.await.unwrap();
            });
        });
        done.await.unwrap();
    });
    assert_eq!(found, [[HeldAcrossAwait], [HeldAcrossAwait]]);
}

/// One branch has used up its waker when the other acquires its lock, but still holds its own.
#[test]
fn branches_that_notify_each_other() {
    let found = found(|| async {
        let ([a, b], notify) = (locks(), Notify::new());
        let holds = async {
            let _a = a.lock().await;
            notify.notified().await;
        };
        let notifies = async {
            notify.notify_one();
            drop(b.lock().await);
        };
        join!(holds, notifies);
        assert_eq!(lockdep::order_graph().as_petgraph().edge_count(), 0);
    });
    assert_eq!(found, [[], []]);
}

/// A task spawned through tokio itself is not known to hold anything, and makes no edges.
#[test]
fn tasks_that_are_unknown() {
    let found = found(|| async {
        let [a, b] = locks();
        let (is_held, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = ::tokio::spawn({
            let (a, is_held, go_on) = (a.clone(), is_held.clone(), go_on.clone());
            async move {
                let _a = a.lock().await;
                is_held.notify_one();
                go_on.notified().await;
            }
        });
        is_held.notified().await;
        assert_nothing_held();
        ::tokio::spawn(async move { drop(b.lock().await) }).await.unwrap();
        assert_eq!(lockdep::order_graph().as_petgraph().edge_count(), 0);
        go_on.notify_one();
        task.await.unwrap();
        assert!(a.try_lock().is_ok());
    });
    assert_eq!(found, [[], []]);
}
