#[test]
fn recursive_readers() {
    let lock = Arc::new(RwLock::new(1));
    let (a, b) = (lock.read(), lock.read_recursive());
    assert!(lock.try_read_recursive().is_some());
    assert!(lock.try_read_recursive_for(SHORT).is_some());
    assert_eq!(*a + *b + *lock.read_arc_recursive(), 3);
    drop((a, b));
    let _writer = lock.write();
    assert!(lock.try_read_recursive().is_none());
    assert!(lock.try_read_recursive_until(Instant::now() + SHORT).is_none());
}
