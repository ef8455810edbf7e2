//! Findings with the async locks of other crates than tokio, and correct uses without one.
#![cfg(all(feature = "tokio", feature = "async_lock", feature = "futures_lock"))]

use std::{future::Future, sync::Arc, time::Duration};

use futures::{future::join, poll};
use lockdep::{
    FindingKind, async_lock, futures_lock,
    sync::Mutex as StdMutex,
    tokio::{self, spawn, task::yield_now, time::timeout},
};

use crate::{alone, kinds, run};

/// Runs a task to its end. Returns `false` if it panicked.
async fn task<F: Future<Output = ()> + Send + 'static>(future: F) -> bool {
    spawn(future).await.is_ok()
}

/// Acquires two locks in both orders, in two tasks, by two expressions that return a guard.
macro_rules! both_orders {
    ($a:expr, $b:expr, |$lock:ident| $first:expr, |$other:ident| $second:expr) => {{
        let (a, b) = (Arc::new($a), Arc::new($b));
        let (x, y) = (Arc::clone(&a), Arc::clone(&b));
        let forth = task(async move {
            let ($lock, $other) = (x, y);
            let first = $first;
            let second = $second;
            let _ = (first, second);
        });
        assert!(forth.await);
        let back = task(async move {
            let ($lock, $other) = (a, b);
            let second = $second;
            let first = $first;
            let _ = (first, second);
        });
        back.await
    }};
}

const INVERSION: [FindingKind; 1] = [FindingKind::Inversion];

#[test]
fn two_mutexes_of_futures() {
    let found = run(async {
        let (a, b) = (futures_lock::Mutex::new(1), futures_lock::Mutex::new(2));
        assert!(!both_orders!(a, b, |a| a.lock().await, |b| b.lock().await));
    });
    assert_eq!(kinds(&found), INVERSION);
    let text = found[0].to_string();
    assert!(text.contains("futures::Mutex<i32>"), "{text}");
    assert!(text.contains("tests/serial/async_locks.rs"), "{text}");
}

#[test]
fn a_mutex_of_futures_and_other_locks() {
    let found = run(async {
        let (a, b) = (futures_lock::Mutex::new(()), tokio::sync::Mutex::new(()));
        assert!(!both_orders!(a, b, |a| a.lock().await, |b| b.lock().await));
    });
    assert_eq!(kinds(&found), INVERSION);
    let found = run(async {
        let a = Arc::new(futures_lock::Mutex::new(()));
        let b = Arc::new(lockdep::sync::Mutex::new(()));
        let (x, y) = (Arc::clone(&a), Arc::clone(&b));
        let forth = task(async move {
            let _a = x.lock().await;
            drop(y.lock().unwrap());
        });
        assert!(forth.await);
        // A part of the thread that blocks on it.
        let _b = b.lock().unwrap();
        let back = std::panic::AssertUnwindSafe(a.lock());
        assert!(futures::FutureExt::catch_unwind(back).await.is_err());
    });
    assert_eq!(kinds(&found), INVERSION);
}

/// A guard that was narrowed holds the mutex, and one that was dropped does not.
#[test]
fn narrowed_guards() {
    use futures_lock::{Mutex, MutexGuard};
    let narrowed = |pair: MutexGuard<'_, (u8, u8)>| *MutexGuard::map(pair, |it| &mut it.0);
    let found = run(async move {
        let (a, b) = (Mutex::new((0, 0)), Mutex::new((0, 0)));
        assert!(both_orders!(a, b, |a| narrowed(a.lock().await), |b| narrowed(b.lock().await)));
    });
    assert_eq!(kinds(&found), []);
    let found = run(async {
        let (a, b) = (Mutex::new((0, 0)), Mutex::new((0, 0)));
        assert!(!both_orders!(a, b, |a| MutexGuard::map(a.lock().await, |it| &mut it.0), |b| {
            MutexGuard::map(b.lock().await, |it| &mut it.1)
        }));
    });
    assert_eq!(kinds(&found), INVERSION);
}

/// An owned guard may be anywhere, so it makes no order.
#[test]
fn owned_guards() {
    let found = run(async {
        let (a, b) = (futures_lock::Mutex::new(()), futures_lock::Mutex::new(()));
        assert!(both_orders!(a, b, |a| a.clone().lock_owned().await, |b| b
            .clone()
            .lock_owned()
            .await));
        let a = Arc::new(futures_lock::Mutex::new(5));
        let guard = a.clone().lock_owned().await;
        assert!(a.try_lock().is_none() && a.try_lock_owned().is_none());
        assert!(task(async move { assert_eq!(*guard, 5) }).await);
        assert_eq!(*a.try_lock_owned().unwrap(), 5);
    });
    assert_eq!(kinds(&found), []);
}

/// The branches of a task hold their own locks.
#[test]
fn branches() {
    let found = run(async {
        let body = async {
            let (a, b) = (futures_lock::Mutex::new(()), futures_lock::Mutex::new(()));
            let hold = async |lock: &futures_lock::Mutex<()>| {
                let _held = lock.lock().await;
                yield_now().await;
            };
            join(hold(&a), hold(&b)).await;
            join(hold(&b), hold(&a)).await;
            join(hold(&a), hold(&a)).await;
        };
        assert!(task(body).await);
    });
    assert_eq!(kinds(&found), []);
}

/// A future that waits can be dropped, and it can wait for what its own task holds: another task may
/// release it, and the mutex may be taken by any task. So nothing is said.
#[test]
fn waits() {
    let found = run(async {
        let a = Arc::new(futures_lock::Mutex::new(()));
        let held = a.lock().await;
        let mut waiting = a.lock();
        assert!(poll!(&mut waiting).is_pending() && poll!(&mut waiting).is_pending());
        drop(waiting);
        assert!(timeout(Duration::from_millis(20), a.lock()).await.is_err());
        drop(held);
        // A woken future that is not polled keeps nobody from the mutex.
        let held = a.lock().await;
        let mut woken = a.lock();
        assert!(poll!(&mut woken).is_pending());
        drop(held);
        let other = Arc::clone(&a);
        assert!(task(async move { drop(other.lock().await) }).await);
        assert!(poll!(&mut woken).is_ready());
        assert!(futures::future::FusedFuture::is_terminated(&woken));
    });
    assert_eq!(kinds(&found), []);
}

/// Nothing is known of tasks that were given to the runtime directly, so nothing is said. Their
/// guards are not taken for the thread's.
#[test]
fn unknown_tasks() {
    let found = run(async {
        let (a, b) = (futures_lock::Mutex::new(()), futures_lock::Mutex::new(()));
        let (a, b) = (Arc::new(a), Arc::new(b));
        let both = |first: &Arc<futures_lock::Mutex<()>>, second: &Arc<futures_lock::Mutex<()>>| {
            let (first, second) = (Arc::clone(first), Arc::clone(second));
            async move {
                let first = first.try_lock().unwrap();
                yield_now().await;
                let second = second.lock().await;
                yield_now().await;
                drop((first, second));
            }
        };
        ::tokio::spawn(both(&a, &b)).await.unwrap();
        ::tokio::spawn(both(&b, &a)).await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

#[test]
fn contended() {
    let found = {
        let _alone = alone();
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
        runtime.block_on(async {
            let counter = Arc::new(futures_lock::Mutex::new(0));
            let adds = (0..20).map(|_| {
                let counter = Arc::clone(&counter);
                spawn(async move {
                    for _ in 0..50 {
                        let mut counter = counter.lock().await;
                        *counter += 1;
                        yield_now().await;
                    }
                })
            });
            for added in adds.collect::<Vec<_>>() {
                added.await.unwrap();
            }
            assert_eq!(*counter.lock().await, 1000);
        });
        lockdep::take_findings()
    };
    assert_eq!(kinds(&found), []);
}

/// As the originals: what can be sent and shared, moved, and printed.
#[test]
fn traits_of_futures() {
    use std::cell::Cell;

    use futures_lock::{MappedMutexGuard, Mutex, MutexGuard, MutexLockFuture, OwnedMutexGuard};
    static LOCK: Mutex<u8> = Mutex::new(7);
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    fn is_unpin<T: Unpin>() {}
    is_send::<(Mutex<Cell<u8>>, MutexGuard<'_, Cell<u8>>, OwnedMutexGuard<Cell<u8>>)>();
    is_send::<(MutexLockFuture<'_, Cell<u8>>, MappedMutexGuard<'_, Cell<u8>, Cell<u8>>)>();
    is_sync::<(Mutex<Cell<u8>>, MutexGuard<'_, u8>, MutexLockFuture<'_, Cell<u8>>)>();
    is_unpin::<(MutexLockFuture<'_, [u8]>, futures_lock::OwnedMutexLockFuture<[u8]>)>();
    let guard = LOCK.try_lock().unwrap();
    let theirs = ::futures::lock::Mutex::new(7);
    let expected = theirs.try_lock().unwrap();
    assert_eq!(format!("{guard:?} {LOCK:?}"), format!("{expected:?} {theirs:?}"));
}

#[test]
fn two_mutexes_of_async_lock() {
    let found = run(async {
        let (a, b) = (async_lock::Mutex::new(1), async_lock::Mutex::new(2));
        assert!(!both_orders!(a, b, |a| a.lock().await, |b| b.lock().await));
    });
    assert_eq!(kinds(&found), INVERSION);
    let text = found[0].to_string();
    assert!(text.contains("async_lock::Mutex<i32>"), "{text}");
    // One order with all other locks, whether the second one is awaited or blocks the thread.
    let found = run(async {
        let (a, b) = (async_lock::Mutex::new(()), futures_lock::Mutex::new(()));
        assert!(!both_orders!(a, b, |a| a.lock().await, |b| b.lock().await));
    });
    assert_eq!(kinds(&found), INVERSION);
    let found = run(async {
        let (a, b) = (async_lock::Mutex::new(()), async_lock::Mutex::new(()));
        assert!(!both_orders!(a, b, |a| a.lock_blocking(), |b| b.lock_blocking()));
    });
    assert_eq!(kinds(&found), INVERSION);
}

/// Guards that may be anywhere, attempts, and waits that are dropped.
#[test]
fn correct_uses_of_async_lock() {
    use async_lock::{Mutex, MutexGuard, MutexGuardArc};
    let found = run(async {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        assert!(both_orders!(a, b, |a| a.lock_arc().await, |b| b.lock_arc().await));
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        assert!(both_orders!(a, b, |a| a.lock_arc_blocking(), |b| b.lock_arc_blocking()));
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        assert!(both_orders!(a, b, |a| a.try_lock(), |b| b.try_lock()));

        let a = Arc::new(Mutex::new(5));
        let held = a.lock().await;
        assert!(std::ptr::eq(MutexGuard::source(&held), &raw const *a));
        assert!(a.try_lock().is_none() && a.try_lock_arc().is_none());
        assert!(timeout(Duration::from_millis(20), a.lock()).await.is_err());
        let mut waiting = Box::pin(a.lock_arc());
        assert!(poll!(&mut waiting).is_pending());
        drop(held);
        let held = waiting.await;
        assert!(Arc::ptr_eq(MutexGuardArc::source(&held), &a));
        assert!(task(async move { assert_eq!(*held, 5) }).await);
        assert_eq!(*a.try_lock_arc().unwrap(), 5);
    });
    assert_eq!(kinds(&found), []);
}

/// A thread that blocks waits with what it holds. The holder of the guard is not known afterwards: on another runtime, the
/// thread may poll a task that keeps it over an `.await`.
#[test]
fn threads_that_block_on_async_lock() {
    let found = {
        let _alone = alone();
        let (a, b) = (Arc::new(async_lock::Mutex::new(())), Arc::new(StdMutex::new(())));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (x, y) = (Arc::clone(&a), Arc::clone(&b));
        runtime.block_on(spawn_on(&runtime, async move {
            let _a = x.lock().await;
            drop(y.lock().unwrap());
        }));
        let blocks = std::thread::spawn(move || {
            let _b = b.lock().unwrap();
            drop(a.lock_blocking());
        });
        assert!(blocks.join().is_err());
        lockdep::take_findings()
    };
    assert_eq!(kinds(&found), INVERSION);

    let found = {
        let _alone = alone();
        let (a, b) = (async_lock::Mutex::new(()), StdMutex::new(()));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let sent = a.lock_blocking();
                drop(b.lock().unwrap());
                drop(sent);
            });
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let _b = b.lock().unwrap();
                drop(a.lock_blocking());
            });
        });
        lockdep::take_findings()
    };
    assert_eq!(kinds(&found), []);
}

async fn spawn_on<F: Future<Output = ()> + Send + 'static>(
    runtime: &tokio::runtime::Runtime,
    future: F,
) {
    runtime.spawn(future).await.unwrap();
}

/// As the originals: what can be sent and shared, and printed.
#[test]
fn traits_of_async_lock() {
    use std::cell::Cell;

    use async_lock::{
        Mutex, MutexGuard, MutexGuardArc,
        futures::{Lock, LockArc},
    };
    static LOCK: Mutex<u8> = Mutex::new(7);
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    is_send::<(Mutex<Cell<u8>>, MutexGuard<'_, Cell<u8>>, MutexGuardArc<Cell<u8>>)>();
    is_send::<(Lock<'_, Cell<u8>>, LockArc<Cell<u8>>)>();
    is_sync::<(Mutex<Cell<u8>>, MutexGuard<'_, u8>, MutexGuardArc<u8>)>();
    is_sync::<(Lock<'_, u8>, LockArc<u8>)>();
    let theirs = ::async_lock::Mutex::new(7);
    assert_eq!(format!("{LOCK:?} {:?}", LOCK.lock()), format!("{theirs:?} {:?}", theirs.lock()));
    let (guard, expected) = (LOCK.try_lock().unwrap(), theirs.try_lock().unwrap());
    let ours = format!("{guard:?} {guard} {LOCK:?}");
    assert_eq!(ours, format!("{expected:?} {expected} {theirs:?}"));
}

/// Each way to acquire a lock of async-lock takes part in the order.
#[test]
fn orders_of_a_rwlock_of_async_lock() {
    use async_lock::{Mutex, RwLock};
    macro_rules! case {
        ($new:expr, |$lock:ident| $hold:expr, $want:expr) => {{
            let found = run(async {
                assert!(!both_orders!($new, Mutex::new(0), |$lock| $hold, |b| b.lock().await));
            });
            assert_eq!(kinds(&found), INVERSION, "held by {}", stringify!($hold));
            let found = run(async {
                assert!(!both_orders!(Mutex::new(0), $new, |a| a.lock().await, |$lock| $want));
            });
            assert_eq!(kinds(&found), INVERSION, "wanted by {}", stringify!($want));
        }};
    }
    case!(Mutex::new(0), |it| it.lock().await, it.lock().await);
    case!(Mutex::new(0), |it| it.lock_blocking(), it.lock_blocking());
    case!(RwLock::new(0), |it| it.write().await, it.write().await);
    case!(RwLock::new(0), |it| it.write_blocking(), it.write_blocking());
    case!(RwLock::new(0), |it| it.upgradable_read().await, it.upgradable_read().await);
    case!(RwLock::new(0), |it| it.upgradable_read_blocking(), it.upgradable_read_blocking());
}

/// Readers make no order with each other, until somebody writes.
#[test]
fn readers_of_async_lock() {
    use async_lock::{Mutex, RwLock};
    for is_written in [false, true] {
        let found = run(async move {
            let lock = RwLock::new(0);
            if is_written {
                drop(lock.write().await);
            }
            let is_ok = both_orders!(lock, Mutex::new(0), |a| a.read().await, |b| b.lock().await);
            assert_eq!(is_ok, !is_written);
        });
        assert_eq!(kinds(&found), if is_written { &INVERSION[..] } else { &[] });
    }
}

/// An upgrade waits for readers, which the upgradable guard does not.
#[test]
fn upgrades_of_async_lock() {
    use async_lock::{Mutex, RwLock, RwLockUpgradableReadGuard as Guard};
    #[derive(Clone, Copy, Debug, PartialEq)]
    enum By {
        Nothing,
        Task,
        Thread,
        Attempt,
    }
    for by in [By::Nothing, By::Task, By::Thread, By::Attempt] {
        let found = run(async move {
            let (a, b) = (Arc::new(RwLock::new(0)), Arc::new(Mutex::new(0)));
            let (x, y) = (Arc::clone(&a), Arc::clone(&b));
            let upgrades = task(async move {
                let guard = x.upgradable_read().await;
                let _other = y.lock().await;
                match by {
                    By::Nothing => drop(guard),
                    By::Task => *Guard::upgrade(guard).await += 1,
                    By::Thread => *Guard::upgrade_blocking(guard) += 1,
                    By::Attempt => *Guard::try_upgrade(guard).unwrap() += 1,
                }
            });
            assert!(upgrades.await);
            let reads = task(async move {
                let _reader = a.read().await;
                drop(b.lock().await);
            });
            assert_eq!(reads.await, by == By::Nothing || by == By::Attempt);
        });
        let waits = by == By::Task || by == By::Thread;
        assert_eq!(kinds(&found), if waits { &INVERSION[..] } else { &[] }, "{by:?}");
    }
}

/// An upgrade that is given up releases the lock, and one that fails keeps it.
#[test]
fn upgrades_that_do_not_succeed() {
    use async_lock::{Mutex, RwLock, RwLockUpgradableReadGuard as Guard};
    let found = run(async {
        let body = async {
            let (a, b) = (RwLock::new(0), Mutex::new(0));
            let guard = a.upgradable_read().await;
            // Another future of the task could release this, so the upgrade below may succeed.
            let reader = a.read().await;
            let guard = Guard::try_upgrade(guard).unwrap_err();
            let mut upgrade = Box::pin(Guard::upgrade(guard));
            assert!(poll!(&mut upgrade).is_pending() && a.try_read().is_none());
            drop(upgrade);
            drop(reader);
            // If the first were still held, this would be an order, against the one below.
            drop(b.lock().await);
            let _b = b.lock().await;
            *a.write().await += 1;
        };
        assert!(task(body).await);
    });
    assert_eq!(kinds(&found), []);
}

/// A downgraded guard holds the lock in its new mode.
#[test]
fn downgrades_of_async_lock() {
    use async_lock::{
        Mutex, RwLock, RwLockUpgradableReadGuard as Upgradable, RwLockWriteGuard as Writer,
    };
    // Others may read what is held upgradable.
    for is_downgraded in [false, true] {
        let found = run(async move {
            let (a, b) = (Arc::new(RwLock::new(0)), Arc::new(Mutex::new(0)));
            let (x, y) = (Arc::clone(&a), Arc::clone(&b));
            let forth = task(async move {
                let writer = x.write().await;
                if is_downgraded {
                    let _guard = Writer::downgrade_to_upgradable(writer);
                    drop(y.lock().await);
                } else {
                    drop(y.lock().await);
                }
            });
            assert!(forth.await);
            let back = task(async move {
                let _b = b.lock().await;
                drop(a.read().await);
            });
            assert_eq!(back.await, is_downgraded);
        });
        assert_eq!(kinds(&found), if is_downgraded { &[] } else { &INVERSION[..] });
    }
    // Another may have the right to upgrade what is only read.
    let found = run(async {
        let lock = RwLock::new(0);
        let is_ok = both_orders!(
            lock,
            Mutex::new(0),
            |a| Upgradable::downgrade(a.upgradable_read().await),
            |b| b.lock().await
        );
        assert!(is_ok);
    });
    assert_eq!(kinds(&found), []);
}

/// A guard of an `Arc` may be anywhere, so it makes no order.
#[test]
fn arc_guards_of_a_rwlock() {
    use async_lock::{
        Mutex, RwLock, RwLockUpgradableReadGuardArc as Upgradable, RwLockWriteGuardArc as Writer,
    };
    macro_rules! silent {
        ($new:expr, |$lock:ident| $hold:expr) => {
            let found = run(async {
                assert!(both_orders!($new, Mutex::new(0), |$lock| $hold, |b| b.lock().await));
            });
            assert_eq!(kinds(&found), [], "{}", stringify!($hold));
        };
    }
    silent!(Mutex::new(0), |it| it.lock_arc().await);
    silent!(RwLock::new(0), |it| it.read_arc().await);
    silent!(RwLock::new(0), |it| it.write_arc().await);
    silent!(RwLock::new(0), |it| it.upgradable_read_arc().await);
    silent!(RwLock::new(0), |it| Upgradable::upgrade(it.upgradable_read_arc().await).await);
    let found = run(async {
        let a = Arc::new(RwLock::new(5));
        let guard = Writer::downgrade_to_upgradable(a.write_arc().await);
        assert!(a.try_write_arc().is_none() && a.try_upgradable_read_arc().is_none());
        let guard = Upgradable::downgrade(guard);
        assert!(task(async move { assert_eq!(*guard, 5) }).await);
        let guard = Upgradable::try_upgrade(a.try_upgradable_read_arc().unwrap()).unwrap();
        assert!(a.try_read_arc().is_none());
        drop(Writer::downgrade(guard));
        assert_eq!(*a.read_arc_blocking(), 5);
        *Upgradable::upgrade_blocking(a.upgradable_read_arc_blocking()) += 1;
        *a.write_arc_blocking() += 1;
        // No guard has kept the lock alive.
        assert_eq!(Arc::into_inner(a).unwrap().into_inner(), 7);
    });
    assert_eq!(kinds(&found), []);
}

/// Nothing is known of tasks that were given to the runtime directly, so nothing is said.
#[test]
fn unknown_tasks_and_a_rwlock() {
    use async_lock::{RwLock, RwLockUpgradableReadGuard as Guard};
    let found = run(async {
        let (a, b) = (Arc::new(RwLock::new(0)), Arc::new(RwLock::new(0)));
        let both = |first: &Arc<RwLock<i32>>, second: &Arc<RwLock<i32>>| {
            let (first, second) = (Arc::clone(first), Arc::clone(second));
            async move {
                let first = Guard::upgrade(first.upgradable_read().await).await;
                yield_now().await;
                let second = Guard::upgrade(second.try_upgradable_read().unwrap()).await;
                yield_now().await;
                drop((first, second));
            }
        };
        ::tokio::spawn(both(&a, &b)).await.unwrap();
        ::tokio::spawn(both(&b, &a)).await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// As the originals: what can be sent and shared, shortened, and printed.
#[test]
fn traits_of_a_rwlock() {
    use std::cell::Cell;

    use async_lock::{
        Mutex, MutexGuard, MutexGuardArc, RwLock, RwLockReadGuard, RwLockReadGuardArc,
        RwLockUpgradableReadGuard, RwLockWriteGuard, futures,
    };
    fn is_send<T: Send>() {}
    fn is_sync<T: Sync>() {}
    // `Cell` is `Send`; a standard `MutexGuard` is `Sync`.
    type Guard = std::sync::MutexGuard<'static, u8>;
    fn shorter<'a>(guard: RwLockReadGuard<'a, &'static str>) -> RwLockReadGuard<'a, &'a str> {
        guard
    }
    fn shorter_arc<'a>(guard: RwLockReadGuardArc<&'static str>) -> RwLockReadGuardArc<&'a str> {
        guard
    }
    static LOCK: RwLock<&str> = RwLock::new("seven");

    is_send::<(Mutex<Cell<u8>>, MutexGuard<'_, Cell<u8>>, MutexGuardArc<Cell<u8>>)>();
    is_send::<(futures::Lock<'_, Cell<u8>>, futures::LockArc<Cell<u8>>, RwLock<Cell<u8>>)>();
    is_send::<(RwLockWriteGuard<'_, Cell<u8>>, futures::Write<'_, Cell<u8>>)>();
    is_send::<(futures::Upgrade<'_, Cell<u8>>, futures::Read<'_, Guard>)>();
    is_send::<(RwLockReadGuard<'_, Guard>, RwLockUpgradableReadGuard<'_, u8>)>();
    is_send::<(futures::ReadArc<'_, u8>, futures::UpgradeArc<u8>, futures::WriteArc<'_, u8>)>();
    is_sync::<(Mutex<Cell<u8>>, MutexGuard<'_, Guard>, MutexGuardArc<Guard>)>();
    is_sync::<(RwLockReadGuard<'_, Guard>, RwLockUpgradableReadGuard<'_, Guard>)>();
    is_sync::<(RwLockWriteGuard<'_, Guard>, futures::Upgrade<'_, Guard>)>();
    assert_eq!(*shorter(LOCK.read_blocking()), "seven");
    assert_eq!(*shorter_arc(Arc::new(RwLock::new("eight")).read_arc_blocking()), "eight");

    macro_rules! printed {
        ($krate:path) => {{
            use $krate as home;
            let (a, b) = (Arc::new(home::Mutex::new(7)), Arc::new(home::RwLock::new(8)));
            let free = format!("{a:?} {b:?} {:?}", b.read());
            let (mutex, writer) = (a.lock_blocking(), b.try_write_arc().unwrap());
            assert!(std::ptr::eq(home::MutexGuard::source(&mutex), &raw const *a));
            format!("{free} {a:?} {b:?} {mutex:?} {writer} {:?} {:?}", a.lock(), b.write_arc())
        }};
    }
    assert_eq!(printed!(async_lock), printed!(::async_lock));
}

/// With one permit, a semaphore is a lock.
#[test]
fn orders_of_a_semaphore_of_async_lock() {
    use async_lock::Semaphore;
    let found = run(async {
        let (a, b) = (Semaphore::new(1), async_lock::Mutex::new(()));
        assert!(!both_orders!(a, b, |a| a.acquire().await, |b| b.lock().await));
    });
    assert_eq!(kinds(&found), INVERSION);
    let text = found[0].to_string();
    assert!(text.contains("an `async_lock::Semaphore` made at "), "{text}");
    let found = run(async {
        let (a, b) = (Semaphore::new(1), StdMutex::new(()));
        assert!(!both_orders!(a, b, |a| a.acquire_blocking(), |b| b.lock().unwrap()));
    });
    assert_eq!(kinds(&found), INVERSION);
}

/// With several permits, it is a pool.
#[test]
fn a_pool_of_async_lock() {
    use async_lock::Semaphore;
    let found = run(async {
        let pool = Semaphore::new(2);
        let first = pool.acquire().await;
        let second = pool.acquire().await;
        drop((first, second));
    });
    assert_eq!(kinds(&found), [FindingKind::PoolExhaustion]);
    let found = run(async {
        let (a, b) = (Semaphore::new(2), Semaphore::new(2));
        assert!(both_orders!(a, b, |a| a.acquire().await, |b| b.acquire().await));
    });
    assert_eq!(kinds(&found), [], "a pool is not part of the order");
}

/// Signals, attempts, guards that may be anywhere, and what was forgotten.
#[test]
fn correct_uses_of_a_semaphore() {
    use async_lock::Semaphore;
    let found = run(async {
        let (a, b) = (Semaphore::new(1), Semaphore::new(1));
        assert!(both_orders!(a, b, |a| a.acquire_arc().await, |b| b.acquire_arc().await));
        let (a, b) = (Semaphore::new(1), Semaphore::new(1));
        assert!(both_orders!(a, b, |a| a.acquire_arc_blocking(), |b| b.acquire_arc_blocking()));
        let (a, b) = (Semaphore::new(1), Semaphore::new(1));
        assert!(both_orders!(a, b, |a| a.try_acquire(), |b| b.try_acquire()));

        // Any task may add a permit.
        let (a, b) = (Semaphore::new(0), Semaphore::new(1));
        a.add_permits(1);
        b.add_permits(1);
        assert!(both_orders!(a, b, |a| a.acquire().await, |b| b.acquire_blocking()));
        let pool = Semaphore::new(2);
        let first = pool.acquire().await;
        pool.add_permits(1);
        drop((pool.acquire().await, first));
        // The first guard is of the time when they were checked.
        assert_eq!(pool.available_permits(), 3);

        let a = Arc::new(Semaphore::new(1));
        let held = a.acquire().await;
        assert!(a.try_acquire().is_none() && a.try_acquire_arc().is_none());
        assert!(timeout(Duration::from_millis(20), a.acquire()).await.is_err());
        held.forget();
        a.add_permits(2);
        a.try_acquire_arc().unwrap().forget();
        let alone = Arc::clone(&a);
        drop(a.acquire_arc().await);
        assert_eq!((alone.available_permits(), Arc::strong_count(&alone)), (1, 2));
    });
    assert_eq!(kinds(&found), []);
}

/// As the originals: what can be sent and shared, and printed.
#[test]
fn traits_of_a_semaphore() {
    use async_lock::{Semaphore, SemaphoreGuard, SemaphoreGuardArc, futures};
    static ONE: Semaphore = Semaphore::new(1);
    fn is_send<T: Send + Sync>() {}
    is_send::<(Semaphore, SemaphoreGuard<'_>, SemaphoreGuardArc)>();
    is_send::<(futures::Acquire<'_>, futures::AcquireArc)>();
    macro_rules! printed {
        ($krate:path) => {{
            use $krate as home;
            let semaphore = Arc::new(home::Semaphore::new(2));
            let guard = semaphore.try_acquire();
            let futures = format!("{:?} {:?}", semaphore.acquire(), semaphore.acquire_arc());
            format!("{semaphore:?} {guard:?} {futures}")
        }};
    }
    assert_eq!(printed!(async_lock), printed!(::async_lock));
    assert!(ONE.try_acquire().is_some());
}
