//! Tasks that are polled within a poll of another task.

use lockdep::tokio;

use super::*;

/// Tasks of a set are polled within a poll of the task that awaits the set.
#[test]
fn guards_in_a_local_set() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let [a, b, c] = [(); 3].map(|()| std::rc::Rc::new(Mutex::new(())));
        let local = LocalSet::new();
        local.spawn_local({
            let (b, c) = (b.clone(), c.clone());
            async move {
                let _b = b.lock().await;
                tokio::task::yield_now().await;
                drop(c.lock().await);
            }
        });
        runtime.block_on(async {
            let _a = a.lock().await;
            local.await;
        });
        // b→c, and nothing from a.
        assert_eq!(edges(), 1);
        assert!(!lockdep::held().to_string().contains("(exclusive)"), "{}", lockdep::held());
        assert_eq!(kinds(), []);
        // A future that the set runs until it is ready is a part of the task that awaits it. That
        // nothing runs concurrently is not proved.
        runtime.block_on(async {
            let _a = a.lock().await;
            LocalSet::new().run_until(async { drop(c.lock().await) }).await;
        });
        assert_eq!(edges(), 1);
    }
}

/// Tasks that a library has added to the set are no part of the task that awaits it.
#[test]
fn unknown_tasks_in_a_local_set() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (std::rc::Rc::new(Mutex::new(())), Mutex::new(()));
        let holds = || {
            let a = a.clone();
            async move {
                let _a = a.lock().await;
                std::future::pending::<()>().await;
            }
        };
        runtime.block_on(async {
            let local = LocalSet::new();
            let within = async {
                ::tokio::task::spawn_local(holds());
                while a.try_lock().is_ok() {
                    tokio::task::yield_now().await;
                }
                drop(b.lock().await);
                ::tokio::task::spawn_local(known_as()).await.unwrap()
            };
            assert_eq!(local.run_until(within).await, None);
            drop(b.lock().await);
        });
        let awaited = LocalSet::new();
        let task = {
            let _entered = awaited.enter();
            ::tokio::task::spawn_local(known_as())
        };
        runtime.block_on(awaited);
        assert_eq!(runtime.block_on(task).unwrap(), None);
        assert_eq!(edges(), 0);
        assert_eq!(kinds(), []);
    }
}

/// The other tasks of the set wake the one that awaits it, but its own future cannot continue
/// because of that.
#[test]
fn stuck_in_a_local_set() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let lock = Mutex::new(());
        let denied = catch_unwind(AssertUnwindSafe(|| {
            let local = LocalSet::new();
            local.spawn_local(std::future::pending::<()>());
            runtime.block_on(local.run_until(async {
                let _first = lock.lock().await;
                tokio::task::yield_now().await;
                drop(lock.lock().await);
            }));
        }));
        assert!(denied.is_err());
        assert_eq!(kinds(), [FindingKind::SelfDeadlock]);
    }
}

/// A local task has the lock, and releases it.
#[test]
fn not_stuck_in_a_local_set() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let lock = std::rc::Rc::new(Mutex::new(()));
        let local = LocalSet::new();
        local.spawn_local({
            let lock = lock.clone();
            async move {
                let _guard = lock.lock().await;
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                }
            }
        });
        runtime.block_on(local.run_until(async {
            tokio::task::yield_now().await;
            assert!(lock.try_lock().is_err());
            drop(lock.lock().await);
        }));
        assert_eq!(kinds(), []);
    }
}

#[test]
fn inversion_of_std_and_tokio_in_a_local_set() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (std::rc::Rc::new(StdMutex::new(())), std::rc::Rc::new(Mutex::new(())));
        let (c, d) = (a.clone(), b.clone());
        let denied = LocalSet::new().block_on(&runtime, async move {
            tokio::task::spawn_local(async move {
                let _a = a.lock().unwrap();
                drop(b.lock().await);
            })
            .await
            .unwrap();
            tokio::task::spawn_local(async move {
                let _d = d.lock().await;
                drop(c.lock());
            })
            .await
        });
        assert!(denied.unwrap_err().is_panic());
        assert_eq!(kinds(), [FindingKind::Inversion]);
    }
}
