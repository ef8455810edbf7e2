// Runtimes, their builders and handles.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use tokio::runtime::{Builder, EnterGuard, Handle, Runtime, RuntimeFlavor};

#[test]
fn every_setting() {
    let calls = Arc::new(AtomicUsize::new(0));
    let count = || {
        let calls = calls.clone();
        move || _ = calls.fetch_add(1, SeqCst)
    };
    let mut builder = Builder::new_multi_thread();
    builder
        .enable_all()
        .enable_io()
        .enable_time()
        .worker_threads(2)
        .max_blocking_threads(3)
        .thread_name("named")
        .thread_name_fn(|| "by-function".to_owned())
        .thread_stack_size(1 << 20)
        .thread_keep_alive(Duration::from_millis(10))
        .global_queue_interval(5)
        .event_interval(7)
        .max_io_events_per_tick(64)
        .on_thread_start(count())
        .on_thread_stop(count())
        .on_thread_park(count())
        .on_thread_unpark(count());
    assert!(format!("{builder:?}").starts_with("Builder {"));
    let runtime = builder.build().unwrap();
    let name = runtime.block_on(async {
        tokio::spawn(async { thread::current().name().map(str::to_owned) }).await.unwrap()
    });
    assert_eq!(name.as_deref(), Some("by-function"));
    assert_eq!(runtime.metrics().num_workers(), 2);
    drop(runtime);
    assert!(calls.load(SeqCst) >= 4);
}

#[test]
fn time_stands_still() {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let begun = Instant::now();
    runtime.block_on(async { tokio::time::sleep(Duration::from_mins(10)).await });
    assert!(begun.elapsed() < Duration::from_mins(1));
}

#[test]
fn handles_are_of_the_runtime() {
    assert!(Handle::try_current().unwrap_err().is_missing_context());
    let runtime = Runtime::new().unwrap();
    assert_eq!(runtime.handle().runtime_flavor(), RuntimeFlavor::MultiThread);
    {
        let _entered: EnterGuard<'_> = runtime.enter();
        let task = tokio::spawn(async { Handle::current().spawn(async { 1 }).await.unwrap() });
        assert_eq!(Handle::current().block_on(task).unwrap(), 1);
        let handle = runtime.handle().clone();
        let _again = handle.enter();
        assert!(Handle::try_current().is_ok());
    }
    assert!(format!("{:?}", runtime.handle()).starts_with("Handle {"));
    assert!(format!("{runtime:?}").starts_with("Runtime {"));
    let blocking = runtime.spawn_blocking(|| Handle::current().block_on(async { 2 }));
    assert_eq!(runtime.block_on(blocking).unwrap(), 2);
    let nested = runtime.handle().spawn_blocking(|| {
        Builder::new_current_thread().build().unwrap().block_on(async { 3 })
    });
    assert_eq!(runtime.block_on(nested).unwrap(), 3);
}

#[test]
fn shutdowns() {
    let dropped = Arc::new(());
    for (way, runtime) in (0..3).map(|way| (way, Runtime::new().unwrap())) {
        let seen = dropped.clone();
        runtime.spawn(async move {
            std::future::pending::<()>().await;
            drop(seen);
        });
        match way {
            0 => drop(runtime),
            1 => runtime.shutdown_timeout(Duration::from_secs(10)),
            _ => runtime.shutdown_background(),
        }
    }
    let limit = Instant::now() + Duration::from_secs(30);
    while Arc::strong_count(&dropped) > 1 {
        assert!(Instant::now() < limit, "their futures are dropped with the runtime");
        thread::yield_now();
    }
}

#[test]
#[should_panic(expected = "Cannot start a runtime from within a runtime")]
fn a_runtime_within_a_task() {
    let runtime = Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { Builder::new_current_thread().build().unwrap().block_on(async {}) });
}

#[test]
fn a_future_that_borrows() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let mut sum = 0;
    runtime.block_on(async { sum += 1 });
    runtime.handle().block_on(async { sum += 1 });
    assert_eq!(sum, 2);
}

#[test]
fn can_be_sent_and_caught() {
    fn runtime<T: Send + Sync + std::panic::UnwindSafe + std::panic::RefUnwindSafe>() {}
    fn handle<T: Send + Sync + Clone + std::fmt::Debug>() {}
    fn builder<T: Send + std::fmt::Debug>() {}
    runtime::<Runtime>();
    handle::<Handle>();
    builder::<Builder>();
}
