//! Which acquisitions of one task make an edge of the order: those that are in sequence, but never
//! two in branches that run concurrently. Each scenario runs twice, as the path of an acquisition
//! is recorded from the second time on.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

use std::{
    future::{Future, pending},
    pin::Pin,
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};
use lockdep::{
    FindingKind, Level,
    tokio::{
        join, select,
        sync::{Mutex, MutexGuard, oneshot},
        task::LocalSet,
        time::{sleep, timeout},
    },
};

use crate::alone;

const LONG: Duration = Duration::from_mins(1);

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

fn two_locks() -> (Mutex<()>, Mutex<()>) {
    (Mutex::new(()), Mutex::new(()))
}

async fn hold(lock: &Mutex<()>) {
    let _guard = lock.lock().await;
    sleep(ms(5)).await;
}

async fn acquire_late(lock: &Mutex<()>) -> MutexGuard<'_, ()> {
    sleep(ms(1)).await;
    lock.lock().await
}

async fn release_late(guard: MutexGuard<'_, ()>) {
    sleep(ms(1)).await;
    drop(guard);
}

/// Acquires one lock after the other, not nested.
async fn one_by_one(first: &Mutex<()>, second: &Mutex<()>) {
    drop(async { (first.lock().await, sleep(ms(4)).await) }.await);
    hold(second).await;
}

/// Returns `true` if the locks of a scenario have an edge. They have at most one.
fn has_edge() -> bool {
    let graph = lockdep::order_graph();
    assert!(graph.as_petgraph().edge_count() <= 1, "{}", graph.to_dot());
    graph.as_petgraph().edge_count() == 1
}

/// Runs a scenario twice.
fn runs<F: Future<Output = bool>>(scenario: impl Fn() -> F) -> [bool; 2] {
    let _alone = alone();
    lockdep::set_level(FindingKind::HeldAcrossAwait, Level::Allow);
    [(); 2].map(|()| {
        lockdep::reset();
        // The clock stands still while a future runs, so that a busy machine changes no order.
        let mut builder = lockdep::tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().start_paused(true).build().unwrap();
        let found = LocalSet::new().block_on(&runtime, async { timeout(LONG, scenario()).await });
        found.expect("it ends")
    })
}

const PROVED: [bool; 2] = [true, true];
const NONE: [bool; 2] = [false, false];
/// Proved by paths, which need an unoptimized build here: other builds have no debug information.
const PROVED_BY_PATHS: [bool; 2] = [cfg!(debug_assertions); 2];

#[test]
fn an_await_after_another() {
    let at_once = runs(|| async {
        let (a, b) = two_locks();
        let _a = a.lock().await;
        let _b = b.lock().await;
        has_edge()
    });
    assert_eq!(at_once, PROVED);
    let after_a_rest = runs(|| async {
        let (a, b) = two_locks();
        let _a = a.lock().await;
        sleep(ms(2)).await;
        let _b = b.lock().await;
        has_edge()
    });
    assert_eq!(after_a_rest, PROVED);
    let through_functions = runs(|| async {
        let (a, b) = two_locks();
        let _a = acquire_late(&a).await;
        hold(&b).await;
        has_edge()
    });
    assert_eq!(through_functions, PROVED);
    let through_a_box = runs(|| async {
        let (a, b) = two_locks();
        let _a = a.lock().await;
        let future: Pin<Box<dyn Future<Output = ()> + '_>> = Box::pin(hold(&b));
        timeout(LONG, future).await.unwrap();
        has_edge()
    });
    assert_eq!(through_a_box, PROVED);
}

#[test]
fn under_a_time_out() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let both = async {
            let _a = a.lock().await;
            sleep(ms(2)).await;
            let _b = b.lock().await;
        };
        timeout(LONG, both).await.unwrap();
        has_edge()
    });
    assert_eq!(found, PROVED);
}

/// The other branch can always wake the task.
#[test]
fn beside_a_listener() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let (_sender, stop) = oneshot::channel::<()>();
        let work = async {
            let _a = a.lock().await;
            sleep(ms(2)).await;
            let _b = b.lock().await;
        };
        select! { biased; _ = stop => {}, () = work => {} }
        has_edge()
    });
    assert_eq!(found, PROVED_BY_PATHS);
}

/// The future that holds a lock is not polled any more.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "what is proved depends on the inlined functions")]
fn held_by_a_future_that_is_left_behind() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let mut left = Box::pin(async {
            let _a = a.lock().await;
            pending::<()>().await;
        });
        select! { biased; () = &mut left => {}, () = sleep(ms(2)) => hold(&b).await }
        has_edge()
    });
    assert_eq!(found, PROVED_BY_PATHS);
}

/// Not proved, though true: a branch may run beside other futures.
#[test]
#[cfg_attr(not(debug_assertions), ignore = "what is proved depends on the inlined functions")]
fn guards_that_are_joined() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let _guards = join!(a.lock(), b.lock());
        has_edge()
    });
    assert_eq!(found, NONE);
}

/// Not proved, though true: a guard may be moved into a branch.
#[test]
fn held_over_a_join() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let _a = a.lock().await;
        join!(sleep(ms(1)), async {
            sleep(ms(2)).await;
            hold(&b).await;
        });
        has_edge()
    });
    assert_eq!(found, NONE);
}

/// Not proved, though true: the child's waker is not the task's.
#[test]
fn in_a_child_of_a_stream() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let mut children = FuturesUnordered::new();
        children.push(async {
            let _a = a.lock().await;
            let _b = b.lock().await;
        });
        while children.next().await.is_some() {}
        has_edge()
    });
    assert_eq!(found, NONE);
}

#[test]
fn branches_are_no_order() {
    let at_once = runs(|| async {
        let (a, b) = two_locks();
        join!(hold(&a), hold(&b));
        has_edge()
    });
    assert_eq!(at_once, NONE);
    let later = runs(|| async {
        let (a, b) = two_locks();
        join!(hold(&a), async {
            sleep(ms(1)).await;
            hold(&b).await;
        });
        has_edge()
    });
    assert_eq!(later, NONE);
    let in_a_collection = runs(|| async {
        let locks = [Mutex::new(()), Mutex::new(())];
        futures::future::join_all(locks.iter().map(hold)).await;
        has_edge()
    });
    assert_eq!(in_a_collection, NONE);
}

#[test]
fn two_futures_of_one_function_are_no_order() {
    let joined = runs(|| async {
        let locks: Vec<_> = (0..4).map(|_| Mutex::new(())).collect();
        let both = locks.chunks(2).zip([0, 1]).map(|(pair, delay)| async move {
            sleep(ms(delay)).await;
            one_by_one(&pair[0], &pair[1]).await;
        });
        futures::future::join_all(both).await;
        has_edge()
    });
    assert_eq!(joined, NONE);
    let selected_by_reference = runs(|| async {
        let locks: Vec<_> = (0..4).map(|_| Mutex::new(())).collect();
        let mut both: Vec<_> =
            locks.chunks(2).map(|pair| Box::pin(one_by_one(&pair[0], &pair[1]))).collect();
        let mut are_done = [false; 2];
        for at in [0, 1].into_iter().cycle().take(40) {
            if !are_done[at] {
                select! { biased; () = &mut both[at] => are_done[at] = true, () = sleep(ms(1)) => {} }
            }
        }
        has_edge()
    });
    assert_eq!(selected_by_reference, NONE);
}

#[test]
fn a_guard_that_is_moved_into_a_branch() {
    let found = runs(|| async {
        let (a, b) = two_locks();
        let guard = a.lock().await;
        join!(biased; release_late(guard), async {
            sleep(ms(2)).await;
            hold(&b).await;
        });
        let guard = a.lock().await;
        join!(biased; release_late(guard), hold(&b));
        has_edge()
    });
    assert_eq!(found, NONE);
}

/// A std guard that one branch holds across an await.
#[test]
fn a_guard_of_std_in_a_branch() {
    let found = runs(|| async {
        let (a, b) = (lockdep::sync::Mutex::new(()), Mutex::new(()));
        let holds = async {
            let _a = a.lock().unwrap();
            sleep(ms(4)).await;
        };
        let waits = async {
            sleep(ms(1)).await;
            hold(&b).await;
        };
        join!(biased; holds, waits);
        has_edge()
    });
    assert_eq!(found, NONE);
}
