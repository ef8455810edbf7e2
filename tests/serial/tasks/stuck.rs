//! Tasks that will never continue are reported after a while. Tasks that may continue are not, nor
//! are those that depend on a guard that may be anywhere.

use std::{
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use futures::stream::{FuturesUnordered, StreamExt};
use lockdep::{
    FindingKind::{Deadlock, Futurelock, SelfDeadlock},
    Level,
    tokio::{
        select, spawn,
        sync::{Barrier, Mutex, Notify, Semaphore},
        task::{JoinSet, spawn_blocking, yield_now},
        time::sleep,
    },
};

use super::{Lock, alone, happens, locks, runtimes};

/// Longer than a deadlock has to last before it is reported, wherever its futures are.
const LONG: Duration = Duration::from_millis(1500);

/// Holds a lock until notified.
async fn hold(lock: Lock, go_on: Arc<Notify>) {
    let _guard = lock.lock().await;
    go_on.notified().await;
}

/// Lets another task hold the lock until the result is notified.
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

/// Polls a future once.
async fn begin(future: Pin<&mut impl Future>) {
    select! {
        biased;
        _ = future => panic!("it has to wait"),
        () = yield_now() => {}
    }
}

/// Oxide's RFD 609: the lock is granted to a future that is not polled, while its task waits for
/// the lock.
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

/// The task is woken for the report, and is stuck again.
#[test]
fn what_is_no_panic_is_reported_once() {
    for runtime in runtimes() {
        alone(Level::Allow, || {
            lockdep::set_level(SelfDeadlock, Level::Allow);
            runtime.block_on(async {
                let [lock] = locks();
                let task = spawn(async move {
                    let _first = lock.lock().await;
                    let _second = lock.lock().await;
                });
                sleep(LONG).await;
                task.abort();
                assert!(task.await.unwrap_err().is_cancelled());
            });
            lockdep::set_level(SelfDeadlock, Level::Deny);
            let found = lockdep::take_findings();
            assert_eq!(found.iter().map(lockdep::Finding::count).collect::<Vec<_>>(), [1]);
        });
    }
}

/// The guard may have been sent to another task, so the task does not panic.
#[test]
fn a_static_lock_twice_is_a_warning() {
    static LOCK: Mutex<()> = Mutex::const_new(());
    let found = happens(|| async {
        let task = spawn(async {
            let _first = LOCK.lock().await;
            let _second = LOCK.lock().await;
        });
        sleep(LONG).await;
        assert!(!task.is_finished());
        task.abort();
        let found = lockdep::findings();
        assert_eq!(found[0].level(), Level::Warn);
        assert!(found[0].cycle()[0].may_have_left());
        let report = found[0].render(false);
        assert!(report.contains("this is a deadlock only if task "), "{report}");
        assert!(report.contains(" still has its guard of `LOCK`: a task may move"), "{report}");
    });
    assert_eq!(found, [[SelfDeadlock], [SelfDeadlock]]);
}

/// The spawned task may have the guard, if the lock is static.
#[test]
fn a_lock_twice_around_a_spawn_is_a_warning() {
    let found = happens(|| async {
        let [lock] = locks();
        let task = spawn(async move {
            let _first = lock.lock().await;
            spawn(async {}).await.unwrap();
            let _second = lock.lock().await;
        });
        sleep(LONG).await;
        assert!(!task.is_finished());
        task.abort();
        assert_eq!(lockdep::findings()[0].level(), Level::Warn);
    });
    assert_eq!(found, [[SelfDeadlock], [SelfDeadlock]]);
}

/// The guard of a static lock was moved to the spawned task.
#[test]
fn a_static_guard_around_a_spawn_is_unknown() {
    static LOCK: Mutex<()> = Mutex::const_new(());
    let found = happens(|| async {
        let guard = LOCK.lock().await;
        let other = spawn(async move {
            sleep(LONG).await;
            drop(guard);
        });
        drop(LOCK.lock().await);
        other.await.unwrap();
    });
    assert_eq!(found, [[], []]);
}

/// A thread closes a cycle with a task that has a guard of a static lock.
#[test]
fn a_circle_of_a_thread_and_a_static_lock_is_a_warning() {
    static LOCK: Mutex<()> = Mutex::const_new(());
    let found = happens(|| async {
        let [other] = locks();
        let (held, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let task = spawn({
            let (other, held, go_on) = (other.clone(), held.clone(), go_on.clone());
            async move {
                let _static = LOCK.lock().await;
                held.notify_one();
                go_on.notified().await;
                let _other = other.lock().await;
            }
        });
        held.notified().await;
        let has_other = Arc::new(std::sync::Barrier::new(2));
        let thread = spawn_blocking({
            let has_other = has_other.clone();
            move || {
                let _other = other.blocking_lock();
                has_other.wait();
                let _static = LOCK.blocking_lock();
            }
        });
        has_other.wait();
        go_on.notify_one();
        sleep(LONG).await;
        let found = lockdep::findings();
        let deadlock = found.iter().find(|it| it.kind() == Deadlock).expect("it stands");
        assert_eq!(deadlock.level(), Level::Warn, "{deadlock}");
        task.abort();
        thread.await.unwrap();
    });
    assert_eq!(found, [[Deadlock], [Deadlock]]);
}

/// The futures of a set have its own wakers, so it is not known whose guard it is.
#[test]
fn a_guard_in_a_set_of_futures_left_behind_is_not_certain() {
    let found = happens(|| async {
        let [lock] = locks();
        let go_on = Arc::new(Notify::new());
        let task = spawn(async move {
            let mut set: FuturesUnordered<_> =
                (0..2).map(|_| hold(lock.clone(), go_on.clone())).collect();
            begin(pin!(set.next())).await;
            // Uses up the waker that the set has of the task.
            go_on.notify_one();
            drop(lock.lock().await);
        });
        sleep(LONG).await;
        assert!(!task.is_finished());
        task.abort();
    });
    assert_eq!(found, [[], []]);
}

/// Any task or thread may add a permit.
#[test]
fn the_only_permit_twice_is_not_certain() {
    let found = happens(|| async {
        let turn = Arc::new(Semaphore::new(1));
        let task = spawn({
            let turn = turn.clone();
            async move {
                let _first = turn.acquire().await.unwrap();
                let _second = turn.acquire().await.unwrap();
            }
        });
        sleep(LONG).await;
        turn.add_permits(1);
        task.await.unwrap();
    });
    assert_eq!(found, [[], []]);
}

/// Each of several tasks holds a lock and wants the next one's.
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
    // The others continue.
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

/// The last of the two to wait finds it and panics; the other one continues.
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
            // Waits until the task holds it.
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
