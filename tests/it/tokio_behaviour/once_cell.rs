use std::sync::Arc;

use futures::{FutureExt, poll};
use sync::{OnceCell, SetError};

#[test]
fn it_is_initialized_once() {
    run(async {
        let cell = OnceCell::new();
        assert!(!cell.initialized() && cell.get().is_none());
        assert_eq!(cell.get_or_init(async || 1).await, &1);
        assert_eq!(cell.get_or_init(async || unreachable!()).await, &1);
        assert_eq!(cell.get_or_try_init(async || Err(())).await, Ok(&1));
        assert!(cell.initialized() && cell.get() == Some(&1));
    });
}

#[test]
fn others_wait_for_the_initializer() {
    run(async {
        let (cell, gate) = (OnceCell::new(), sync::Notify::new());
        let first = cell.get_or_init(async || {
            gate.notified().await;
            1
        });
        let second = cell.get_or_init(async || unreachable!());
        let (mut first, mut second) = (Box::pin(first), Box::pin(second));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        let error = cell.set(2).unwrap_err();
        assert!(error.is_initializing_err());
        gate.notify_one();
        assert_eq!(first.await, &1);
        assert_eq!(second.await, &1);
    });
}

#[test]
fn the_next_one_runs_when_the_first_is_cancelled_or_fails() {
    run(async {
        let cell = OnceCell::new();
        let mut first = Box::pin(cell.get_or_init(std::future::pending));
        let mut second = Box::pin(cell.get_or_try_init(async || Err::<u8, _>("fails")));
        let mut third = Box::pin(cell.get_or_init(async || 3));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        assert!(poll!(&mut third).is_pending());
        drop(first);
        assert_eq!(second.await, Err("fails"));
        assert_eq!(third.await, &3);
    });
}

#[test]
fn a_panic_leaves_it_empty() {
    run(async {
        let cell = OnceCell::new();
        let panics = async || panic!("as meant");
        std::panic::AssertUnwindSafe(cell.get_or_init(panics)).catch_unwind().await.unwrap_err();
        let mut panics_at_once = Box::pin(cell.get_or_init(|| -> std::future::Ready<u8> {
            panic!("as meant")
        }));
        let polled = std::panic::AssertUnwindSafe(&mut panics_at_once).catch_unwind().await;
        assert!(polled.is_err());
        // The future still exists, but has released the cell.
        assert_eq!(cell.get_or_init(async || 1).await, &1);
    });
}

#[test]
fn it_is_set() {
    let cell = OnceCell::new();
    assert_eq!(cell.set(1), Ok(()));
    let error: tokio::sync::SetError<_> = cell.set(2).unwrap_err();
    assert_eq!(error, SetError::AlreadyInitializedError(2));
    assert_eq!(cell.get_or_init(async || 3).now_or_never(), Some(&1));
}

#[test]
fn a_waiter_gets_what_was_set() {
    run(async {
        let cell = Arc::new(OnceCell::new());
        let mut first = Box::pin(cell.get_or_init(std::future::pending));
        let mut second = Box::pin(cell.get_or_init(async || 2));
        assert!(poll!(&mut first).is_pending() && poll!(&mut second).is_pending());
        drop(first);
        // The second one is next, unless a third one is faster.
        assert_eq!(cell.set(1), Err(SetError::InitializingError(1)));
        assert_eq!(second.await, &2);
    });
}

#[test]
fn values_come_and_go() {
    static EMPTY: OnceCell<u8> = OnceCell::const_new();
    static FULL: OnceCell<u8> = OnceCell::const_new_with(1);
    assert_eq!((EMPTY.get(), FULL.get()), (None, Some(&1)));
    assert_eq!(FULL.set(2), Err(SetError::AlreadyInitializedError(2)));
    run(async { assert_eq!(FULL.get_or_init(async || 2).await, &1) });

    let mut cell = OnceCell::new_with(Some(1));
    *cell.get_mut().unwrap() += 1;
    assert_eq!(cell.take(), Some(2));
    assert!(cell.get().is_none() && cell.get_mut().is_none() && cell.take().is_none());
    assert_eq!(cell.set(3), Ok(()));
    assert_eq!(cell.into_inner(), Some(3));
    assert_eq!(OnceCell::<u8>::new_with(None).into_inner(), None);
}

#[test]
fn values_are_dropped() {
    let value = Arc::new(());
    drop(OnceCell::from(value.clone()));
    let cell = OnceCell::new();
    cell.set(value.clone()).unwrap();
    assert_eq!(Arc::strong_count(&value), 2);
    drop(cell);
    assert_eq!(Arc::strong_count(&value), 1);
}

#[test]
fn prints_and_compares() {
    let (empty, full) = (OnceCell::default(), OnceCell::from(1));
    assert_eq!(format!("{empty:?} {full:?}"), "OnceCell { value: None } OnceCell { value: Some(1) }");
    assert!(empty != full && full.clone() == full && empty.clone() == empty);
}
