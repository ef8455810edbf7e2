use std::{sync::Arc, thread};

use sync::{RwLock, RwLockWriteGuard, TryLockError};

fn poison<T: Send + Sync + 'static>(lock: &Arc<RwLock<T>>, write: bool) {
    let lock = Arc::clone(lock);
    let result = thread::spawn(move || {
        let _write = write.then(|| lock.write().unwrap());
        let _read = (!write).then(|| lock.read().unwrap());
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
}

#[test]
fn many_read_and_one_writes() {
    let lock = RwLock::new(1);
    let reader = lock.read().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(*lock.read().unwrap(), 1);
            assert_eq!(*lock.try_read().unwrap(), 1);
            assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
        });
    });
    drop(reader);
    let mut writer = lock.write().unwrap();
    *writer += 1;
    assert!(matches!(lock.try_read(), Err(TryLockError::WouldBlock)));
    assert!(matches!(lock.try_write(), Err(TryLockError::WouldBlock)));
    drop(writer);
    assert_eq!(*lock.try_write().unwrap(), 2);
    assert_eq!(lock.into_inner().unwrap(), 2);
}

#[test]
fn is_const_and_static() {
    static COUNT: RwLock<u64> = RwLock::new(40);
    *COUNT.write().unwrap() += 2;
    assert_eq!(*COUNT.read().unwrap(), 42);
}

#[test]
fn excludes_others() {
    let lock = RwLock::new(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..500 {
                    *lock.write().unwrap() += 1;
                    assert!(*lock.read().unwrap() > 0);
                }
            });
        }
    });
    assert_eq!(lock.into_inner().unwrap(), 2000);
}

#[test]
fn downgrading_keeps_writers_out_and_lets_readers_in() {
    let lock = RwLock::new(1);
    let mut writer = lock.write().unwrap();
    *writer = 2;
    let reader = RwLockWriteGuard::downgrade(writer);
    thread::scope(|scope| {
        scope.spawn(|| {
            assert_eq!(*lock.read().unwrap(), 2);
            assert!(lock.try_write().is_err());
        });
    });
    assert_eq!(*reader, 2);
    drop(reader);
    *lock.write().unwrap() = 3;
}

#[test]
fn only_writers_poison() {
    let lock = Arc::new(RwLock::new(1));
    poison(&lock, false);
    assert!(!lock.is_poisoned());
    poison(&lock, true);
    assert!(lock.is_poisoned());
    assert_eq!(**lock.read().unwrap_err().get_ref(), 1);
    assert!(lock.write().is_err());
    assert!(matches!(lock.try_read(), Err(TryLockError::Poisoned(_))));
    assert!(matches!(lock.try_write(), Err(TryLockError::Poisoned(_))));
    lock.clear_poison();
    assert_eq!(*lock.read().unwrap(), 1);
}

#[test]
fn poison_reaches_get_mut_and_into_inner() {
    let mut lock = Arc::new(RwLock::new(1));
    poison(&lock, true);
    let lock = Arc::get_mut(&mut lock).unwrap();
    assert!(lock.get_mut().is_err());
    assert_eq!(std::mem::take(lock).into_inner().unwrap_err().into_inner(), 1);
}

#[test]
fn works_unsized() {
    let lock: &RwLock<[i32]> = &RwLock::new([1, 2, 3]);
    lock.write().unwrap()[0] = 4;
    assert_eq!(*lock.read().unwrap(), [4, 2, 3]);
}

#[test]
fn conversions_debug_and_display() {
    let mut lock = RwLock::from(3);
    *lock.get_mut().unwrap() += 1;
    assert_eq!(format!("{lock:?}"), "RwLock { data: 4, poisoned: false, .. }");
    let writer = lock.write().unwrap();
    assert_eq!(format!("{lock:?}"), "RwLock { data: <locked>, poisoned: false, .. }");
    assert_eq!(format!("{writer:?} {writer}"), "4 4");
    drop(writer);
    let reader = lock.read().unwrap();
    assert_eq!(format!("{lock:?}"), "RwLock { data: 4, poisoned: false, .. }");
    assert_eq!(format!("{reader:?} {reader}"), "4 4");
    assert_eq!(RwLock::<String>::default().into_inner().unwrap(), "");
}
