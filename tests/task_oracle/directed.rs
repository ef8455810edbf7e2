//! Scenarios that random programs do not contain: dropped tasks, and executors within tasks.

use std::{
    cell::Cell,
    future::{Future, pending, poll_fn},
    panic::Location,
    pin::{Pin, pin},
    rc::Rc,
    sync::Arc,
    task::Poll,
    time::{Duration, Instant},
};

use futures::stream::{FuturesUnordered, StreamExt};
use lockdep::{__private::validator::tasks::Task, Finding, FindingKind, tokio::sync::Mutex};

use crate::{
    executor::Executor,
    program::{Program, Step},
    random::Random,
    run::{alone, run},
};

/// Polls a future once, which stays pending.
async fn begin(mut future: Pin<&mut impl Future>) {
    poll_fn(|cx| {
        assert!(future.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    })
    .await;
}

/// Waits without registering a waker: the code that sets the flag polls the task.
async fn until(flag: &Cell<bool>) {
    poll_fn(|_| if flag.get() { Poll::Ready(()) } else { Poll::Pending }).await;
}

fn locks<const COUNT: usize>() -> [Arc<Mutex<()>>; COUNT] {
    std::array::from_fn(|_| Arc::new(Mutex::new(())))
}

fn found() -> Vec<FindingKind> {
    lockdep::take_findings().iter().map(Finding::kind).collect()
}

struct OnDrop<F: FnMut()>(F);

impl<F: FnMut()> Drop for OnDrop<F> {
    fn drop(&mut self) {
        (self.0)();
    }
}

/// The first task was granted a lock but not polled, and waits for the second, which then wants
/// that lock. But the second wants it while the first is being dropped, which is about to release
/// the lock.
#[test]
fn a_task_that_is_dropped_keeps_nobody_waiting() {
    let _one = alone();
    let executor = Executor::new();
    let [granted, other] = locks();
    let go = Rc::new(Cell::new(false));
    let second = executor.spawn({
        let (granted, other, go) = (granted.clone(), other.clone(), go.clone());
        async move {
            let _other = other.lock().await;
            until(&go).await;
            let _granted = granted.lock().await;
        }
    });
    executor.poll(second);
    let guard = granted.try_lock().unwrap();
    let first = executor.spawn({
        let (executor, granted, other) = (executor.clone(), granted.clone(), other.clone());
        async move {
            let mut is_granted = pin!(granted.lock());
            begin(is_granted.as_mut()).await;
            let mut waits = pin!(other.lock());
            begin(waits.as_mut()).await;
            let _last = OnDrop(move || {
                go.set(true);
                executor.poll(second);
            });
            pending::<()>().await;
        }
    });
    executor.poll(first);
    drop(guard);
    executor.poll(first);
    executor.abort(first);
    assert_eq!(found(), []);
    executor.poll(second);
    assert!(executor.is_done(second));
}

/// The lock that a task waits for is granted to another of its futures, in a `FuturesUnordered`
/// that has used up its waker: nothing wakes the task.
#[test]
fn a_grant_that_wakes_nobody_is_found() {
    let _one = alone();
    let executor = Executor::new();
    let [lock] = locks();
    let guard = lock.try_lock().unwrap();
    let task = executor.spawn({
        let (executor, lock) = (executor.clone(), lock.clone());
        async move {
            let mut children = FuturesUnordered::<Pin<Box<dyn Future<Output = ()>>>>::new();
            children.push(Box::pin(async { drop(lock.lock().await) }));
            children.push(Box::pin(executor.sleep(1)));
            begin(pin!(children.next())).await;
            // The second child wakes the task, but the children are not polled any more.
            executor.sleep(1).await;
            drop(lock.lock().await);
        }
    });
    executor.run(&mut Random(0));
    assert_eq!(found(), []);
    drop(guard);
    let start = Instant::now();
    while !executor.is_done(task) && start.elapsed() < Duration::from_secs(20) {
        executor.run(&mut Random(0));
        if found() == [FindingKind::Futurelock] {
            return executor.shut_down();
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("it is missed");
}

/// One branch of a task holds a lock, and is woken by another in the middle of a poll. It has no
/// waker then, but can still continue.
#[test]
fn a_branch_that_was_woken_meanwhile_is_another() {
    use Step::{Join, Lock, Signal, Wait, Yield};
    let holds = |waits| Join([vec![Signal(0)], vec![Lock(0), waits]]);
    for waits in [Yield, Wait(0)] {
        let program = Program { tasks: vec![vec![Join([vec![holds(waits)], vec![Lock(1)]])]] };
        for seed in 0..16 {
            let run = run(&program, seed, &mut Random(seed));
            assert!(run.edges.is_empty(), "{program}{run}");
        }
    }
}

/// The guard of a static lock is dropped by another thread while the task is polled, which then
/// spawns another task.
#[test]
fn a_guard_that_another_thread_has_dropped_is_not_held() {
    let _one = alone();
    let executor = Executor::new();
    let lock: &Mutex<()> = Box::leak(Box::new(Mutex::new(())));
    let task = executor.spawn(async move {
        let guard = lock.lock().await;
        std::thread::spawn(move || drop(guard)).join().unwrap();
        drop(Task::new(Location::caller(), 0));
        let held = lockdep::held().to_string();
        assert!(!held.contains("(exclusive)"), "{held}");
    });
    executor.poll(task);
    assert!(executor.is_done(task));
}

/// Programs for which too much was once reported.
#[test]
fn what_was_invented_once() {
    use Step::{Join, Lock, Read, Unlock};
    let (a, c, e) = (0, 2, 4);
    // The branch that continues has a second reader of a lock, which is released by then.
    let readers = Join([
        vec![Read(e), Lock(c)],
        vec![Join([vec![Read(e)], vec![Unlock(a)]]), Join([vec![Lock(a)], vec![Lock(a)]])],
    ]);
    let other = Join([vec![Lock(a), Step::Sleep(1)], vec![Lock(a)]]);
    let program = Program { tasks: vec![vec![readers], vec![Lock(c), other], vec![Lock(a)]] };
    for seed in 0..40 {
        let run = run(&program, seed, &mut Random(seed));
        assert!(!run.has_invented_edge(), "{program}{run}");
    }
}

/// The last permit is kept for a task that waits for two, until its time is up.
#[test]
fn a_permit_that_is_kept_for_another_is_not_held() {
    use Step::{Acquire, Sleep, Timeout};
    let nested = vec![Acquire(1), Sleep(2), Acquire(1)];
    let program = Program { tasks: vec![nested, vec![Sleep(1), Timeout(3, vec![Acquire(2)])]] };
    for seed in 0..40 {
        let run = run(&program, seed, &mut Random(seed));
        assert!(run.accusations.is_empty() && run.stuck.is_empty(), "{program}{run}");
    }
}
