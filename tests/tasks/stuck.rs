//! What will never go on is found: at once if all of it is part of the tasks themselves, and after a while if it is
//! in boxes.

use std::{
    pin::{Pin, pin},
    sync::Arc,
};

use lockdep::{
    FindingKind::{Deadlock, Futurelock, SelfDeadlock},
    tokio::{
        select, spawn,
        sync::{Barrier, Notify},
        task::{JoinSet, spawn_blocking, yield_now},
    },
};

use crate::{Lock, happens, locks};

/// Another task holds the lock until the result is notified.
async fn held_elsewhere(lock: &Lock) -> Arc<Notify> {
    let (is_held, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    spawn({
        let (lock, is_held, go_on) = (lock.clone(), is_held.clone(), go_on.clone());
        async move {
            let _guard = lock.lock().await;
            is_held.notify_one();
            go_on.notified().await;
        }
    });
    is_held.notified().await;
    go_on
}

/// Polls a future once, and leaves it.
async fn begin(future: Pin<&mut impl Future>) {
    select! {
        biased;
        _ = future => panic!("it has to wait"),
        () = yield_now() => {}
    }
}

/// Oxide's RFD 609: the lock is granted to a future that nobody polls, while its task waits for the lock.
#[test]
fn a_lock_that_was_granted_to_a_future_left_behind() {
    let found = happens(|| async {
        let [lock] = locks();
        let go_on = held_elsewhere(&lock).await;
        let mut left = pin!(lock.lock());
        begin(left.as_mut()).await;
        go_on.notify_one();
        drop(lock.lock().await);
    });
    assert_eq!(found, [[Futurelock], [Futurelock]]);
}

#[test]
fn the_same_in_a_box() {
    let found = happens(|| async {
        let [lock] = locks();
        let go_on = held_elsewhere(&lock).await;
        let mut left = Box::pin(lock.lock());
        begin(left.as_mut()).await;
        go_on.notify_one();
        drop(lock.lock().await);
    });
    assert_eq!(found, [[Futurelock], [Futurelock]]);
}

#[test]
fn a_guard_in_a_future_left_behind() {
    let found = happens(|| async {
        let [lock] = locks();
        let mut left = pin!(async {
            let _guard = lock.lock().await;
            yield_now().await;
            yield_now().await;
        });
        begin(left.as_mut()).await;
        drop(lock.lock().await);
    });
    assert_eq!(found, [[Futurelock], [Futurelock]]);
}

#[test]
fn one_lock_twice() {
    let found = happens(|| async {
        let [lock] = locks();
        let _first = lock.lock().await;
        let _second = lock.lock().await;
    });
    assert_eq!(found, [[SelfDeadlock], [SelfDeadlock]]);
}

/// Each of some tasks holds a lock and wants the next one's.
async fn circle(of: usize) {
    let locks: Vec<_> = (0..of).map(|_| Lock::default()).collect();
    let all_hold = Arc::new(Barrier::new(of));
    let mut tasks = JoinSet::new();
    for at in 0..of {
        let (first, second) = (locks[at].clone(), locks[(at + 1) % of].clone());
        let all_hold = all_hold.clone();
        tasks.spawn(async move {
            let _first = first.lock().await;
            all_hold.wait().await;
            let _second = second.lock().await;
        });
    }
    let mut panics = 0;
    while let Some(ended) = tasks.join_next().await {
        panics += usize::from(ended.is_err());
    }
    // The others go on.
    assert_eq!(panics, 1);
}

#[test]
fn two_tasks_in_opposite_orders() {
    assert_eq!(happens(|| circle(2)), [[Deadlock], [Deadlock]]);
}

#[test]
fn a_circle_of_five_tasks() {
    assert_eq!(happens(|| circle(5)), [[Deadlock], [Deadlock]]);
}

/// Whichever of the two comes last finds it, and panics; the other goes on.
#[test]
fn a_task_and_a_thread() {
    let found = happens(|| async {
        let [a, b] = locks();
        let is_held = Arc::new(Notify::new());
        let task = spawn({
            let (a, b, is_held) = (a.clone(), b.clone(), is_held.clone());
            async move {
                let _a = a.lock().await;
                is_held.notified().await;
                let _b = b.lock().await;
            }
        });
        let thread = spawn_blocking(move || {
            let _b = b.blocking_lock();
            // Until the task has it.
            while a.try_lock().is_ok() {
                std::thread::yield_now();
            }
            is_held.notify_one();
            let _a = a.blocking_lock();
        });
        let (task, thread) = (task.await, thread.await);
        assert!(task.is_err() != thread.is_err());
    });
    assert_eq!(found, [[Deadlock], [Deadlock]]);
}
