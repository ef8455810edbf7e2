//! Threads that block on a future.

use lockdep::tokio;

use super::*;

/// The future that a thread blocks on holds the locks of the thread.
#[test]
fn inversion_with_a_lock_outside_of_block_on() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (StdMutex::new(()), Mutex::new(()));
        {
            let _a = a.lock().unwrap();
            runtime.block_on(async {
                tokio::task::yield_now().await;
                drop(b.lock().await);
            });
        }
        assert_eq!(edges(), 1);
        let other = || {
            let _b = b.blocking_lock();
            drop(a.lock());
        };
        thread::scope(|scope| scope.spawn(other).join().unwrap_err());
        assert_eq!(kinds(), [FindingKind::Inversion]);
    }
}

#[test]
fn inversion_with_a_lock_in_block_on() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (StdMutex::new(()), Mutex::new(()));
        thread::scope(|scope| {
            let first = || {
                let _b = b.blocking_lock();
                drop(a.lock());
            };
            scope.spawn(first).join().unwrap();
        });
        let _a = a.lock().unwrap();
        let denied = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async { drop(b.lock().await) });
        }));
        assert!(denied.is_err());
        assert_eq!(kinds(), [FindingKind::Inversion]);
    }
}

#[test]
fn a_lock_that_was_released_before_block_on() {
    let _one = alone();
    let runtime = current_thread();
    let (a, b) = (StdMutex::new(()), Mutex::new(()));
    drop(a.lock());
    runtime.block_on(async { drop(b.lock().await) });
    // Released by the future itself.
    let outer = a.lock().unwrap();
    runtime.block_on(async move {
        drop(outer);
        drop(b.lock().await);
    });
    assert_eq!(edges(), 0);
}

/// Locks of the thread stay below those of the future, across its awaits.
#[test]
fn locks_around_block_on_stay_there() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (outer, both, one) = (StdMutex::new(()), StdMutex::new(()), StdMutex::new(()));
        let (first, second) = (Mutex::new(()), Mutex::new(()));
        let outer_guard = outer.lock().unwrap();
        let guard = runtime.block_on(async {
            let _first = first.lock().await;
            tokio::task::yield_now().await;
            let second = second.lock().await;
            tokio::task::yield_now().await;
            second
        });
        // outer→first, outer→second, first→second.
        assert_eq!(edges(), 3);
        // The returned guard belongs to the thread.
        drop(both.lock());
        assert_eq!(edges(), 5);
        drop(guard);
        drop(one.lock());
        assert_eq!(edges(), 6);
        drop(outer_guard);
        assert!(!lockdep::held().to_string().contains("(exclusive)"), "{}", lockdep::held());
        assert_eq!(kinds(), []);
    }
}

/// Other tasks that the thread polls meanwhile are not part of the future.
#[test]
fn tasks_beside_a_future_that_is_blocked_on() {
    let _one = alone();
    let runtime = current_thread();
    let a = StdMutex::new(());
    let (b, c) = (Arc::new(Mutex::new(())), Mutex::new(()));
    let _a = a.lock().unwrap();
    runtime.block_on(async {
        let _c = c.lock().await;
        let b = b.clone();
        tokio::spawn(async move { drop(b.lock().await) }).await.unwrap();
    });
    // a→c, and no edge to b.
    assert_eq!(edges(), 1);
}

/// A single thread runs the two futures in sequence.
#[test]
fn both_orders_in_one_thread() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        let nested = async |first: &Mutex<()>, second: &Mutex<()>| {
            let _first = first.lock().await;
            drop(second.lock().await);
        };
        runtime.block_on(nested(&a, &b));
        let denied = catch_unwind(AssertUnwindSafe(|| runtime.block_on(nested(&b, &a))));
        assert!(denied.is_err());
        assert_eq!(kinds(), [FindingKind::SingleThreadInversion]);
    }
}

/// A thread that is known to start after what this one did.
#[test]
fn both_orders_in_a_thread_and_its_child() {
    let _one = alone();
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let nested = async |first: &Mutex<()>, second: &Mutex<()>| {
        let _first = first.lock().await;
        drop(second.lock().await);
    };
    current_thread().block_on(nested(&a, &b));
    let child = move || current_thread().block_on(nested(&b, &a));
    lockdep::thread::spawn(child).join().unwrap();
    assert_eq!(kinds(), [FindingKind::OrderedInversion]);
}

#[test]
fn twice_in_one_future() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let lock = Mutex::new(());
        let denied = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _first = lock.lock().await;
                drop(lock.lock().await);
            });
        }));
        assert!(denied.is_err());
        assert_eq!(kinds(), [FindingKind::SelfDeadlock]);
        assert!(lock.try_lock().is_ok());
    }
}

#[test]
fn only_its_own_guards_are_held_across_an_await() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (StdMutex::new(()), StdMutex::new(()));
        let _a = a.lock().unwrap();
        runtime.block_on(tokio::task::yield_now());
        assert_eq!(kinds(), []);
        runtime.block_on(async {
            let _b = b.lock().unwrap();
            tokio::task::yield_now().await;
        });
        assert_eq!(kinds(), [FindingKind::HeldAcrossAwait]);
    }
}

/// A thread that holds a lock and blocks on a future is a link of a cycle: the future waits for a
/// task's lock, and the task's thread for the outer lock. Either may come last.
#[test]
fn deadlock_through_block_on() {
    let _one = alone();
    for task_is_last in [true, false] {
        lockdep::reset();
        lockdep::set_level(FindingKind::Inversion, lockdep::Level::Allow);
        let runtime = multi_thread();
        let (a, b) = (Arc::new(StdMutex::new(())), Arc::new(Mutex::new(())));
        let both_hold = Arc::new(Barrier::new(2));
        let (rests, has_rested) = mpsc::channel::<()>();
        let task = runtime.spawn({
            let (a, b, both_hold) = (a.clone(), b.clone(), both_hold.clone());
            async move {
                let _b = b.lock().await;
                both_hold.wait();
                if task_is_last {
                    has_rested.recv().unwrap();
                }
                drop(a.lock());
            }
        });
        let blocked = catch_unwind(AssertUnwindSafe(|| {
            let _a = a.lock().unwrap();
            both_hold.wait();
            if !task_is_last {
                until_waiting();
            }
            let mut polled = false;
            runtime.block_on(async {
                let mut wanted = std::pin::pin!(b.lock());
                std::future::poll_fn(|cx| {
                    let done = wanted.as_mut().poll(cx).map(drop);
                    if !std::mem::replace(&mut polled, true) {
                        // After the poll: until then the task can continue.
                        let rests = rests.clone();
                        thread::spawn(move || {
                            until_waiting();
                            rests.send(()).unwrap();
                        });
                    }
                    done
                })
                .await;
            });
        }));
        let ended = runtime.block_on(task);
        assert!(blocked.is_err() || ended.is_err());
        assert!(kinds().contains(&FindingKind::Deadlock));
        lockdep::set_level(FindingKind::Inversion, lockdep::Level::Deny);
    }
}

/// Waits until something waits for a lock.
fn until_waiting() {
    while !lockdep::held().to_string().contains("waits for") {
        thread::yield_now();
    }
}

/// As above, but a timer wakes the future.
#[test]
fn no_deadlock_if_the_future_wakes_up() {
    let _one = alone();
    lockdep::set_level(FindingKind::Inversion, lockdep::Level::Allow);
    let runtime = multi_thread();
    let (a, b) = (Arc::new(StdMutex::new(())), Arc::new(Mutex::new(())));
    let both_hold = Arc::new(Barrier::new(2));
    let task = runtime.spawn({
        let (a, b, both_hold) = (a.clone(), b.clone(), both_hold.clone());
        async move {
            let _b = b.lock().await;
            both_hold.wait();
            drop(a.lock());
        }
    });
    {
        let _a = a.lock().unwrap();
        both_hold.wait();
        let wanted =
            async { tokio::time::timeout(Duration::from_millis(50), b.lock()).await.is_ok() };
        assert!(!runtime.block_on(wanted));
    }
    runtime.block_on(task).unwrap();
    lockdep::set_level(FindingKind::Inversion, lockdep::Level::Deny);
    let found = kinds();
    assert!(!found.contains(&FindingKind::Deadlock), "{found:?}");
}

/// A future on a task's thread holds the locks of the task.
#[test]
fn locks_around_block_in_place() {
    let _one = alone();
    let runtime = multi_thread();
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let task = async move {
        let _a = a.lock().await;
        tokio::task::block_in_place(|| {
            Handle::current().block_on(async {
                tokio::time::sleep(Duration::from_millis(1)).await;
                drop(b.lock().await);
            });
        });
        assert_eq!(edges(), 1);
    };
    runtime.block_on(runtime.spawn(task)).unwrap();
    assert_eq!(kinds(), []);
}

/// The thread continues as before.
#[test]
fn a_panic_in_a_future_that_is_blocked_on() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (StdMutex::new(()), Mutex::new(()));
        let _a = a.lock().unwrap();
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                let _b = b.lock().await;
                tokio::task::yield_now().await;
                panic!("in the future");
            });
        }));
        assert!(panicked.is_err() && b.try_lock().is_ok());
        assert_eq!(
            lockdep::held().to_string().matches("(exclusive)").count(),
            1,
            "{}",
            lockdep::held()
        );
        assert!(runtime.block_on(known_as()).is_some());
        assert_eq!(kinds(), []);
    }
}
