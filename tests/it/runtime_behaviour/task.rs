// Tasks, and sets of them.

use std::{cell::Cell, future::pending, rc::Rc};

use tokio::{
    runtime::{Builder, Handle},
    task::{JoinSet, LocalSet, block_in_place, spawn, spawn_blocking, spawn_local, yield_now},
};

#[tokio::test]
async fn spawned() {
    assert_eq!(tokio::spawn(async { 1 }).await.unwrap(), 1);
    assert_eq!(spawn(async { 2 }).await.unwrap(), 2);
    assert_eq!(spawn_blocking(|| 3).await.unwrap(), 3);
    let panicked = spawn(async { panic!("a word") }).await.unwrap_err();
    assert_eq!(panicked.into_panic().downcast_ref::<&str>(), Some(&"a word"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn in_place() {
    let task = spawn(async {
        block_in_place(|| Handle::current().block_on(async { spawn(async { 1 }).await.unwrap() }))
    });
    assert_eq!(task.await.unwrap(), 1);
}

#[test]
fn local_sets() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let local = LocalSet::new();
    let sum = Rc::new(Cell::new(0));
    let add = |by: i32| {
        let sum = sum.clone();
        async move {
            yield_now().await;
            sum.set(sum.get() + by);
        }
    };
    let first = local.spawn_local(add(1));
    let second = {
        let _entered = local.enter();
        spawn_local(add(10))
    };
    let third = local.block_on(&runtime, async {
        first.await.unwrap();
        spawn_local(add(100)).abort_handle()
    });
    runtime.block_on(local.run_until(async { second.await.unwrap() }));
    runtime.block_on(local);
    assert!(third.is_finished());
    assert_eq!(sum.get(), 111);
    assert!(format!("{:?}", LocalSet::default()).starts_with("LocalSet"));
}

#[tokio::test]
#[should_panic(expected = "`spawn_local` called from outside of a `task::LocalSet`")]
async fn a_local_task_without_a_set() {
    spawn_local(async {});
}

#[test]
fn every_way_into_a_set() {
    let runtime = Builder::new_current_thread().build().unwrap();
    let local = LocalSet::new();
    let all = local.block_on(&runtime, async {
        let mut set: JoinSet<u32> = (1..=2).map(|it| async move { it }).collect();
        set.spawn(async { 3 });
        set.spawn_on(async { 4 }, &Handle::current());
        set.spawn_on(async { 5 }, runtime.handle());
        set.spawn_local(async { 6 });
        set.spawn_local_on(async { 7 }, &local);
        set.spawn_blocking(|| 8);
        set.spawn_blocking_on(|| 9, &Handle::current());
        assert_eq!((set.len(), set.is_empty()), (9, false));
        let mut all = Vec::new();
        while let Some(joined) = set.join_next().await {
            all.push(joined.unwrap());
        }
        all.sort_unstable();
        all
    });
    assert_eq!(all, (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_becomes_of_a_set() {
    let mut set = JoinSet::default();
    set.spawn(pending::<()>()).abort();
    assert!(set.join_next().await.unwrap().unwrap_err().is_cancelled());
    assert!(set.join_next().await.is_none());
    assert!(set.try_join_next().is_none());
    set.spawn(pending());
    set.spawn(pending());
    set.abort_all();
    set.shutdown().await;
    assert!(set.is_empty());
    set.spawn(pending());
    set.detach_all();
    assert_eq!(set.len(), 0);
    assert!(format!("{set:?}").starts_with("JoinSet {"));
}

/// A ready future is dropped before the task that waits for it continues, as in tokio.
#[tokio::test]
async fn what_a_future_has_is_dropped() {
    let shared = std::sync::Arc::new(());
    let has = shared.clone();
    spawn(async move { drop(has) }).await.unwrap();
    assert_eq!(std::sync::Arc::strong_count(&shared), 1);
    let has = shared.clone();
    let task = spawn(async move {
        pending::<()>().await;
        drop(has);
    });
    yield_now().await;
    task.abort();
    assert!(task.await.is_err());
    assert_eq!(std::sync::Arc::strong_count(&shared), 1);
}
