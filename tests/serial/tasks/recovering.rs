//! Tasks that look stuck, but continue.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};
use lockdep::tokio::{
    join, select, spawn,
    sync::{Mutex, Notify, mpsc},
    task::{spawn_blocking, yield_now},
    time::{sleep, timeout},
};

use super::{Lock, happens, locks};

/// Longer than it takes to report a stuck task.
const LONG: Duration = Duration::from_millis(400);

async fn hold_for(lock: Lock, time: Duration) {
    let _guard = lock.lock().await;
    sleep(time).await;
}

#[test]
fn branches_of_a_join() {
    let found = happens(|| async {
        let [lock] = locks();
        join!(hold_for(lock.clone(), LONG), hold_for(lock.clone(), Duration::ZERO));
    });
    assert_eq!(found, [[], []]);
}

/// A timeout around the lock that an abandoned future holds.
#[test]
fn a_wait_that_is_given_up() {
    let found = happens(|| async {
        let [lock] = locks();
        let go_on = Notify::new();
        let mut left = pin!(async {
            let _guard = lock.lock().await;
            go_on.notified().await;
        });
        select! {
            biased;
            () = &mut left => panic!("nobody has notified it"),
            () = yield_now() => {}
        }
        assert!(timeout(LONG, lock.lock()).await.is_err());
        go_on.notify_one();
        left.await;
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn one_lock_twice_within_a_limit() {
    let found = happens(|| async {
        let [lock] = locks();
        let _first = lock.lock().await;
        assert!(timeout(LONG, lock.lock()).await.is_err());
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_set_of_futures_that_is_drained() {
    let found = happens(|| async {
        let [lock] = locks();
        let mut set: FuturesUnordered<_> =
            (0..3).map(|_| hold_for(lock.clone(), Duration::from_millis(150))).collect();
        while set.next().await.is_some() {}
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_guard_that_is_moved_into_another_task() {
    let found = happens(|| async {
        let [lock] = locks();
        let guard = lock.clone().lock_owned().await;
        spawn(async move {
            sleep(Duration::from_millis(150)).await;
            drop(guard);
        });
        drop(lock.lock().await);
    });
    assert_eq!(found, [[], []]);
}

#[test]
fn a_guard_that_is_sent_to_another_task() {
    let found = happens(|| async {
        let [lock] = locks();
        let (sender, mut receiver) = mpsc::channel(1);
        spawn(async move {
            let guard = receiver.recv().await;
            sleep(Duration::from_millis(150)).await;
            drop(guard);
        });
        sender.send(lock.clone().lock_owned().await).await.unwrap();
        drop(lock.lock().await);
    });
    assert_eq!(found, [[], []]);
}

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Returns a future that holds the lock, or waits for it, and was polled once.
async fn begun(lock: &Lock) -> Boxed {
    let mut future: Boxed = Box::pin(hold_for(lock.clone(), Duration::from_millis(100)));
    select! {
        biased;
        () = &mut future => panic!("it takes longer"),
        () = yield_now() => {}
    }
    future
}

#[test]
fn a_future_that_is_given_a_task_of_its_own() {
    let found = happens(|| async {
        let [lock] = locks();
        let holds = spawn(begun(&lock).await);
        let queues = begun(&lock).await;
        let queues = spawn(queues);
        drop(lock.lock().await);
        holds.await.unwrap();
        queues.await.unwrap();
    });
    assert_eq!(found, [[], []]);
}

/// A task receives a waiting future, and polls it long after it was granted the lock.
#[test]
fn a_future_that_is_polled_late() {
    let found = happens(|| async {
        let [lock] = locks();
        let (sender, mut receiver) = mpsc::channel::<Boxed>(1);
        let go_on = Arc::new(Notify::new());
        spawn({
            let go_on = go_on.clone();
            async move {
                let future = receiver.recv().await.unwrap();
                go_on.notified().await;
                future.await;
            }
        });
        let guard = lock.lock().await;
        let queued = begun(&lock).await;
        sender.send(queued).await.unwrap();
        drop(guard);
        spawn(async move {
            sleep(Duration::from_millis(100)).await;
            go_on.notify_one();
        });
        drop(lock.lock().await);
    });
    assert_eq!(found, [[], []]);
}

/// The guard of a static lock borrows it, and can leave the task all the same.
#[test]
fn a_guard_of_a_static_lock_that_is_sent() {
    static LOCK: Mutex<()> = Mutex::const_new(());
    let found = happens(|| async {
        let (sender, mut receiver) = mpsc::channel(1);
        spawn(async move {
            let guard = receiver.recv().await;
            sleep(Duration::from_millis(150)).await;
            drop(guard);
        });
        sender.send(LOCK.lock().await).await.unwrap();
        drop(LOCK.lock().await);
    });
    assert_eq!(found, [[], []]);
}

/// A thread sends the guard of a lock away, and waits for a task that waits for that lock.
#[test]
fn a_guard_that_a_thread_sends_to_a_task() {
    let found = happens(|| async {
        let [a, b] = locks();
        let (sender, mut receiver) = mpsc::channel(1);
        let (has_a, has_b) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        spawn(async move {
            let guard = receiver.recv().await;
            sleep(Duration::from_millis(150)).await;
            drop(guard);
        });
        let task = spawn({
            let (a, b) = (a.clone(), b.clone());
            let (has_a, has_b) = (has_a.clone(), has_b.clone());
            async move {
                let _b = b.lock().await;
                has_b.notify_one();
                has_a.notified().await;
                let _a = a.lock().await;
            }
        });
        has_b.notified().await;
        let thread = spawn_blocking(move || {
            let guard = a.blocking_lock_owned();
            has_a.notify_one();
            sender.blocking_send(guard).ok().unwrap();
            drop(b.blocking_lock());
        });
        thread.await.unwrap();
        task.await.unwrap();
    });
    assert_eq!(found, [[], []]);
}
