//! Correct tasks under constant contention. `LOCKDEP_SOAK_SECONDS` sets the duration.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use lockdep::{
    Finding,
    tokio::{
        runtime::Builder,
        spawn,
        sync::{Mutex, RwLock},
        task::yield_now,
    },
};

use crate::alone;

fn time() -> Duration {
    let seconds = std::env::var("LOCKDEP_SOAK_SECONDS").ok().and_then(|it| it.parse().ok());
    Duration::from_secs(seconds.unwrap_or(3))
}

/// Runs rounds of tasks until the time is over, and asserts that nothing is found.
#[track_caller]
fn rounds<F>(task: impl Fn(usize) -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = alone();
    let runtime = Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    let (end, mut rounds) = (Instant::now() + time(), 0);
    while Instant::now() < end {
        rounds += 1;
        lockdep::reset();
        runtime.block_on(async {
            let tasks: Vec<_> = (0..24).map(|at| spawn(task(at))).collect();
            for task in tasks {
                let _ = task.await;
            }
        });
        let kinds: Vec<_> = lockdep::take_findings().iter().map(Finding::kind).collect();
        assert!(kinds.is_empty(), "round {rounds}: {kinds:?}");
    }
}

/// Some tasks nest two locks; others acquire both, one after the other.
#[test]
fn tasks_that_nest_two_locks_and_tasks_that_do_not() {
    let (outer, inner) = (Arc::new(Mutex::new(0)), Arc::new(Mutex::new(0)));
    rounds(|at| {
        let (outer, inner) = (outer.clone(), inner.clone());
        async move {
            for _ in 0..100 {
                if at % 2 == 0 {
                    let mut outer = outer.lock().await;
                    *outer += 1;
                    *inner.lock().await += 1;
                } else {
                    *inner.lock().await += 1;
                    *outer.lock().await += 1;
                }
            }
        }
    });
}

#[test]
fn readers_and_writers_of_one_lock() {
    let lock = Arc::new(RwLock::new(0));
    rounds(|at| {
        let lock = lock.clone();
        async move {
            for round in 0..100 {
                if (at + round) % 3 == 0 {
                    let mut value = lock.write().await;
                    yield_now().await;
                    *value += 1;
                } else {
                    let _value = lock.read().await;
                    yield_now().await;
                }
            }
        }
    });
}

/// Each task holds one lock at a time.
#[test]
fn writers_that_do_not_pause() {
    let locks: Arc<[RwLock<u32>; 2]> = Arc::default();
    rounds(|at| {
        let locks = locks.clone();
        async move {
            for round in 0..200 {
                let lock = &locks[(at + round) % 2];
                if round % 3 == 0 {
                    drop(lock.read().await);
                } else {
                    *lock.write().await += 1;
                }
            }
        }
    });
}
