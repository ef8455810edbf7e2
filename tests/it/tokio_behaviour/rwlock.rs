use std::sync::Arc;

use futures::{FutureExt, poll};
use sync::{
    OwnedRwLockMappedWriteGuard, OwnedRwLockReadGuard, OwnedRwLockWriteGuard, RwLock,
    RwLockMappedWriteGuard, RwLockReadGuard, RwLockWriteGuard,
};

#[test]
fn readers_share_and_writers_do_not() {
    run(async {
        let lock = RwLock::new(1);
        let reader = lock.read().await;
        let other = lock.try_read().unwrap();
        assert!(lock.try_write().is_err());
        drop((reader, other));
        *lock.write().await += 1;
        let writer = lock.write().await;
        let error = lock.try_read().unwrap_err();
        let _: tokio::sync::TryLockError = error;
        assert!(lock.try_write().is_err());
        drop(writer);
        assert_eq!(lock.into_inner(), 2);
    });
}

#[test]
fn readers_wait_behind_a_writer() {
    run(async {
        let lock = Arc::new(RwLock::new(1));
        let reader = lock.try_read().unwrap();
        let mut writer = Box::pin(lock.write());
        assert!(poll!(&mut writer).is_pending());
        assert!(lock.try_read().is_err());
        drop(writer);
        assert!(lock.try_read().is_ok());
        drop(reader);
    });
}

#[test]
fn there_are_as_many_readers_as_asked_for() {
    static LOCK: RwLock<u8> = RwLock::const_with_max_readers(1, 1);
    let lock = RwLock::with_max_readers(1, 2);
    let readers = (lock.try_read().unwrap(), lock.try_read().unwrap());
    assert!(lock.try_read().is_err());
    drop(readers);
    let writer = lock.try_write().unwrap();
    assert!(lock.try_read().is_err());
    let reader = writer.downgrade();
    let other = lock.try_read().unwrap();
    assert!(lock.try_read().is_err());
    drop((reader, other));
    let reader = LOCK.try_read().unwrap();
    assert!(LOCK.try_read().is_err());
    drop(reader);
}

#[test]
#[should_panic(expected = "a RwLock may not be created with more than 536870911 readers")]
fn there_can_be_too_many_readers() {
    let _ = RwLock::with_max_readers(1, u32::MAX);
}

#[test]
fn owned_guards_keep_the_lock_alive() {
    run(async {
        let lock = Arc::new(RwLock::new(1));
        let mut writer = lock.clone().write_owned().await;
        assert!(Arc::ptr_eq(OwnedRwLockWriteGuard::rwlock(&writer), &lock));
        assert!(lock.clone().try_read_owned().is_err() && lock.clone().try_write_owned().is_err());
        *writer += 1;
        let reader = std::thread::spawn(move || writer.downgrade()).join().unwrap();
        assert!(Arc::ptr_eq(OwnedRwLockReadGuard::rwlock(&reader), &lock));
        let other = lock.clone().read_owned().await;
        assert_eq!(Arc::strong_count(&lock), 3);
        drop(lock);
        assert_eq!((*reader, *other), (2, 2));
    });
}

#[test]
fn guards_are_mapped() {
    run(async {
        let lock = RwLock::new((1, [2, 3]));
        let array = RwLockReadGuard::map(lock.read().await, |it| &it.1);
        let array = RwLockReadGuard::try_map(array, |it| it.get(2)).unwrap_err();
        let second = RwLockReadGuard::try_map(array, |it| it.get(1)).unwrap();
        assert_eq!((format!("{second}"), format!("{second:?}")), ("3".into(), "3".into()));
        assert!(lock.try_write().is_err() && lock.try_read().is_ok());
        drop(second);

        let array = RwLockWriteGuard::map(lock.write().await, |it| &mut it.1);
        let Err(array) = RwLockMappedWriteGuard::try_map(array, |it| it.get_mut(2)) else {
            panic!("there is no third")
        };
        let mut second = RwLockMappedWriteGuard::map(array, |it| &mut it[1]);
        *second += 1;
        assert_eq!((format!("{second}"), format!("{second:?}")), ("4".into(), "4".into()));
        assert!(lock.try_read().is_err());
        drop(second);
        let writer = RwLockWriteGuard::into_mapped(lock.write().await);
        assert_eq!(writer.1, [2, 4]);
        drop(writer);
        let writer = RwLockWriteGuard::try_map(lock.write().await, |_| None::<&mut u8>).unwrap_err();
        drop(RwLockWriteGuard::try_map(writer, |it| Some(&mut it.0)).unwrap());
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn owned_guards_are_mapped() {
    run(async {
        let lock = Arc::new(RwLock::new((1, [2, 3])));
        let array = OwnedRwLockReadGuard::map(lock.clone().read_owned().await, |it| &it.1);
        let array = OwnedRwLockReadGuard::try_map(array, |it| it.get(2)).unwrap_err();
        let second = OwnedRwLockReadGuard::try_map(array, |it| it.get(1)).unwrap();
        assert_eq!((format!("{second}"), format!("{second:?}")), ("3".into(), "3".into()));
        drop(second);

        let array = OwnedRwLockWriteGuard::map(lock.clone().write_owned().await, |it| &mut it.1);
        let Err(array) = OwnedRwLockMappedWriteGuard::try_map(array, |it| it.get_mut(2)) else {
            panic!("there is no third")
        };
        assert!(Arc::ptr_eq(OwnedRwLockMappedWriteGuard::rwlock(&array), &lock));
        let mut second = OwnedRwLockMappedWriteGuard::map(array, |it| &mut it[1]);
        *second += 1;
        assert_eq!((format!("{second}"), format!("{second:?}")), ("4".into(), "4".into()));
        assert!(lock.try_read().is_err());
        drop(second);
        drop(OwnedRwLockWriteGuard::into_mapped(lock.clone().write_owned().await));
        let writer = lock.clone().write_owned().await;
        let writer = OwnedRwLockWriteGuard::try_map(writer, |_| None::<&mut u8>).unwrap_err();
        drop(OwnedRwLockWriteGuard::try_map(writer, |it| Some(&mut it.0)).unwrap());
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn writers_are_downgraded() {
    run(async {
        let lock = Arc::new(RwLock::new((1, 2)));
        let shared = || lock.try_read().is_ok() && lock.try_write().is_err();

        let reader = lock.write().await.downgrade();
        assert!(shared());
        drop(reader);
        let reader = RwLockWriteGuard::downgrade_map(lock.write().await, |it| &it.1);
        assert!(shared() && *reader == 2);
        drop(reader);
        let writer = lock.write().await;
        let writer = RwLockWriteGuard::try_downgrade_map(writer, |_| None::<&u8>).unwrap_err();
        assert!(!shared());
        let reader = RwLockWriteGuard::try_downgrade_map(writer, |it| Some(&it.0)).unwrap();
        assert!(shared() && *reader == 1);
        drop(reader);

        let reader = lock.clone().write_owned().await.downgrade();
        assert!(shared());
        drop(reader);
        let writer = lock.clone().write_owned().await;
        let reader = OwnedRwLockWriteGuard::downgrade_map(writer, |it| &it.1);
        assert!(shared() && *reader == 2);
        drop(reader);
        let writer = lock.clone().write_owned().await;
        let writer = OwnedRwLockWriteGuard::try_downgrade_map(writer, |_| None::<&u8>).unwrap_err();
        assert!(!shared());
        let reader = OwnedRwLockWriteGuard::try_downgrade_map(writer, |it| Some(&it.0)).unwrap();
        assert!(shared() && *reader == 1);
        drop(reader);
        assert!(lock.try_write().is_ok());
    });
}

#[test]
fn threads_block() {
    static LOCK: RwLock<u32> = RwLock::const_new(0);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    let before = *LOCK.blocking_read();
                    *LOCK.blocking_write() += 1;
                    assert!(*LOCK.blocking_read() > before);
                }
            });
        }
    });
    assert_eq!(*LOCK.try_read().unwrap(), 400);
}

#[test]
#[should_panic(expected = "Cannot block the current thread from within a runtime")]
fn tasks_do_not_block() {
    run(async { drop(RwLock::new(1).blocking_read()) });
}

#[test]
fn prints() {
    let lock = RwLock::new("free");
    assert_eq!(format!("{lock:?}"), r#"RwLock { data: "free" }"#);
    let reader = lock.try_read().unwrap();
    assert_eq!(format!("{lock:?}"), r#"RwLock { data: "free" }"#);
    assert_eq!((format!("{reader:?}"), format!("{reader}")), (r#""free""#.into(), "free".into()));
    drop(reader);
    let writer = lock.try_write().unwrap();
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked> }");
    assert_eq!((format!("{writer:?}"), format!("{writer}")), (r#""free""#.into(), "free".into()));
}

#[test]
fn values_and_conversions() {
    let mut lock: RwLock<u8> = RwLock::default();
    *lock.get_mut() = 7;
    assert_eq!(lock.into_inner(), 7);
    assert_eq!(*RwLock::from(8).try_read().unwrap(), 8);
    let unsized_lock: &RwLock<[u8]> = &RwLock::new([1, 2]);
    assert_eq!(unsized_lock.read().now_or_never().unwrap().len(), 2);
}
