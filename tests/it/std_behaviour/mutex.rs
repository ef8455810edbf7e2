use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread,
};

use sync::{Mutex, TryLockError};

/// Panics while the lock is held.
fn poison<T: Send + 'static>(mutex: &Arc<Mutex<T>>) {
    let mutex = Arc::clone(mutex);
    let result = thread::spawn(move || {
        let _guard = mutex.lock().unwrap();
        panic!("on purpose");
    })
    .join();
    assert!(result.is_err());
}

#[test]
fn guards_the_value() {
    let mutex = Mutex::new(1);
    *mutex.lock().unwrap() += 1;
    assert_eq!(*mutex.try_lock().unwrap(), 2);
    assert_eq!(mutex.into_inner().unwrap(), 2);
}

#[test]
fn is_const_and_static() {
    static COUNT: Mutex<u64> = Mutex::new(40);
    const { assert!(size_of::<Mutex<u64>>() <= 32) };
    *COUNT.lock().unwrap() += 2;
    assert_eq!(*COUNT.lock().unwrap(), 42);
}

#[test]
fn excludes_others() {
    const THREADS: usize = 4;
    const ROUNDS: usize = 1000;
    let mutex = Mutex::new(0);
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                for _ in 0..ROUNDS {
                    *mutex.lock().unwrap() += 1;
                }
            });
        }
    });
    assert_eq!(mutex.into_inner().unwrap(), THREADS * ROUNDS);
}

#[test]
fn try_lock_fails_while_it_is_held() {
    let mutex = Mutex::new(());
    let guard = mutex.lock().unwrap();
    assert!(matches!(mutex.try_lock(), Err(TryLockError::WouldBlock)));
    drop(guard);
    assert!(mutex.try_lock().is_ok());
}

#[test]
fn a_panic_poisons() {
    let mutex = Arc::new(Mutex::new(1));
    assert!(!mutex.is_poisoned());
    poison(&mutex);
    assert!(mutex.is_poisoned());
    assert_eq!(**mutex.lock().unwrap_err().get_ref(), 1);
    assert!(matches!(mutex.try_lock(), Err(TryLockError::Poisoned(_))));
    *mutex.lock().unwrap_or_else(sync::PoisonError::into_inner) = 2;
    assert!(mutex.is_poisoned());
    mutex.clear_poison();
    assert!(!mutex.is_poisoned());
    assert_eq!(*mutex.lock().unwrap(), 2);
}

#[test]
fn poison_reaches_get_mut_and_into_inner() {
    let mut mutex = Arc::new(Mutex::new(1));
    poison(&mutex);
    let mutex = Arc::get_mut(&mut mutex).unwrap();
    assert_eq!(**mutex.get_mut().unwrap_err().get_ref(), 1);
    let mutex = std::mem::take(mutex);
    assert_eq!(mutex.into_inner().unwrap_err().into_inner(), 1);
}

#[test]
fn a_guard_taken_while_panicking_does_not_poison() {
    struct LocksInDrop<'a>(&'a Mutex<u8>);
    impl Drop for LocksInDrop<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let mutex = Mutex::new(0);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _drops = LocksInDrop(&mutex);
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(*mutex.lock().unwrap(), 1);
}

#[test]
fn works_unsized() {
    let mutex: &Mutex<[i32]> = &Mutex::new([1, 2, 3]);
    mutex.lock().unwrap()[0] = 4;
    assert_eq!(*mutex.lock().unwrap(), [4, 2, 3]);
    let object: Box<Mutex<dyn Fn() -> u8 + Send>> = Box::new(Mutex::new(|| 7));
    assert_eq!((object.lock().unwrap())(), 7);
}

#[test]
fn conversions() {
    let mut mutex = Mutex::from(3);
    *mutex.get_mut().unwrap() += 1;
    assert_eq!(mutex.into_inner().unwrap(), 4);
    assert_eq!(Mutex::<String>::default().into_inner().unwrap(), "");
}

#[test]
fn debug_and_display() {
    let mutex = Arc::new(Mutex::new(5));
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 5, poisoned: false, .. }");
    let guard = mutex.lock().unwrap();
    // Whether the placeholder is quoted depends on the version of std.
    let locked = format!("{mutex:?}").replace('"', "");
    assert_eq!(locked, "Mutex { data: <locked>, poisoned: false, .. }");
    assert_eq!(format!("{guard:?} {guard}"), "5 5");
    drop(guard);
    poison(&mutex);
    assert_eq!(format!("{mutex:?}"), "Mutex { data: 5, poisoned: true, .. }");
}

#[test]
fn drops_its_value_once() {
    let value = Arc::new(());
    let mutex = Mutex::new(Arc::clone(&value));
    assert_eq!(Arc::strong_count(&value), 2);
    drop(mutex);
    assert_eq!(Arc::strong_count(&value), 1);
    drop(Mutex::new(Arc::clone(&value)).into_inner());
    assert_eq!(Arc::strong_count(&value), 1);
}
