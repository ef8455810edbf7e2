//! Schedules of tasks, on both kinds of runtime.
#![cfg(all(feature = "interleave", feature = "tokio", any(debug_assertions, feature = "enforce")))]

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use lockdep::{
    interleave::{
        self, Schedule, acquire, async_point, at, inside, inside_async, point, release, wait,
    },
    tokio::{
        join,
        runtime::{Builder, Runtime},
        spawn,
        sync::{Mutex, oneshot},
        task::{spawn_blocking, yield_now},
        time::timeout,
    },
};

const TIMES: usize = 100;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

const RUNTIMES: [fn() -> Runtime; 2] = [current_thread, multi_thread];

type Log = Arc<Mutex<Vec<&'static str>>>;

async fn write(log: Log, line: &'static str) {
    log.lock().await.push(line);
}

fn written(log: &Log) -> Vec<&'static str> {
    std::mem::take(&mut log.try_lock().unwrap())
}

fn message(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn tasks_acquire_in_the_order_that_is_wanted() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        for order in [["acquirer 1", "acquirer 2"], ["acquirer 2", "acquirer 1"]] {
            for _ in 0..TIMES {
                let log = Log::default();
                let acquires = order.map(|name| at(name, acquire(&*log)));
                Schedule::new().order(acquires).run(|| {
                    runtime.block_on(async {
                        let tasks = ["acquirer 1", "acquirer 2"]
                            .map(|name| spawn(inside_async(name, write(log.clone(), name))));
                        for task in tasks {
                            task.await.unwrap();
                        }
                    });
                });
                assert_eq!(written(&log), order);
            }
        }
    }
}

/// With the runtime's own `spawn`, which creates no known task.
#[test]
fn a_future_in_a_role_needs_no_task_around_it() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let log = Log::default();
        let order = ["bare 2", "bare 1"].map(|name| at(name, acquire(&*log)));
        Schedule::new().order(order).run(|| {
            runtime.block_on(async {
                let tasks = ["bare 1", "bare 2"]
                    .map(|name| ::tokio::spawn(inside_async(name, write(log.clone(), name))));
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
        assert_eq!(written(&log), ["bare 2", "bare 1"]);
    }
}

#[test]
fn futures_of_one_task_have_roles_of_their_own() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let log = Log::default();
        let order = ["branch 2", "branch 1"].map(|name| at(name, acquire(&*log)));
        Schedule::new().order(order).run(|| {
            runtime.block_on(async {
                let [one, two] = ["branch 1", "branch 2"]
                    .map(|name| inside_async(name, write(log.clone(), name)));
                join!(one, two)
            });
        });
        assert_eq!(written(&log), ["branch 2", "branch 1"]);
    }
}

/// The holder releases the lock only when another task waits for it.
#[test]
fn a_wait_is_a_point() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        for _ in 0..TIMES {
            let log = Log::default();
            Schedule::new().order([at("waiter", wait(&*log)), at("holder", "has it")]).run(|| {
                runtime.block_on(async {
                    let held = log.clone();
                    let holder = spawn(inside_async("holder", async move {
                        let mut lines = held.lock().await;
                        async_point!("has it").await;
                        lines.push("holder");
                    }));
                    // The holder must come first.
                    while log.try_lock().is_ok() {
                        yield_now().await;
                    }
                    let waiter = spawn(inside_async("waiter", write(log.clone(), "waiter")));
                    (holder.await.unwrap(), waiter.await.unwrap())
                });
            });
            assert_eq!(written(&log), ["holder", "waiter"]);
        }
    }
}

/// A release ends when the lock is free.
#[test]
fn a_release_is_a_point() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        for is_owned in [false, true] {
            let lock = Arc::new(Mutex::new(0));
            Schedule::new().order([at("gives", release(&*lock)), at("looks", "looks")]).run(|| {
                runtime.block_on(async {
                    let (given, looked) = (lock.clone(), lock.clone());
                    let looks = spawn(inside_async("looks", async move {
                        async_point!("looks").await;
                        looked.try_lock().map(|it| *it).expect("it is free")
                    }));
                    let gives = spawn(inside_async("gives", async move {
                        if is_owned {
                            *given.lock_owned().await = 1;
                        } else {
                            *given.lock().await = 1;
                        }
                    }));
                    gives.await.unwrap();
                    assert_eq!(looks.await.unwrap(), 1);
                });
            });
        }
    }
}

async fn increment(counter: Arc<AtomicU64>) {
    let count = counter.load(Relaxed);
    async_point!("count read").await;
    async_point!("about to write").await;
    counter.store(count + 1, Relaxed);
}

/// Both tasks read before one of them writes.
fn lost_update([first, second]: [&str; 2]) -> Schedule {
    Schedule::new()
        .order([at(first, "count read"), at(second, "about to write")])
        .order([at(second, "count read"), at(first, "about to write")])
}

#[test]
fn an_update_is_lost_between_two_tasks() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        for _ in 0..TIMES {
            let counter = Arc::new(AtomicU64::new(0));
            let roles = ["adder 1", "adder 2"];
            lost_update(roles).run(|| {
                runtime.block_on(async {
                    let add = |role| spawn(inside_async(role, increment(counter.clone())));
                    for task in roles.map(add) {
                        task.await.unwrap();
                    }
                });
            });
            assert_eq!(counter.load(Relaxed), 1);
        }
    }
}

/// The same under a lock: the schedule ends as soon as it conflicts with the lock.
#[test]
fn a_schedule_yields_to_locks_of_tasks() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        for _ in 0..TIMES {
            let counter = Arc::new(AtomicU64::new(0));
            let lock = Arc::new(Mutex::new(()));
            let begun = Instant::now();
            lost_update(["locked 1", "locked 2"]).yield_to_locks().run(|| {
                runtime.block_on(async {
                    let tasks = ["locked 1", "locked 2"].map(|role| {
                        let (counter, lock) = (counter.clone(), lock.clone());
                        spawn(inside_async(role, async move {
                            let _locked = lock.lock().await;
                            increment(counter).await;
                        }))
                    });
                    for task in tasks {
                        task.await.unwrap();
                    }
                });
            });
            assert_eq!(counter.load(Relaxed), 2);
            assert!(begun.elapsed() < Duration::from_secs(4), "its limit is not waited for");
        }
    }
}

/// Without `yield_to_locks`, this is an error, which says what each task was doing.
#[test]
fn a_lock_in_the_way_is_named() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let lock = Arc::new(Mutex::new(()));
        let order = [at("outside", "in it"), at("inside", "in it")];
        let order = Schedule::new().order(order);
        let message = message(|| {
            order.run(|| {
                runtime.block_on(async {
                    let enter = |role: &'static str| {
                        let lock = lock.clone();
                        spawn(inside_async(role, async move {
                            let _locked = lock.lock().await;
                            async_point!("in it").await;
                        }))
                    };
                    let inside = enter("inside");
                    while lock.try_lock().is_ok() {
                        yield_now().await;
                    }
                    let outside = enter("outside");
                    (inside.await.unwrap(), outside.await.unwrap())
                });
            });
        });
        assert!(message.contains("`outside` is blocked in its wait for `lock`"), "{message}");
    }
}

/// A task that something else wakes does not wait in vain.
#[test]
fn a_task_under_a_time_out_is_not_given_up() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let lock = Arc::new(Mutex::new(()));
        Schedule::new().order([at("impatient", "gave up"), at("patient", "holds it")]).run(|| {
            runtime.block_on(async {
                let (held, wanted) = (lock.clone(), lock.clone());
                let patient = spawn(inside_async("patient", async move {
                    let _held = held.lock().await;
                    async_point!("holds it").await;
                }));
                while lock.try_lock().is_ok() {
                    yield_now().await;
                }
                let impatient = spawn(inside_async("impatient", async move {
                    let result = timeout(Duration::from_millis(20), wanted.lock()).await;
                    assert!(result.is_err());
                    async_point!("gave up").await;
                }));
                (patient.await.unwrap(), impatient.await.unwrap())
            });
        });
    }
}

/// A future that is dropped while it is stopped counts as having passed its point.
#[test]
fn a_future_that_is_dropped_has_passed() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let limit = Duration::from_mins(1);
        let schedule = Schedule::new()
            .order([at("other", "never"), at("dropped", "stops")])
            .order([at("dropped", "stops"), at("behind", "here")]);
        let begun = Instant::now();
        let result = schedule.timeout(limit).try_run(|| {
            runtime.block_on(async {
                let (comes, mut has_come) = oneshot::channel();
                let dropped = spawn(inside_async("dropped", async move {
                    comes.send(()).unwrap();
                    async_point!("stops").await;
                }));
                while has_come.try_recv().is_err() {
                    yield_now().await;
                }
                let behind = spawn(inside_async("behind", async { async_point!("here").await }));
                dropped.abort();
                assert!(dropped.await.is_err());
                behind.await.unwrap();
            });
        });
        // Except the one that never arrived.
        assert!(result.is_err());
        assert!(begun.elapsed() < limit / 2);
    }
}

/// `point!` blocks the thread: with a second worker thread, other tasks continue.
///
/// The second task is spawned when the first one has a thread. A worker that takes both from
/// tokio's queue at once keeps the second one behind the first, and the other worker may have
/// looked for work just before.
#[test]
fn a_synchronous_point_blocks_its_worker() {
    let runtime = multi_thread();
    for _ in 0..TIMES {
        let log = Log::default();
        Schedule::new().order([at("goes first", "here"), at("blocks", "here")]).run(|| {
            runtime.block_on(async {
                let (comes, has_come) = oneshot::channel();
                let of_blocked = log.clone();
                let blocks = spawn(inside_async("blocks", async move {
                    comes.send(()).unwrap();
                    point!("here");
                    of_blocked.lock().await.push("blocks");
                }));
                has_come.await.unwrap();
                let of_first = log.clone();
                let goes_first = spawn(inside_async("goes first", async move {
                    point!("here");
                    of_first.lock().await.push("goes first");
                }));
                (blocks.await.unwrap(), goes_first.await.unwrap())
            });
        });
        assert_eq!(written(&log).len(), 2);
    }
}

#[test]
fn a_synchronous_point_that_blocks_the_only_thread_is_named() {
    let runtime = current_thread();
    let schedule = Schedule::new().order([at("starved", "here"), at("starves", "here")]);
    let message = message(|| {
        schedule.timeout(Duration::from_millis(100)).run(|| {
            runtime.block_on(async {
                let tasks = ["starves", "starved"]
                    .map(|role| spawn(inside_async(role, async { point!("here") })));
                for task in tasks {
                    task.await.unwrap();
                }
            });
        });
    });
    assert!(message.contains("did not happen in time"), "{message}");
    let named = "the task `starves` waits where it cannot be suspended";
    assert!(message.contains(named) && message.contains("`async_point!`"), "{message}");
}

/// The limit also applies to suspended tasks.
#[test]
fn a_task_that_waits_in_vain_goes_on_in_time() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let schedule = Schedule::new().order([at("nobody", "never"), at("lonely", "here")]);
        let begun = Instant::now();
        let result = schedule.timeout(Duration::from_millis(50)).try_run(|| {
            runtime.block_on(async {
                spawn(inside_async("lonely", async { async_point!("here").await })).await.unwrap();
            });
        });
        let message = result.unwrap_err().to_string();
        assert!(message.contains("no thread `nobody` has come"), "{message}");
        assert!(begun.elapsed() < Duration::from_secs(20));
    }
}

/// Tasks and threads in one schedule.
#[test]
fn a_thread_goes_before_a_task() {
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let log = Log::default();
        Schedule::new().order([at("a thread", acquire(&*log)), at("a task", acquire(&*log))]).run(
            || {
                runtime.block_on(async {
                    let task = spawn(inside_async("a task", write(log.clone(), "a task")));
                    let of_thread = log.clone();
                    let thread = spawn_blocking(inside("a thread", move || {
                        of_thread.blocking_lock().push("a thread");
                    }));
                    (task.await.unwrap(), thread.await.unwrap())
                });
            },
        );
        assert_eq!(written(&log), ["a thread", "a task"]);
    }
}

/// A future that a thread blocks on acts for the thread, and is suspended like a task.
#[test]
fn a_thread_that_blocks_on_a_future_lets_its_tasks_go_first() {
    let name = std::thread::current().name().unwrap().to_owned();
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let log = Log::default();
        Schedule::new().order([at("goes before", "here"), at(&name, acquire(&*log))]).run(|| {
            runtime.block_on(async {
                let before =
                    spawn(inside_async("goes before", async { async_point!("here").await }));
                log.lock().await.push("behind");
                before.await.unwrap();
            });
        });
        assert_eq!(written(&log), ["behind"]);
    }
}

/// A task without a role takes no part, whatever the name of its thread.
#[test]
fn other_tasks_of_a_thread_have_no_part() {
    let runtime = current_thread();
    let name = std::thread::current().name().unwrap().to_owned();
    let other = Cell::new(false);
    Schedule::new().order([at("late", "here"), at(&name, "here")]).run(|| {
        runtime.block_on(async {
            // Otherwise it would wait for ever, and so would its thread.
            spawn(async { point!("here") }).await.unwrap();
            other.set(true);
        });
        std::thread::scope(|scope| {
            scope.spawn(inside("late", || point!("here")));
            point!("here");
        });
    });
    assert!(other.get());
}

#[test]
fn code_is_inserted_into_tasks_of_the_thread() {
    let runtime = current_thread();
    let (log, ran) = (Log::default(), Cell::new(0));
    interleave::after(acquire(&*log), || ran.set(ran.get() + 1)).every_time().within(|| {
        runtime.block_on(async {
            spawn(write(log.clone(), "one")).await.unwrap();
            let owned = log.clone();
            spawn(async move { owned.lock_owned().await.push("two") }).await.unwrap();
        });
    });
    assert_eq!((ran.get(), written(&log)), (2, vec!["one", "two"]));
}

/// `explore` orders threads. Tasks run freely, whatever points they reach.
#[test]
fn tasks_are_not_explored() {
    for runtime in RUNTIMES {
        let explored = interleave::explore(0..5, || {
            let (log, runtime) = (Log::default(), runtime());
            runtime.block_on(async {
                let tasks = ["one", "two"].map(|role| {
                    let log = log.clone();
                    spawn(inside_async(role, async move {
                        async_point!("here").await;
                        write(log, role).await;
                    }))
                });
                for task in tasks {
                    task.await.unwrap();
                }
                assert_eq!(log.lock().await.len(), 2);
            });
        });
        let mut steps = explored.orders().iter().flat_map(interleave::Order::steps);
        assert!(steps.all(|step| step.starts_with("the test: ")), "{explored:?}");
    }
}

#[test]
fn a_future_in_a_role_without_a_schedule_is_the_future_alone() {
    let runtime = current_thread();
    assert_eq!(runtime.block_on(inside_async("nobody's", async { 42 })), 42);
}
