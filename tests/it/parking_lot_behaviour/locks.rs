use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use subject::{
    Condvar, FairMutex, Mutex, MutexGuard, Once, OnceState, ReentrantMutex, ReentrantMutexGuard,
    RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard,
    lock_api::{self, RawMutex as _},
};

const SHORT: Duration = Duration::from_millis(1);

#[test]
fn mutex() {
    static COUNT: Mutex<u32> = subject::const_mutex(1);
    *COUNT.lock() += 1;
    assert_eq!(*COUNT.lock(), 2);
    let guard = COUNT.lock();
    assert!(COUNT.is_locked() && COUNT.try_lock().is_none());
    assert!(COUNT.try_lock_for(SHORT).is_none());
    assert!(COUNT.try_lock_until(Instant::now() + SHORT).is_none());
    MutexGuard::unlock_fair(guard);
    assert!(!COUNT.is_locked());

    let mut mutex = Mutex::new((1, 2));
    {
        let mut second = MutexGuard::map(mutex.lock(), |pair| &mut pair.1);
        *second += 1;
        assert!(mutex.try_lock().is_none());
    }
    let mut guard = mutex.lock();
    MutexGuard::bump(&mut guard);
    MutexGuard::unlocked(&mut guard, || assert!(mutex.try_lock().is_some()));
    assert!(mutex.try_lock().is_none());
    drop(guard);
    mutex.get_mut().0 = 5;
    assert_eq!(format!("{mutex:?}"), "Mutex { data: (5, 3) }");
    assert_eq!(mutex.into_inner(), (5, 3));
    assert_eq!(Mutex::from(1).into_inner() + Mutex::<i32>::default().into_inner(), 1);
}

/// Existing code relies on these being one type.
#[test]
fn is_lock_apis_mutex() {
    let mutex: lock_api::Mutex<subject::RawMutex, u8> = Mutex::new(1);
    let guard: lock_api::MutexGuard<'_, subject::RawMutex, u8> = mutex.lock();
    assert_eq!(*guard, 1);
    let raw = subject::RawMutex::INIT;
    assert!(!raw.is_locked());
}

#[test]
fn a_panic_does_not_poison() {
    let mutex = Mutex::new(1);
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _guard = mutex.lock();
        panic!("on purpose");
    }));
    assert!(result.is_err());
    assert_eq!(*mutex.lock(), 1);
}

#[test]
fn arc_guards() {
    let mutex = Arc::new(Mutex::new(1));
    let mut guard = mutex.lock_arc();
    *guard += 1;
    assert!(mutex.try_lock_arc().is_none());
    drop(guard);
    let rw = Arc::new(RwLock::new(1));
    drop((rw.read_arc(), rw.try_read_arc().unwrap()));
    *rw.write_arc() = 3;
    assert_eq!(*rw.upgradable_read_arc(), 3);
}

#[test]
fn fair_mutex() {
    static FAIR: FairMutex<u32> = subject::const_fair_mutex(0);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..250).for_each(|_| *FAIR.lock() += 1));
        }
    });
    assert_eq!(*FAIR.lock(), 1000);
}

#[test]
fn reentrant_mutex() {
    static LOCK: ReentrantMutex<u32> = subject::const_reentrant_mutex(7);
    let outer = LOCK.lock();
    let inner = LOCK.lock();
    assert!(LOCK.is_owned_by_current_thread());
    thread::scope(|scope| {
        scope.spawn(|| assert!(LOCK.try_lock().is_none() && LOCK.try_lock_for(SHORT).is_none()));
    });
    drop(outer);
    assert!(LOCK.is_locked());
    let mapped = ReentrantMutexGuard::map(inner, |value| value);
    assert_eq!(*mapped, 7);
    drop(mapped);
    assert!(!LOCK.is_locked());
}

#[test]
fn rwlock() {
    static LOCK: RwLock<u32> = subject::const_rwlock(1);
    let (a, b) = (LOCK.read(), LOCK.try_read().unwrap());
    assert!(LOCK.try_write().is_none() && !LOCK.is_locked_exclusive());
    assert!(LOCK.try_read().is_some());
    assert!(LOCK.try_write_for(SHORT).is_none());
    assert_eq!(*a + *b, 2);
    RwLockReadGuard::unlock_fair(a);
    drop(b);
    let mut writer = LOCK.write();
    *writer = 5;
    assert!(LOCK.is_locked_exclusive() && LOCK.try_read().is_none());
    assert!(LOCK.try_read_for(SHORT).is_none() && LOCK.try_upgradable_read().is_none());
    RwLockWriteGuard::bump(&mut writer);
    let reader = RwLockWriteGuard::downgrade(writer);
    assert!(LOCK.try_read().is_some() && LOCK.try_write().is_none());
    let mut reader = reader;
    RwLockReadGuard::bump(&mut reader);
    RwLockReadGuard::unlocked(&mut reader, || assert!(LOCK.try_write().is_some()));
    assert_eq!(*RwLockReadGuard::map(reader, |value| value), 5);
    *RwLockWriteGuard::map(LOCK.write(), |value| value) = 6;
    assert_eq!(format!("{LOCK:?}"), "RwLock { data: 6 }");
}

#[test]
fn upgradable() {
    let lock = RwLock::new(1);
    let upgradable = lock.upgradable_read();
    assert!(lock.try_read().is_some());
    assert!(lock.try_upgradable_read().is_none() && lock.try_write().is_none());
    let reader = lock.try_read().unwrap();
    let upgradable = RwLockUpgradableReadGuard::try_upgrade(upgradable).unwrap_err();
    let upgradable = RwLockUpgradableReadGuard::try_upgrade_for(upgradable, SHORT).unwrap_err();
    drop(reader);
    let mut writer = RwLockUpgradableReadGuard::upgrade(upgradable);
    *writer = 2;
    assert!(lock.try_read().is_none());
    let mut upgradable = RwLockWriteGuard::downgrade_to_upgradable(writer);
    assert!(lock.try_read().is_some() && lock.try_upgradable_read().is_none());
    upgradable.with_upgraded(|value| *value += 1);
    RwLockUpgradableReadGuard::bump(&mut upgradable);
    let reader = RwLockUpgradableReadGuard::downgrade(upgradable);
    assert!(lock.try_upgradable_read().is_some());
    drop(reader);
    RwLockUpgradableReadGuard::unlock_fair(lock.upgradable_read());
    assert_eq!(lock.into_inner(), 3);
}

#[test]
fn an_upgrade_waits_for_readers() {
    let lock = RwLock::new(0);
    let reading = std::sync::Barrier::new(2);
    thread::scope(|scope| {
        scope.spawn(|| {
            let reader = lock.read();
            reading.wait();
            assert_eq!(*reader, 0);
        });
        reading.wait();
        *RwLockUpgradableReadGuard::upgrade(lock.upgradable_read()) = 1;
    });
    assert_eq!(*lock.read(), 1);
}

#[test]
fn condvar() {
    let (flag, changed) = (Mutex::new(false), Condvar::new());
    assert!(!changed.notify_one());
    assert_eq!(changed.notify_all(), 0);
    let raised_meanwhile = |wait: &dyn Fn(&mut MutexGuard<'_, bool>)| {
        thread::scope(|scope| {
            let mut guard = flag.lock();
            scope.spawn(|| {
                *flag.lock() = true;
                changed.notify_all();
            });
            wait(&mut guard);
            assert!(*guard && flag.try_lock().is_none());
            *guard = false;
        });
    };
    let far = || Instant::now() + Duration::from_mins(1);
    raised_meanwhile(&|guard| changed.wait(guard));
    raised_meanwhile(&|guard| changed.wait_while(guard, |up| !*up));
    raised_meanwhile(&|guard| assert!(!changed.wait_until(guard, far()).timed_out()));
    raised_meanwhile(&|guard| assert!(!changed.wait_for(guard, Duration::MAX).timed_out()));
    raised_meanwhile(&|guard| {
        assert!(!changed.wait_while_until(guard, |up| !*up, far()).timed_out());
    });
    raised_meanwhile(&|guard| {
        assert!(!changed.wait_while_for(guard, |up| !*up, Duration::MAX).timed_out());
    });
    let mut guard = flag.lock();
    assert!(changed.wait_for(&mut guard, SHORT).timed_out());
    assert!(changed.wait_until(&mut guard, Instant::now() + SHORT).timed_out());
    assert!(changed.wait_while_for(&mut guard, |_| true, SHORT).timed_out());
    assert!(!changed.wait_while_for(&mut guard, |_| false, Duration::ZERO).timed_out());
    assert_eq!(format!("{:?}", Condvar::default()), "Condvar { .. }");
}

#[test]
fn once() {
    static ONCE: Once = Once::new();
    static RUNS: AtomicU32 = AtomicU32::new(0);
    assert_eq!(ONCE.state(), OnceState::New);
    assert!(catch_unwind(|| ONCE.call_once(|| panic!("on purpose"))).is_err());
    assert_eq!(ONCE.state(), OnceState::Poisoned);
    assert!(catch_unwind(|| ONCE.call_once(|| {})).is_err());
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| ONCE.call_once_force(|_| _ = RUNS.fetch_add(1, Relaxed)));
        }
    });
    ONCE.call_once(|| unreachable!("it has run"));
    assert_eq!((ONCE.state(), RUNS.load(Relaxed)), (OnceState::Done, 1));
    assert_eq!(format!("{:?}", Once::default()), "Once { state: New }");
}

/// As with parking_lot and the enabled features: guards can be sent only with `send_guard`.
#[test]
fn auto_traits() {
    fn sync<T: Sync>() {}
    fn send<T: Send>() {}
    sync::<(Mutex<u8>, RwLock<u8>, ReentrantMutex<u8>, Condvar, Once)>();
    send::<(Mutex<u8>, RwLock<u8>, ReentrantMutex<u8>, Condvar, Once)>();
    sync::<(MutexGuard<'_, u8>, RwLockReadGuard<'_, u8>, RwLockWriteGuard<'_, u8>)>();
    #[cfg(feature = "send_guard")]
    send::<(MutexGuard<'_, u8>, RwLockReadGuard<'_, u8>, RwLockWriteGuard<'_, u8>)>();
}
