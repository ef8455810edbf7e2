use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

use sync::LazyLock;

#[test]
fn runs_once_when_first_used() {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    static TEXT: LazyLock<String> = LazyLock::new(|| {
        RUNS.fetch_add(1, Relaxed);
        "lazy".to_owned()
    });
    assert_eq!(RUNS.load(Relaxed), 0);
    assert_eq!(LazyLock::get(&TEXT), None);
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| assert_eq!(TEXT.len(), 4));
        }
    });
    assert_eq!(RUNS.load(Relaxed), 1);
    assert_eq!(LazyLock::get(&TEXT).unwrap(), "lazy");
    assert_eq!(LazyLock::force(&TEXT), "lazy");
}

#[test]
fn takes_any_initializer() {
    let captured = String::from("captured");
    let lazy = LazyLock::new(move || captured + "!");
    assert_eq!(*lazy, "captured!");
}

#[test]
fn by_exclusive_reference() {
    let mut lazy = LazyLock::new(|| 1);
    assert_eq!(LazyLock::get_mut(&mut lazy), None);
    *LazyLock::force_mut(&mut lazy) += 1;
    *lazy += 1;
    assert_eq!(LazyLock::get_mut(&mut lazy), Some(&mut 3));
}

#[test]
fn a_panic_poisons() {
    let lazy: LazyLock<u8> = LazyLock::new(|| panic!("on purpose"));
    assert!(catch_unwind(AssertUnwindSafe(|| *lazy)).is_err());
    let again = catch_unwind(AssertUnwindSafe(|| *lazy)).unwrap_err();
    assert_eq!(
        again.downcast_ref::<&str>(),
        Some(&"LazyLock instance has previously been poisoned")
    );
    assert_eq!(LazyLock::get(&lazy), None);
}

#[test]
fn default_and_debug() {
    let lazy: LazyLock<u8> = LazyLock::default();
    assert_eq!(format!("{lazy:?}"), "LazyLock(<uninit>)");
    assert_eq!(*lazy, 0);
    assert_eq!(format!("{lazy:?}"), "LazyLock(0)");
}

#[test]
fn drops_what_it_has() {
    let value = Arc::new(());
    let unused = LazyLock::new({
        let value = Arc::clone(&value);
        move || value
    });
    assert_eq!(Arc::strong_count(&value), 2);
    drop(unused);
    assert_eq!(Arc::strong_count(&value), 1);
}
