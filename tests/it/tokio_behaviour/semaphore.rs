use std::sync::Arc;

use futures::poll;
use sync::{AcquireError, Semaphore, TryAcquireError};

#[test]
fn permits_are_given_and_come_back() {
    run(async {
        let semaphore = Semaphore::new(3);
        let one = semaphore.acquire().await.unwrap();
        let two = semaphore.try_acquire_many(2).unwrap();
        assert_eq!((one.num_permits(), two.num_permits()), (1, 2));
        assert!(std::ptr::eq(one.semaphore(), &raw const semaphore));
        assert_eq!(semaphore.available_permits(), 0);
        let error = semaphore.try_acquire().unwrap_err();
        let error: tokio::sync::TryAcquireError = error;
        assert_eq!(error, TryAcquireError::NoPermits);
        drop(two);
        assert_eq!(semaphore.available_permits(), 2);
        drop(one);
        drop(semaphore.acquire_many(3).await.unwrap());
        assert_eq!(semaphore.available_permits(), 3);
    });
}

#[test]
fn a_future_that_is_dropped_gives_back_what_it_was_given() {
    run(async {
        let semaphore = Semaphore::new(2);
        let one = semaphore.try_acquire().unwrap();
        let mut all = Box::pin(semaphore.acquire_many(2));
        assert!(poll!(&mut all).is_pending());
        assert_eq!(semaphore.available_permits(), 0);
        drop(all);
        assert_eq!(semaphore.available_permits(), 1);
        drop(one);
    });
}

#[test]
fn permits_are_merged_and_split() {
    let semaphore = Semaphore::new(5);
    let mut permits = semaphore.try_acquire_many(2).unwrap();
    permits.merge(semaphore.try_acquire_many(3).unwrap());
    assert_eq!(permits.num_permits(), 5);
    assert!(permits.split(6).is_none());
    let mut none = permits.split(0).unwrap();
    let mut some = permits.split(2).unwrap();
    let rest = permits.split(3).unwrap();
    assert_eq!((none.num_permits(), permits.num_permits()), (0, 0));
    drop(permits);
    assert_eq!(semaphore.available_permits(), 0);
    none.merge(some.split(1).unwrap());
    drop(some);
    assert_eq!(semaphore.available_permits(), 1);
    drop(none);
    assert_eq!(semaphore.available_permits(), 2);
    drop(rest);
    assert_eq!(semaphore.available_permits(), 5);
}

#[test]
fn owned_permits_are_merged_and_split() {
    let semaphore = Arc::new(Semaphore::new(5));
    let mut permits = semaphore.clone().try_acquire_many_owned(2).unwrap();
    permits.merge(semaphore.clone().try_acquire_owned().unwrap());
    assert!(Arc::ptr_eq(permits.semaphore(), &semaphore));
    let split = permits.split(1).unwrap();
    assert_eq!((permits.num_permits(), split.num_permits()), (2, 1));
    assert_eq!(Arc::strong_count(&semaphore), 3);
    std::thread::spawn(|| drop(permits)).join().unwrap();
    assert_eq!(semaphore.available_permits(), 4);
    split.forget();
    assert_eq!(semaphore.available_permits(), 4);
    assert_eq!(Arc::strong_count(&semaphore), 1);
}

#[test]
#[should_panic(expected = "merging permits from different semaphore instances")]
fn permits_of_others_are_not_merged() {
    let (one, other) = (Semaphore::new(1), Semaphore::new(1));
    one.try_acquire().unwrap().merge(other.try_acquire().unwrap());
}

#[test]
fn permits_are_forgotten_and_added() {
    run(async {
        let semaphore = Semaphore::new(3);
        semaphore.acquire().await.unwrap().forget();
        assert_eq!(semaphore.available_permits(), 2);
        semaphore.add_permits(2);
        assert_eq!((semaphore.forget_permits(3), semaphore.available_permits()), (3, 1));
        assert_eq!((semaphore.forget_permits(3), semaphore.forget_permits(3)), (1, 0));
        let mut waits = Box::pin(semaphore.acquire());
        assert!(poll!(&mut waits).is_pending());
        semaphore.add_permits(1);
        assert!(poll!(&mut waits).is_ready());
    });
}

#[test]
fn it_closes() {
    run(async {
        let semaphore = Arc::new(Semaphore::new(1));
        let permit = semaphore.acquire().await.unwrap();
        let mut waits = Box::pin(semaphore.acquire());
        let mut owned = Box::pin(semaphore.clone().acquire_owned());
        assert!(poll!(&mut waits).is_pending() && poll!(&mut owned).is_pending());
        assert!(!semaphore.is_closed());
        semaphore.close();
        assert!(semaphore.is_closed());
        let error: tokio::sync::AcquireError = waits.await.unwrap_err();
        assert_eq!(error.to_string(), "semaphore closed");
        assert!(owned.await.is_err());
        drop(permit);
        assert_eq!(semaphore.try_acquire().unwrap_err(), TryAcquireError::Closed);
        let again: Result<_, AcquireError> = semaphore.acquire().await;
        assert!(again.is_err());
    });
}

#[test]
fn owned_permits_keep_it_alive() {
    run(async {
        let semaphore = Arc::new(Semaphore::new(2));
        let one = semaphore.clone().acquire_owned().await.unwrap();
        let other = semaphore.clone().acquire_many_owned(1).await.unwrap();
        assert!(semaphore.clone().try_acquire_owned().is_err());
        drop(semaphore);
        drop((one, other));
    });
}

#[test]
fn nothing_is_acquired_of_none() {
    run(async {
        let semaphore = Semaphore::const_new(0);
        let mut none = semaphore.acquire_many(0).await.unwrap();
        none.merge(semaphore.try_acquire_many(0).unwrap());
        assert_eq!(none.num_permits(), 0);
        assert!(semaphore.try_acquire().is_err());
        none.forget();
    });
}

#[test]
#[should_panic(expected = "a semaphore may not have more than MAX_PERMITS permits")]
fn there_can_be_too_many() {
    let _ = Semaphore::new(Semaphore::MAX_PERMITS + 1);
}

#[test]
fn prints() {
    let semaphore = Arc::new(Semaphore::new(2));
    let permit = semaphore.try_acquire().unwrap();
    assert_eq!(format!("{semaphore:?}"), "Semaphore { ll_sem: Semaphore { permits: 1 } }");
    assert_eq!(
        format!("{permit:?}"),
        "SemaphorePermit { sem: Semaphore { ll_sem: Semaphore { permits: 1 } }, permits: 1 }"
    );
    assert_eq!(
        format!("{:?}", semaphore.clone().try_acquire_owned().unwrap()),
        "OwnedSemaphorePermit { sem: Semaphore { ll_sem: Semaphore { permits: 0 } }, permits: 1 }"
    );
}
