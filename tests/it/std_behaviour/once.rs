use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

use sync::{Once, OnceLock};

#[test]
fn once_runs_once() {
    static ONCE: Once = Once::new();
    static RUNS: AtomicU32 = AtomicU32::new(0);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                ONCE.call_once(|| {
                    RUNS.fetch_add(1, Relaxed);
                });
                assert_eq!(RUNS.load(Relaxed), 1);
                assert!(ONCE.is_completed());
            });
        }
        scope.spawn(|| {
            ONCE.wait();
            assert!(ONCE.is_completed());
        });
    });
    assert_eq!(format!("{ONCE:?}"), "Once { .. }");
}

#[test]
fn a_panic_poisons_once_and_force_helps() {
    let once = Once::new();
    let result = catch_unwind(AssertUnwindSafe(|| once.call_once(|| panic!("on purpose"))));
    assert!(result.is_err());
    assert!(!once.is_completed());
    assert!(catch_unwind(AssertUnwindSafe(|| once.call_once(|| {}))).is_err());
    assert!(catch_unwind(AssertUnwindSafe(|| once.wait())).is_err());
    once.call_once_force(|state| assert!(state.is_poisoned()));
    assert!(once.is_completed());
    once.call_once(|| unreachable!("it has run"));
    once.wait();
    once.wait_force();
}

#[test]
fn call_once_force_is_not_poisoned_at_first() {
    let once = Once::new();
    once.call_once_force(|state| assert!(!state.is_poisoned()));
    once.call_once_force(|_| unreachable!("it has run"));
}

#[test]
#[allow(deprecated, reason = "std still has it")]
fn once_init() {
    static ONCE: Once = sync::ONCE_INIT;
    ONCE.call_once(|| {});
    assert!(ONCE.is_completed());
}

#[test]
fn once_lock_is_set_once() {
    let cell = OnceLock::new();
    assert_eq!(cell.get(), None);
    assert_eq!(cell.set(1), Ok(()));
    assert_eq!(cell.set(2), Err(2));
    assert_eq!(*cell.get_or_init(|| 3), 1);
    assert_eq!(*cell.wait(), 1);
    assert_eq!(cell.into_inner(), Some(1));
}

#[test]
fn once_lock_initializes_once() {
    static CELL: OnceLock<u32> = OnceLock::new();
    static RUNS: AtomicU32 = AtomicU32::new(0);
    thread::scope(|scope| {
        scope.spawn(|| assert_eq!(*CELL.wait(), 1));
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(*CELL.get_or_init(|| RUNS.fetch_add(1, Relaxed) + 1), 1));
        }
    });
}

#[test]
fn once_lock_outlives_a_panic() {
    let cell = OnceLock::new();
    let panics = || -> u8 { panic!("on purpose") };
    assert!(catch_unwind(AssertUnwindSafe(|| *cell.get_or_init(panics))).is_err());
    assert_eq!(cell.get(), None);
    assert_eq!(*cell.get_or_init(|| 1), 1);
}

#[test]
fn once_lock_by_exclusive_reference() {
    let mut cell = OnceLock::from(1);
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.take(), Some(2));
    assert_eq!(cell.get_mut(), None);
    assert_eq!(cell.take(), None);
    assert_eq!(cell.set(3), Ok(()));
    assert_eq!(cell.into_inner(), Some(3));
}

#[test]
fn once_lock_compares_clones_and_prints() {
    let (full, empty) = (OnceLock::from(1), OnceLock::new());
    assert_eq!(full.clone(), full);
    assert_eq!(empty.clone(), OnceLock::default());
    assert_ne!(full, empty);
    assert_eq!(format!("{full:?} {empty:?}"), "OnceLock(1) OnceLock(<uninit>)");
}

#[test]
fn once_lock_drops_its_value() {
    let value = Arc::new(());
    let cell = OnceLock::new();
    cell.set(Arc::clone(&value)).unwrap();
    drop(cell);
    assert_eq!(Arc::strong_count(&value), 1);
}
