use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use futures::{FutureExt, poll};
use sync::{MappedMutexGuard, Mutex, MutexGuard, OwnedMappedMutexGuard, OwnedMutexGuard};

#[test]
fn excludes() {
    run(async {
        let lock = Mutex::new(1);
        *lock.lock().await += 1;
        let guard = lock.lock().await;
        let error = lock.try_lock().unwrap_err();
        let error: tokio::sync::TryLockError = error;
        assert_eq!((error.to_string(), format!("{error:?}")), {
            ("operation would block".into(), "TryLockError(())".into())
        });
        drop(guard);
        assert_eq!(*lock.try_lock().unwrap(), 2);
    });
}

#[test]
fn tasks_take_turns() {
    run(async {
        let lock = Mutex::new(Vec::new());
        let guard = lock.lock().await;
        let add = async |number| lock.lock().await.push(number);
        let all = futures::future::join3(add(1), add(2), add(3));
        let release = async { drop(guard) };
        futures::future::join(all, release).await;
        assert_eq!(lock.into_inner(), [1, 2, 3]);
    });
}

#[test]
fn a_future_that_is_dropped_leaves_the_queue() {
    run(async {
        let lock = Mutex::new(());
        let guard = lock.lock().await;
        let (mut first, mut second) = (Box::pin(lock.lock()), Box::pin(lock.lock()));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(guard);
        // It was granted to the first one, which is dropped without it.
        drop(first);
        assert!(lock.try_lock().is_err());
        drop(poll!(&mut second));
        assert!(lock.try_lock().is_ok());
    });
}

#[test]
#[should_panic(expected = "`async fn` resumed after completion")]
fn a_future_ends_once() {
    run(async {
        let lock = Mutex::new(());
        let mut future = Box::pin(lock.lock());
        drop(poll!(&mut future));
        drop(poll!(&mut future));
    });
}

#[test]
fn owned_guards_keep_the_lock_alive() {
    run(async {
        let lock = Arc::new(Mutex::new(1));
        let future = lock.clone().lock_owned();
        assert_eq!(Arc::strong_count(&lock), 2);
        let mut guard = future.await;
        assert_eq!(Arc::strong_count(&lock), 2);
        assert!(lock.clone().try_lock_owned().is_err());
        assert!(Arc::ptr_eq(OwnedMutexGuard::mutex(&guard), &lock));
        *guard += 1;
        let guard = std::thread::spawn(move || guard).join().unwrap();
        drop(lock);
        assert_eq!(*guard, 2);
    });
}

#[test]
fn pending_owned_futures_are_dropped() {
    run(async {
        let lock = Arc::new(Mutex::new(1));
        let guard = lock.clone().try_lock_owned().unwrap();
        let mut future = Box::pin(lock.clone().lock_owned());
        assert!(poll!(&mut future).is_pending());
        drop(guard);
        drop(future);
        assert_eq!(Arc::strong_count(&lock), 1);
        assert!(lock.try_lock().is_ok());
    });
}

#[test]
fn guards_are_mapped() {
    run(async {
        let lock = Mutex::new((1, [2, 3]));
        let guard = lock.lock().await;
        assert!(std::ptr::eq(MutexGuard::mutex(&guard), &raw const lock));
        let array = MutexGuard::map(guard, |it| &mut it.1);
        let Err(array) = MappedMutexGuard::try_map(array, |it| it.get_mut(2)) else {
            panic!("there is no third")
        };
        let mut second = MappedMutexGuard::map(array, |it| &mut it[1]);
        *second += 1;
        assert_eq!((format!("{second}"), format!("{second:?}")), ("4".into(), "4".into()));
        assert!(lock.try_lock().is_err());
        drop(second);
        let guard = MutexGuard::try_map(lock.lock().await, |_| None::<&mut u8>).unwrap_err();
        drop(MutexGuard::try_map(guard, |it| Some(&mut it.0)).unwrap());
        assert_eq!(lock.into_inner(), (1, [2, 4]));
    });
}

#[test]
fn owned_guards_are_mapped() {
    run(async {
        let lock = Arc::new(Mutex::new((1, [2, 3])));
        let array = OwnedMutexGuard::map(lock.clone().lock_owned().await, |it| &mut it.1);
        let Err(array) = OwnedMappedMutexGuard::try_map(array, |it| it.get_mut(2)) else {
            panic!("there is no third")
        };
        let mut second = OwnedMappedMutexGuard::map(array, |it| &mut it[1]);
        *second += 1;
        assert_eq!((format!("{second}"), format!("{second:?}")), ("4".into(), "4".into()));
        assert!(lock.try_lock().is_err());
        drop(second);
        let guard = lock.clone().lock_owned().await;
        let guard = OwnedMutexGuard::try_map(guard, |_| None::<&mut u8>).unwrap_err();
        drop(OwnedMutexGuard::try_map(guard, |it| Some(&mut it.0)).unwrap());
        assert_eq!(*lock.try_lock().unwrap(), (1, [2, 4]));
    });
}

#[test]
fn a_panic_releases_and_poisons_nothing() {
    run(async {
        let lock = Mutex::new(1);
        let guard = lock.lock().await;
        let map = || drop(MutexGuard::map(guard, |_| -> &mut u8 { panic!("as meant") }));
        catch_unwind(AssertUnwindSafe(map)).unwrap_err();
        assert_eq!(*lock.lock().await, 1);
    });
}

#[test]
fn threads_block() {
    static LOCK: Mutex<u32> = Mutex::const_new(0);
    let owned = Arc::new(Mutex::new(0));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    *LOCK.blocking_lock() += 1;
                    *owned.clone().blocking_lock_owned() += 1;
                }
            });
        }
    });
    assert_eq!((*LOCK.try_lock().unwrap(), *owned.try_lock().unwrap()), (400, 400));
}

#[test]
fn a_blocked_thread_waits_for_a_task() {
    run(async {
        let lock = Arc::new(Mutex::new(1));
        let guard = lock.clone().lock_owned().await;
        let (sender, receiver) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || {
            // Not consumed by the wait for the lock.
            std::thread::current().unpark();
            sender.send(()).unwrap();
            let value = *lock.blocking_lock();
            std::thread::park();
            value
        });
        receiver.recv().unwrap();
        std::thread::sleep(std::time::Duration::from_millis(10));
        drop(guard);
        assert_eq!(thread.join().unwrap(), 1);
    });
}

#[test]
#[should_panic(expected = "Cannot block the current thread from within a runtime")]
fn tasks_do_not_block() {
    run(async { drop(Mutex::new(1).blocking_lock()) });
}

#[test]
fn prints() {
    let lock = Mutex::new("free");
    assert_eq!(format!("{lock:?}"), r#"Mutex { data: "free" }"#);
    assert_eq!(format!("{lock:#?}"), "Mutex {\n    data: \"free\",\n}");
    let guard = lock.try_lock().unwrap();
    assert_eq!(format!("{lock:?}"), "Mutex { data: <locked> }");
    assert_eq!((format!("{guard:?}"), format!("{guard}")), (r#""free""#.into(), "free".into()));
    assert_eq!(format!("{:?}", Arc::new(Mutex::new(1)).try_lock_owned().unwrap()), "1");
}

#[test]
fn values_and_conversions() {
    let mut lock: Mutex<u8> = Mutex::default();
    *lock.get_mut() = 7;
    assert_eq!(lock.into_inner(), 7);
    assert_eq!(*Mutex::from(8).try_lock().unwrap(), 8);
    let unsized_lock: &Mutex<[u8]> = &Mutex::new([1, 2]);
    let guard = unsized_lock.lock().now_or_never().unwrap();
    assert_eq!(guard.len(), 2);
}
