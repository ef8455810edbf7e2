//! Which tasks are known, and as what.

use lockdep::tokio;

use super::*;

mod attributes {
    use lockdep::tokio;

    #[tokio::main]
    pub(super) async fn main() -> Option<String> {
        super::known_as().await
    }

    #[tokio::main(flavor = "current_thread")]
    pub(super) async fn current_thread() -> Option<String> {
        super::known_as().await
    }

    #[tokio::test]
    async fn test() {
        let _one = super::alone();
        assert!(super::known_as().await.is_some());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn multi_thread() {
        let _one = super::alone();
        assert!(super::known_as().await.is_some());
    }
}

/// Without an import of the name.
mod full_paths {
    #[lockdep::tokio::main(crate = "lockdep::tokio")]
    pub(super) async fn main() -> Option<String> {
        super::known_as().await
    }

    #[lockdep::tokio::test(crate = "lockdep::tokio")]
    async fn test() {
        let _one = super::alone();
        assert!(super::known_as().await.is_some());
    }

    /// This names tokio itself.
    #[lockdep::tokio::main]
    pub(super) async fn unknown() -> Option<String> {
        super::known_as().await
    }
}

#[test]
fn attributes_build_our_runtime() {
    let _one = alone();
    let known = [attributes::main(), attributes::current_thread(), full_paths::main()];
    for known_as in known {
        let known_as = known_as.expect("it is known");
        assert!(known_as.contains("attributes_build_our_runtime"), "{known_as}");
    }
    assert_eq!(full_paths::unknown(), None);
}

#[test]
fn spawned_tasks_are_known_by_where_they_are_spawned() {
    let _one = alone();
    for runtime in both() {
        let handle = runtime.handle().clone();
        let of_runtime = runtime.spawn(known_as());
        assert_spawned_here(runtime.block_on(of_runtime).unwrap());
        let of_handle = handle.spawn(known_as());
        assert_spawned_here(runtime.block_on(of_handle).unwrap());
        runtime.block_on(async {
            let spawned = tokio::spawn(known_as());
            assert_spawned_here(spawned.await.unwrap());
            let spawned = tokio::task::spawn(known_as());
            assert_spawned_here(spawned.await.unwrap());
            let spawned = Handle::current().spawn(known_as());
            assert_spawned_here(spawned.await.unwrap());
            let spawned = Handle::try_current().unwrap().spawn(known_as());
            assert_spawned_here(spawned.await.unwrap());
        });
    }
}

#[test]
fn local_tasks_are_known() {
    let _one = alone();
    for runtime in both() {
        let local = LocalSet::new();
        let before = local.spawn_local(known_as());
        assert_spawned_here(local.block_on(&runtime, before).unwrap());
        local.block_on(&runtime, async {
            let spawned = tokio::task::spawn_local(known_as());
            assert_spawned_here(spawned.await.unwrap());
        });
        let awaited = LocalSet::new();
        let spawned = awaited.spawn_local(known_as());
        runtime.block_on(awaited);
        assert!(runtime.block_on(spawned).unwrap().is_some());
    }
}

#[test]
fn tasks_of_sets_are_known() {
    let _one = alone();
    for runtime in both() {
        let local = LocalSet::new();
        local.block_on(&runtime, async {
            let mut set = JoinSet::new();
            set.spawn(known_as());
            assert_spawned_here(set.join_next().await.unwrap().unwrap());
            set.spawn_on(known_as(), &Handle::current());
            assert_spawned_here(set.join_next().await.unwrap().unwrap());
            set.spawn_local(known_as());
            assert_spawned_here(set.join_next().await.unwrap().unwrap());
            set.spawn_local_on(known_as(), &local);
            assert_spawned_here(set.join_next().await.unwrap().unwrap());
            set.extend([known_as()]);
            assert!(set.join_all().await[0].is_some());
            let collected: JoinSet<_> = [known_as()].into_iter().collect();
            assert!(collected.join_all().await[0].is_some());
        });
    }
}

/// A future that a thread blocks on, and futures polled within, are a part of the thread.
#[test]
fn futures_that_are_blocked_on_are_the_threads() {
    let _one = alone();
    for runtime in both() {
        let local = LocalSet::new();
        let known = [
            runtime.block_on(known_as()),
            runtime.handle().block_on(known_as()),
            local.block_on(&runtime, known_as()),
            local.block_on(&runtime, async { local.run_until(known_as()).await }),
            runtime.block_on(async { LocalSet::new().run_until(known_as()).await }),
            runtime.block_on(async {
                tokio::select! { it = known_as() => it, () = tokio::task::yield_now() => None }
            }),
        ];
        for known_as in known {
            let known_as = known_as.expect("it is known");
            assert!(known_as.contains("futures_that_are_blocked_on"), "{known_as}");
        }
        let other = runtime.handle().clone();
        let elsewhere = thread::Builder::new().name("elsewhere".into());
        let known_as = elsewhere.spawn(move || other.block_on(known_as())).unwrap().join().unwrap();
        assert!(known_as.unwrap().contains("elsewhere"));
    }
}

#[test]
fn blocking_in_a_task_is_a_part_of_the_task() {
    let _one = alone();
    let runtime = multi_thread();
    let task = runtime.spawn(async {
        let blocked =
            tokio::task::block_in_place(|| Handle::current().block_on(async { known_as().await }));
        (blocked, known_as().await)
    });
    let (blocked, after) = runtime.block_on(task).unwrap();
    let (blocked, after) = (blocked.unwrap(), after.unwrap());
    assert!(after.contains(file!()), "{after}");
    assert_eq!(blocked, after);
}

/// The task of a library, and its runtime.
#[test]
fn what_is_spawned_past_us_is_unknown() {
    let _one = alone();
    for runtime in both() {
        runtime.block_on(async {
            assert_eq!(::tokio::spawn(known_as()).await.unwrap(), None);
            let known = ::tokio::spawn(async { tokio::spawn(known_as()).await.unwrap() });
            assert!(known.await.unwrap().is_some());
        });
        let local = LocalSet::new();
        let known_as = local.block_on(&runtime, async {
            ::tokio::task::spawn_local(async { known_as().await }).await.unwrap()
        });
        assert_eq!(known_as, None);
    }
    let runtime = ::tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(known_as()), None);
}

/// Its branches are not known.
#[test]
fn an_unknown_future_makes_no_edges() {
    async fn branches(a: &Mutex<()>, b: &Mutex<()>) {
        let held = async {
            let _a = a.lock().await;
            tokio::task::yield_now().await;
        };
        tokio::join!(held, async { drop(b.lock().await) });
        let _a = a.lock().await;
        drop(b.lock().await);
    }
    let _one = alone();
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let runtime = ::tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(branches(&a, &b));
    assert_eq!(edges(), 0);
    current_thread().block_on(branches(&a, &b));
    assert_eq!(edges(), 1);
    assert_eq!(kinds(), []);
}

/// For example, a handler in a library's task.
#[test]
fn as_task_in_an_unknown_task() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let nested = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
            let (first, second) = (first.clone(), second.clone());
            lockdep::as_task(async move {
                let _first = first.lock().await;
                tokio::task::yield_now().await;
                let _second = second.lock().await;
            })
        };
        runtime.block_on(async {
            let known = ::tokio::spawn(lockdep::as_task(known_as()));
            assert_spawned_here(known.await.unwrap());
            ::tokio::spawn(nested(&a, &b)).await.unwrap();
            assert!(::tokio::spawn(nested(&b, &a)).await.unwrap_err().is_panic());
        });
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
        assert_eq!(kinds(), [FindingKind::Inversion]);
    }
}

/// The code around it may drop it at any time, so it is never considered stuck.
#[test]
fn as_task_under_an_unknown_time_out() {
    let _one = alone();
    for runtime in both() {
        let lock = Arc::new(Mutex::new(()));
        let twice = {
            let lock = lock.clone();
            lockdep::as_task(async move {
                let _first = lock.lock().await;
                drop(lock.lock().await);
            })
        };
        let limit = Duration::from_millis(20);
        let task = runtime.spawn(async move { ::tokio::time::timeout(limit, twice).await });
        assert!(runtime.block_on(task).unwrap().is_err());
        let twice = {
            let lock = lock.clone();
            lockdep::as_task(async move {
                let _first = lock.lock().await;
                drop(lock.lock().await);
            })
        };
        let within = async move { ::tokio::time::timeout(limit, twice).await };
        assert!(runtime.block_on(async { ::tokio::spawn(within).await.unwrap() }).is_err());
        assert!(lock.try_lock().is_ok());
        assert_eq!(kinds(), []);
    }
}

/// There it is a part of the task.
#[test]
fn as_task_in_a_known_task() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        runtime.block_on(async {
            let _a = a.lock().await;
            drop(lockdep::as_task(async { b.lock().await }).await);
        });
        assert_eq!(edges(), 1);
        assert_eq!(kinds(), []);
    }
}

#[test]
fn a_denied_lock_is_an_error_of_its_handle() {
    let _one = alone();
    for runtime in both() {
        lockdep::reset();
        let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
        let nested = |first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
            let (first, second) = (first.clone(), second.clone());
            async move {
                let _first = first.lock().await;
                let _second = second.lock().await;
            }
        };
        runtime.block_on(async {
            let mut set = JoinSet::new();
            set.spawn(nested(&a, &b));
            set.join_next().await.unwrap().unwrap();
            set.spawn(nested(&b, &a));
            let error = set.join_next().await.unwrap().unwrap_err();
            let report = error.into_panic().downcast::<String>().unwrap();
            assert!(report.contains("lockdep::inversion"), "{report}");
        });
        assert!(a.try_lock().is_ok() && b.try_lock().is_ok());
        assert_eq!(kinds(), [FindingKind::Inversion]);
    }
}
