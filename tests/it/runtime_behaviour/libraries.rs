// What a library that only knows tokio accepts.

use tokio::{
    runtime::{Builder, Handle, Runtime},
    task::{JoinSet, LocalSet},
};

fn takes_handle(handle: &::tokio::runtime::Handle) -> ::tokio::task::JoinHandle<u32> {
    handle.spawn(async { 1 })
}

fn keeps_handle(handle: ::tokio::runtime::Handle) -> ::tokio::runtime::Handle {
    handle
}

fn takes_runtime(runtime: &::tokio::runtime::Runtime) -> u32 {
    runtime.block_on(async { 1 })
}

fn keeps_runtime(runtime: ::tokio::runtime::Runtime) -> ::tokio::runtime::Runtime {
    runtime
}

fn takes_set(set: &mut ::tokio::task::JoinSet<u32>) {
    set.spawn(async { 1 });
}

fn takes_local(local: &::tokio::task::LocalSet) {
    local.spawn_local(async {});
}

fn runtime() -> Runtime {
    Builder::new_current_thread().build().unwrap()
}

#[test]
fn handles() {
    let runtime = runtime();
    let one = takes_handle(runtime.handle());
    assert_eq!(runtime.block_on(one).unwrap(), 1);
    let handle: Handle = keeps_handle(runtime.handle().clone().into()).into();
    let two = handle.spawn(async { 2 });
    assert_eq!(runtime.block_on(two).unwrap(), 2);
}

#[test]
fn runtimes() {
    let runtime = runtime();
    assert_eq!(takes_runtime(&runtime), 1);
    let runtime: Runtime = keeps_runtime(runtime.into()).into();
    assert_eq!(runtime.block_on(async { 2 }), 2);
    assert_eq!(runtime.block_on(runtime.handle().spawn(async { 3 })).unwrap(), 3);
}

#[tokio::test]
async fn sets() {
    let mut set = JoinSet::new();
    takes_set(&mut set);
    set.spawn(async { 2 });
    let mut sum = 0;
    while let Some(joined) = set.join_next().await {
        sum += joined.unwrap();
    }
    assert_eq!(sum, 3);
    let local = LocalSet::new();
    takes_local(&local);
    local.await;
}

/// A type that is not overridden is tokio's, so that it can be passed around.
#[tokio::test]
async fn handles_of_tasks() {
    let task: ::tokio::task::JoinHandle<()> = tokio::spawn(std::future::pending());
    let abort: ::tokio::task::AbortHandle = task.abort_handle();
    abort.abort();
    let error: ::tokio::task::JoinError = task.await.unwrap_err();
    assert!(error.is_cancelled());
}
