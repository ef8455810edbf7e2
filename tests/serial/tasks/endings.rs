//! Tasks and futures that end early or are run in unusual ways. Nothing is left of them.

use std::{
    future::{pending, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use lockdep::{
    FindingKind::{Deadlock, Futurelock, SelfDeadlock},
    Level,
    tokio::{
        runtime::{Builder, Handle},
        select, spawn,
        sync::Notify,
        task::{LocalSet, block_in_place, spawn_blocking, spawn_local, yield_now},
        time::timeout,
    },
};

use super::{Lock, alone, assert_nothing_held, happens, locks, run_one, runtimes};

#[test]
fn a_pending_lock_is_dropped() {
    let found = happens(|| async {
        let [lock] = locks();
        let guard = lock.lock().await;
        select! {
            biased;
            _ = lock.lock() => panic!("it is locked"),
            _ = lock.clone().lock_owned() => panic!("it is locked"),
            () = yield_now() => {}
        }
        drop(guard);
        assert!(lock.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// A future that was granted the lock is dropped before it is polled again: the next in the queue
/// gets it.
#[test]
fn a_granted_lock_is_dropped() {
    let found = happens(|| async {
        let [lock] = locks();
        let guard = lock.lock().await;
        let mut granted = Box::pin(lock.lock());
        let mut next = pin!(lock.lock());
        poll_fn(|cx| {
            assert!(granted.as_mut().poll(cx).is_pending());
            assert!(next.as_mut().poll(cx).is_pending());
            Poll::Ready(())
        })
        .await;
        drop(guard);
        drop(granted);
        drop(next.await);
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_task_that_holds_and_waits_is_aborted() {
    let found = happens(|| async {
        let [a, b] = locks();
        let guard = a.lock().await;
        let is_held = Arc::new(Notify::new());
        let task = spawn({
            let (a, b, is_held) = (a.clone(), b.clone(), is_held.clone());
            async move {
                let _b = b.lock().await;
                is_held.notify_one();
                let _a = a.lock().await;
            }
        });
        is_held.notified().await;
        assert!(b.try_lock().is_err());
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        drop(guard);
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_guard_is_the_result_of_a_task() {
    let found = happens(|| async {
        let [lock] = locks();
        let guard = spawn(lock.clone().lock_owned()).await.unwrap();
        assert!(lock.try_lock().is_err());
        drop(guard);
        assert!(lock.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_poll_panics() {
    let found = happens(|| async {
        let [a, b] = locks();
        let task = spawn({
            let (a, b) = (a.clone(), b.clone());
            async move {
                let _a = a.lock().await;
                yield_now().await;
                let _b = b.lock().await;
                panic!("on purpose");
            }
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// The runtime is dropped while tasks hold locks and others wait for them.
#[test]
fn a_runtime_with_waiters_is_shut_down() {
    for runtime in runtimes() {
        let [a, b] = locks();
        let found = alone(Level::Allow, || {
            let is_held = Arc::new(Notify::new());
            runtime.block_on(async {
                spawn({
                    let (a, is_held) = (a.clone(), is_held.clone());
                    async move {
                        let _a = a.lock().await;
                        is_held.notify_one();
                        pending::<()>().await;
                    }
                });
                is_held.notified().await;
                for _ in 0..3 {
                    let (a, b, is_held) = (a.clone(), b.clone(), is_held.clone());
                    spawn(async move {
                        let _b = b.lock().await;
                        is_held.notify_one();
                        let _a = a.lock().await;
                    });
                }
                is_held.notified().await;
            });
            runtime.shutdown_timeout(Duration::from_secs(10));
            assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
            assert_nothing_held();
        });
        assert_eq!(found, []);
    }
}

#[test]
fn local_tasks_in_a_circle() {
    let found = alone(Level::Allow, || {
        let runtime = Builder::new_current_thread().build().unwrap();
        let [a, b] = locks();
        let ended = LocalSet::new().block_on(&runtime, async move {
            let take = |first: &Lock, second: &Lock| {
                let (first, second) = (first.clone(), second.clone());
                spawn_local(async move {
                    let _first = first.lock().await;
                    yield_now().await;
                    let _second = second.lock().await;
                })
            };
            let (one, other) = (take(&a, &b), take(&b, &a));
            [one.await, other.await]
        });
        assert_eq!(ended.iter().filter(|it| it.is_err()).count(), 1);
    });
    assert!(found.contains(&Deadlock), "{found:?}");
}

/// What a task does while it blocks its thread is done under the locks that it holds.
#[test]
fn a_task_that_blocks_in_place() {
    let [_, multi] = runtimes();
    let found = run_one(multi, Level::Allow, || async {
        let [a, b] = locks();
        let guard = a.lock().await;
        block_in_place(|| drop(b.blocking_lock()));
        block_in_place(|| Handle::current().block_on(async { drop(b.lock().await) }));
        let edges = lockdep::order_graph().as_petgraph().edge_count();
        assert!(edges <= 1, "{edges}");
        drop(guard);
        assert_nothing_held();
    });
    assert_eq!(found, []);
}

#[test]
fn a_blocking_task_that_holds_what_a_task_waits_for() {
    let found = happens(|| async {
        let [lock] = locks();
        let is_held = Arc::new(Notify::new());
        let blocking = spawn_blocking({
            let (lock, is_held) = (lock.clone(), is_held.clone());
            move || {
                let _guard = lock.blocking_lock();
                is_held.notify_one();
                std::thread::sleep(Duration::from_millis(400));
            }
        });
        is_held.notified().await;
        drop(lock.lock().await);
        blocking.await.unwrap();
    });
    assert_eq!(found, [[], []]);
}

/// A runtime in a blocking task of another one, with tasks of both at one lock.
#[test]
fn a_runtime_within_a_runtime() {
    let found = happens(|| async {
        let [lock] = locks();
        let guard = lock.clone().lock_owned().await;
        let inner = spawn_blocking({
            let lock = lock.clone();
            move || {
                let runtime = Builder::new_current_thread().build().unwrap();
                runtime.block_on(async { spawn(async move { drop(lock.lock().await) }).await })
            }
        });
        yield_now().await;
        drop(guard);
        inner.await.unwrap().unwrap();
        drop(lock.lock().await);
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// Tasks that find locks free again and again are made to yield by the runtime, in the middle of an
/// acquisition.
#[test]
fn budgets_that_are_used_up() {
    let found = happens(|| async {
        let [a, b] = locks();
        let tasks: Vec<_> = (0..4)
            .map(|_| {
                let (a, b) = (a.clone(), b.clone());
                spawn(async move {
                    for _ in 0..400 {
                        let _a = a.lock().await;
                        let _b = b.lock().await;
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// It is stuck because of a boxed future, which is reported only after a while. It is dropped
/// before that.
#[test]
fn a_task_that_is_dropped_while_it_is_watched() {
    let found = happens(|| async {
        let [lock] = locks();
        let task = spawn({
            let lock = lock.clone();
            async move {
                let mut left = Box::pin(async {
                    let _guard = lock.lock().await;
                    yield_now().await;
                    yield_now().await;
                });
                select! {
                    biased;
                    () = &mut left => {}
                    () = yield_now() => {}
                }
                drop(lock.lock().await);
            }
        });
        let mut task = pin!(task);
        assert!(timeout(Duration::from_millis(100), &mut task).await.is_err());
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        // Longer than it takes.
        assert!(timeout(Duration::from_millis(500), pending::<()>()).await.is_err());
        assert!(lock.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// A task learns of a finding at the end of a poll, and is dropped by the panic.
#[test]
fn a_task_that_panics_for_what_is_found() {
    let found = happens(|| async {
        let [lock] = locks();
        let task = spawn({
            let lock = lock.clone();
            async move {
                let _first = lock.lock().await;
                let _second = lock.lock().await;
            }
        });
        assert!(task.await.unwrap_err().is_panic());
        assert!(lock.try_lock().is_ok());
        assert_nothing_held();
    });
    assert_eq!(found, [[SelfDeadlock], [SelfDeadlock]]);
}

/// The future of a task panics in its destructor: the rest of it is dropped as well.
#[test]
fn a_future_that_panics_when_it_is_dropped() {
    struct Panics;
    impl Drop for Panics {
        fn drop(&mut self) {
            panic!("on purpose");
        }
    }
    let found = happens(|| async {
        let [lock] = locks();
        let task = spawn({
            let lock = lock.clone();
            async move {
                let _guard = lock.lock().await;
                let _panics = Panics;
                pending::<()>().await;
            }
        });
        yield_now().await;
        task.abort();
        let _ = task.await;
        drop(lock.lock().await);
        assert_nothing_held();
    });
    assert_eq!(found, [[], []]);
}

/// A future of a checked lock is polled by hand, in no task.
#[test]
fn a_lock_that_is_polled_without_a_task() {
    let found = alone(Level::Allow, || {
        let [lock] = locks();
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(guard) = pin!(lock.lock()).poll(&mut cx) else { panic!("it is free") };
        assert!(pin!(lock.lock()).poll(&mut cx).is_pending());
        drop(guard);
        assert!(catch_unwind(AssertUnwindSafe(|| lock.try_lock().is_ok())).unwrap());
        assert_nothing_held();
    });
    assert_eq!(found, []);
    assert!(!found.contains(&Futurelock));
}
