//! `OnceCell`: it is held while its initializer runs.

use std::{sync::Arc, time::Duration};

use lockdep::{
    FindingKind,
    tokio::{
        self,
        sync::{Mutex, OnceCell},
    },
};

use super::{elsewhere, found, kinds, task};

#[test]
fn an_initializer_is_held() {
    let found = found(|| async {
        let (cell, lock) = (Arc::new(OnceCell::new()), Arc::new(Mutex::new(1)));
        let (c, l) = (cell.clone(), lock.clone());
        assert!(
            task(async move {
                cell.get_or_try_init(async || {
                    elsewhere().await;
                    let _ = lock.lock().await;
                    Err::<(), _>(())
                })
                .await
                .unwrap_err();
            })
            .await
        );
        assert!(
            !task(async move {
                let _guard = l.lock().await;
                elsewhere().await;
                c.get_or_init(async || ()).await;
            })
            .await
        );
    });
    assert_eq!(kinds(&found), [FindingKind::Inversion]);
}

#[test]
fn an_initializer_that_waits_for_its_own_cell() {
    let found = found(|| async {
        let cell = Arc::new(OnceCell::<u8>::new());
        let again = cell.clone();
        assert!(
            !task(async move {
                let inner = async || *again.get_or_init(async || 1).await;
                again.get_or_init(inner).await;
            })
            .await
        );
        // The next one runs.
        assert_eq!(cell.get_or_init(async || 2).await, &2);
    });
    assert_eq!(kinds(&found), [FindingKind::SelfDeadlock]);
}

#[test]
fn initializers_that_are_no_problem() {
    let found = found(|| async {
        let (cell, lock) = (Arc::new(OnceCell::new()), Arc::new(Mutex::new(1)));
        // Cancelled: it does not run any more when the lock is acquired.
        let cancelled = cell.get_or_init(std::future::pending);
        let timeout = tokio::time::timeout(Duration::from_millis(1), cancelled);
        timeout.await.unwrap_err();
        drop(lock.lock().await);
        // Initialized under the lock, and read afterwards.
        let (c, l) = (cell.clone(), lock.clone());
        assert!(
            task(async move {
                let _guard = l.lock().await;
                assert_eq!(c.get_or_init(async || 1).await, &1);
            })
            .await
        );
        assert!(
            task(async move {
                let value = cell.get_or_init(async || unreachable!()).await;
                assert_eq!(*lock.lock().await, *value);
            })
            .await
        );
    });
    assert_eq!(kinds(&found), []);
}
