use subject::{RecursiveRwLock, RecursiveRwLockUpgradableReadGuard};

#[test]
fn recursive_readers() {
    static LOCK: RecursiveRwLock<u8> = RecursiveRwLock::new(1);
    let (a, b) = (LOCK.read(), LOCK.read());
    assert!(LOCK.try_read().is_some() && LOCK.try_write().is_none());
    assert_eq!(*a + *b, 2);
    drop((a, b));
    let upgradable = LOCK.upgradable_read();
    drop(LOCK.read());
    drop(RecursiveRwLockUpgradableReadGuard::upgrade(upgradable));
    let writer = LOCK.write();
    assert!(LOCK.try_read().is_none() && LOCK.try_read_for(SHORT).is_none());
    drop(writer);
}

#[test]
fn waiting_for_once() {
    static ONCE: Once = Once::new();
    static DONE: Once = Once::new_completed();
    DONE.call_once(|| unreachable!("it has run"));
    DONE.wait();
    thread::scope(|scope| {
        scope.spawn(|| ONCE.wait());
        scope.spawn(|| ONCE.wait_force());
        scope.spawn(|| ONCE.call_once(|| {}));
    });
    assert!(ONCE.is_completed());
}
