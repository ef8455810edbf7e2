//! Semaphores all of whose permits are held by tasks and threads that wait. Since any task may add a permit, that is a
//! warning, and the tasks wait on.
//!
//! A deadlock is reported after a second, so all scenarios run at once.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use lockdep::{
    FindingKind::Deadlock,
    tokio::{
        join, select, spawn,
        sync::{Barrier, Mutex, Notify, Semaphore},
        task::{JoinSet, spawn_blocking},
        time::{sleep, timeout},
    },
};

use super::happens;

/// Longer than a deadlock has to last before it is reported, wherever its futures are.
const LONG: Duration = Duration::from_millis(1500);

type Pool = Arc<Semaphore>;

/// Returns a semaphore, and a barrier for the tasks that acquire its permits.
fn pool(name: &str, permits: usize, tasks: usize) -> (Pool, Arc<Barrier>) {
    let pool = Arc::new(Semaphore::new(permits));
    lockdep::name(&*pool, name);
    (pool, Arc::new(Barrier::new(tasks)))
}

/// Acquires a permit, and another one once all have theirs.
async fn nested(pool: Pool, all_hold: Arc<Barrier>) {
    let _first = pool.acquire().await.unwrap();
    all_hold.wait().await;
    let _second = pool.acquire().await.unwrap();
}

fn spawn_nested(tasks: usize, pool: &Pool, all_hold: &Arc<Barrier>) -> JoinSet<()> {
    let mut spawned = JoinSet::new();
    for _ in 0..tasks {
        spawned.spawn(nested(pool.clone(), all_hold.clone()));
    }
    spawned
}

async fn ended(mut tasks: JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

/// Waits for the report of a deadlock, and ends that with more permits. Returns the report in one line.
async fn report_of(name: &str, pool: &Pool) -> String {
    let name = format!("of `{name}` are held by ");
    loop {
        let found = lockdep::findings();
        let mut reports = found.iter().filter(|it| it.kind() == Deadlock).map(ToString::to_string);
        if let Some(report) = reports.find(|report| report.contains(&name)) {
            pool.add_permits(2);
            return report.split_whitespace().collect::<Vec<_>>().join(" ");
        }
        sleep(Duration::from_millis(10)).await;
    }
}

/// Runs scenarios to their end on both kinds of runtime, and returns how many deadlocks were found on each.
fn deadlocks_in<F>(body: fn() -> F) -> [usize; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    let ends = Arc::new(AtomicUsize::new(0));
    let found = happens(|| {
        let (ends, scenarios) = (ends.clone(), body());
        async move {
            scenarios.await;
            ends.fetch_add(1, SeqCst);
        }
    });
    assert_eq!(ends.load(SeqCst), found.len(), "a scenario has panicked");
    found.map(|kinds| kinds.into_iter().filter(|kind| *kind == Deadlock).count())
}

#[track_caller]
fn assert_contains(report: &str, all: &[&str]) {
    for words in all {
        assert!(report.contains(words), "{words}: {report}");
    }
}

async fn all_are_held_by_tasks_that_wait_for_one() {
    let (pool, all_hold) = pool("three", 3, 3);
    let tasks = spawn_nested(3, &pool, &all_hold);
    let report = report_of("three", &pool).await;
    let title = "warning[lockdep::deadlock]: all 3 permits of `three` are held by tasks that wait ";
    assert!(report.starts_with(title), "{report}");
    let doubt = "this is a deadlock only if nothing adds a permit to `three` or closes it help:";
    let table = "who holds the permits of `three`, and for what each waits:";
    assert_contains(&report, &[doubt, table]);
    for row in [" holds `three` (permit) since ", " waits for `three` (permit) at "] {
        assert_eq!(report.matches(row).count(), 3, "{report}");
    }
    ended(tasks).await;
}

async fn some_were_acquired_at_once() {
    let (pool, all_hold) = pool("at once", 3, 2);
    let mut tasks = spawn_nested(1, &pool, &all_hold);
    tasks.spawn({
        let pool = pool.clone();
        async move {
            let mut first = pool.acquire().await.unwrap();
            first.merge(pool.try_acquire().unwrap());
            all_hold.wait().await;
            let _both = pool.acquire_many(2).await.unwrap();
        }
    });
    report_of("at once", &pool).await;
    ended(tasks).await;
}

/// The holders of the permits wait for a mutex, and its holder for a permit.
async fn their_holders_wait_for_a_mutex() {
    let (pool, all_hold) = pool("with a mutex", 2, 3);
    let state = Arc::new(Mutex::new(()));
    lockdep::name(&*state, "state");
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        let (pool, state, all_hold) = (pool.clone(), state.clone(), all_hold.clone());
        tasks.spawn(async move {
            let _permit = pool.acquire().await.unwrap();
            all_hold.wait().await;
            drop(state.lock().await);
        });
    }
    tasks.spawn({
        let pool = pool.clone();
        async move {
            let _held = state.lock().await;
            all_hold.wait().await;
            drop(pool.acquire().await.unwrap());
        }
    });
    let report = report_of("with a mutex", &pool).await;
    let waits = "waits here for a permit of `with a mutex`, one of which task ";
    assert_contains(&report, &["waits here for `state`, which task ", waits]);
    assert_eq!(report.matches(" holds `with a mutex` (permit)").count(), 2, "{report}");
    ended(tasks).await;
}

async fn one_is_held_by_a_thread() {
    let (pool, both_hold) = pool("with a thread", 2, 2);
    let task = spawn_nested(1, &pool, &both_hold);
    let thread = spawn_blocking({
        let (pool, handle) = (pool.clone(), lockdep::tokio::runtime::Handle::current());
        move || {
            let _first = pool.blocking_acquire().unwrap();
            handle.block_on(both_hold.wait());
            let _second = pool.blocking_acquire().unwrap();
        }
    });
    let report = report_of("with a thread", &pool).await;
    assert_contains(&report, &["are held by tasks and threads that wait"]);
    ended(task).await;
    thread.await.unwrap();
}

#[test]
fn all_permits_are_held_by_tasks_and_threads_that_wait() {
    let found = deadlocks_in(|| async {
        join!(
            all_are_held_by_tasks_that_wait_for_one(),
            some_were_acquired_at_once(),
            their_holders_wait_for_a_mutex(),
            one_is_held_by_a_thread(),
        );
    });
    assert_eq!(found, [4, 4]);
}

/// Two of three permits are held by tasks that wait for another one. The third one is held, or the waits end, in
/// another way each time.
async fn does_not_wait() {
    let (pool, all_hold) = pool("later", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let permit = pool.acquire().await.unwrap();
    all_hold.wait().await;
    sleep(LONG).await;
    drop(permit);
    ended(others).await;
}

async fn is_of_unknown_task() {
    let (pool, all_hold) = pool("of an unknown task", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let unknown = ::tokio::spawn(async move {
        let _permit = pool.acquire().await.unwrap();
        all_hold.wait().await;
        ::tokio::time::sleep(LONG).await;
    });
    unknown.await.unwrap();
    ended(others).await;
}

async fn was_forgotten() {
    let (pool, all_hold) = pool("forgotten", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    pool.acquire().await.unwrap().forget();
    all_hold.wait().await;
    sleep(LONG).await;
    pool.add_permits(1);
    ended(others).await;
}

async fn was_added() {
    let (pool, all_hold) = pool("added", 2, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    pool.add_permits(1);
    let permit = pool.acquire().await.unwrap();
    all_hold.wait().await;
    sleep(LONG).await;
    drop(permit);
    ended(others).await;
}

async fn is_owned() {
    let (pool, all_hold) = pool("owned", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let owned = pool.clone().acquire_owned().await.unwrap();
    all_hold.wait().await;
    let holder = spawn(async move {
        sleep(LONG).await;
        drop(owned);
    });
    drop(pool.acquire().await.unwrap());
    holder.await.unwrap();
    ended(others).await;
}

async fn is_kept_for_one_that_waits_for_two() {
    let (pool, all_hold) = pool("kept", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    while pool.available_permits() > 1 {
        sleep(Duration::from_millis(1)).await;
    }
    let (given_up, _) = join!(timeout(LONG, pool.acquire_many(2)), all_hold.wait());
    assert!(given_up.is_err());
    ended(others).await;
}

async fn has_a_time_limit() {
    let (pool, all_hold) = pool("with a time limit", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let third = spawn(async move {
        let _permit = pool.acquire().await.unwrap();
        all_hold.wait().await;
        assert!(timeout(LONG, pool.acquire()).await.is_err());
    });
    third.await.unwrap();
    ended(others).await;
}

async fn waits_for_something_else_as_well() {
    let (pool, all_hold) = pool("with a signal", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let given_up = Arc::new(Notify::new());
    let third = spawn({
        let given_up = given_up.clone();
        async move {
            let _permit = pool.acquire().await.unwrap();
            all_hold.wait().await;
            select! {
                _ = pool.acquire() => panic!("all are held"),
                () = given_up.notified() => {}
            }
        }
    });
    sleep(LONG).await;
    given_up.notify_one();
    third.await.unwrap();
    ended(others).await;
}

async fn is_of_a_thread() {
    let (pool, all_hold) = pool("of a thread", 3, 3);
    let others = spawn_nested(2, &pool, &all_hold);
    let handle = lockdep::tokio::runtime::Handle::current();
    let thread = spawn_blocking(move || {
        let _permit = pool.blocking_acquire().unwrap();
        handle.block_on(all_hold.wait());
        std::thread::sleep(LONG);
    });
    thread.await.unwrap();
    ended(others).await;
}

/// A permit that was sent to another task, and released there, was taken for that of a third one.
async fn was_handed_over() {
    let (pool, all_hold) = pool("handed over", 2, 3);
    // Its permits can be sent.
    let pool: &'static Semaphore = {
        let leaked: &'static Pool = Box::leak(Box::new(pool));
        leaked
    };
    let (sender, mut receiver) = ::tokio::sync::mpsc::channel(1);
    let (was_sent, was_released) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let receives = spawn({
        let (was_sent, was_released) = (was_sent.clone(), was_released.clone());
        async move {
            let permit: lockdep::tokio::sync::SemaphorePermit<'static> =
                receiver.recv().await.unwrap();
            was_sent.notified().await;
            drop(permit);
            was_released.notify_one();
        }
    });
    let sends = spawn({
        let all_hold = all_hold.clone();
        async move {
            sender.send(pool.acquire().await.unwrap()).await.unwrap();
            all_hold.wait().await;
            drop(pool.acquire().await.unwrap());
        }
    });
    let works = spawn({
        let all_hold = all_hold.clone();
        async move {
            let _permit = pool.acquire().await.unwrap();
            was_sent.notify_one();
            all_hold.wait().await;
            sleep(LONG).await;
        }
    });
    was_released.notified().await;
    let waits = spawn(async move {
        let _permit = pool.acquire().await.unwrap();
        all_hold.wait().await;
        drop(pool.acquire().await.unwrap());
    });
    for task in [receives, sends, works, waits] {
        task.await.unwrap();
    }
}

#[test]
fn permits_of_which_one_may_be_returned() {
    let found = deadlocks_in(|| async {
        join!(
            does_not_wait(),
            is_of_unknown_task(),
            was_forgotten(),
            was_added(),
            is_owned(),
            is_kept_for_one_that_waits_for_two(),
            has_a_time_limit(),
            waits_for_something_else_as_well(),
            is_of_a_thread(),
            was_handed_over(),
        );
    });
    assert_eq!(found, [0, 0]);
}
