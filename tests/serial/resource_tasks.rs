//! What tasks do with resources.
#![cfg(feature = "tokio")]

use std::{convert::Infallible, sync::Arc};

use lockdep::{
    FindingKind,
    external::{Held, Mode, Resource},
    tokio::{
        spawn,
        sync::{Mutex, Notify},
        task::yield_now,
    },
};

use crate::{kinds, run};

const X: Mode = Mode::Exclusive;

/// A client's future, which waits once.
async fn granted() -> Result<(), Infallible> {
    yield_now().await;
    Ok(())
}

async fn acquire(key: u32) -> Held<()> {
    let Ok(held) = Resource::new("tasks", key).acquire_async(X, granted()).await;
    held
}

#[test]
fn a_lock_of_tokio_and_a_key_in_both_orders() {
    let found = run(async {
        let state = Arc::new(Mutex::new(()));
        lockdep::name(&*state, "state of tasks");
        let first = spawn({
            let state = Arc::clone(&state);
            async move {
                let _key = acquire(1).await;
                drop(state.lock().await);
            }
        });
        first.await.unwrap();
        let second = spawn(async move {
            let _held = state.lock().await;
            drop(acquire(1).await);
        });
        assert!(second.await.unwrap_err().is_panic());
    });
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert_eq!(finding.kind(), FindingKind::Inversion);
    let text = finding.to_string();
    let title = "`state of tasks` and `tasks 1` are acquired in both orders";
    assert!(text.contains(title), "{text}");
    // The helper's name needs debug information.
    let shown = if cfg!(debug_assertions) { "drop(acquire(1).await)" } else { "acquire_async" };
    assert!(text.contains(shown), "{text}");
}

/// Two tasks of one thread take turns. Each has its own resources.
#[test]
fn a_resource_belongs_to_its_task() {
    let found = run(async {
        let holds = |first: u32| async move {
            let held = acquire(first).await;
            for _ in 0..3 {
                yield_now().await;
            }
            drop(held);
        };
        for _ in 0..2 {
            let (one, other) = (spawn(holds(1)), spawn(holds(2)));
            one.await.unwrap();
            other.await.unwrap();
            let (other, one) = (spawn(holds(2)), spawn(holds(1)));
            other.await.unwrap();
            one.await.unwrap();
        }
    });
    assert_eq!(kinds(&found), []);
}

/// A guard of a call that blocks the thread is the task's as well.
#[test]
fn calls_that_block_the_thread_of_a_task() {
    let holds = |first: u32, second: u32| async move {
        let key = Resource::new("blocking tasks", first);
        let Ok(held) = key.acquire(X, || Ok::<_, Infallible>(()));
        yield_now().await;
        let told = Resource::new("blocking tasks", second).acquired(X);
        yield_now().await;
        drop((told, held));
    };
    // Each task holds its own while the other one acquires.
    let found = run(async move {
        let (one, other) = (spawn(holds(1, 2)), spawn(holds(3, 4)));
        one.await.unwrap();
        other.await.unwrap();
        let (one, other) = (spawn(holds(3, 4)), spawn(holds(1, 2)));
        one.await.unwrap();
        other.await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// Nothing is known of tasks that were given to the runtime directly, so nothing is said.
#[test]
fn unknown_tasks() {
    let holds = |first: u32, second: u32| async move {
        let told = Resource::new("unknown tasks", first).acquired(X);
        yield_now().await;
        let Ok(held) =
            Resource::new("unknown tasks", second).acquire(X, || Ok::<_, Infallible>(()));
        yield_now().await;
        let awaited =
            Resource::new("unknown tasks", second + 100).acquire_async(X, granted()).await;
        yield_now().await;
        drop((told, held, awaited));
    };
    let found = run(async move {
        for pair in [(1, 2), (2, 1)] {
            let one = ::tokio::spawn(holds(pair.0, pair.1));
            let other = ::tokio::spawn(holds(pair.1, pair.0));
            one.await.unwrap();
            other.await.unwrap();
        }
    });
    assert_eq!(kinds(&found), []);
}

/// A guard that another task has: no order is known of who holds it, and it can be released there.
#[test]
fn guards_can_be_sent_to_another_task() {
    let found = run(async {
        let state = Arc::new(Mutex::new(()));
        lockdep::name(&*state, "state of sent");
        {
            let _held = state.lock().await;
            drop(acquire(7).await);
        }
        let (sent, released) = (acquire(7).await, Arc::new(Notify::new()));
        let receiver = spawn({
            let released = Arc::clone(&released);
            async move {
                yield_now().await;
                drop(sent);
                released.notify_one();
            }
        });
        drop(state.lock().await);
        drop(acquire(7).await);
        released.notified().await;
        receiver.await.unwrap();
    });
    assert_eq!(kinds(&found), []);
}

/// Found both if the task waits at its acquisitions and if it does not.
#[test]
fn a_second_connection_of_a_pool() {
    let nested = |id: u32, waits: bool| async move {
        let call = || async move { if waits { granted().await } else { Ok(()) } };
        let pool = || Resource::new("pools of tasks", id).permits(4);
        let Ok(first) = pool().acquire_async(X, call()).await;
        let Ok(second) = pool().acquire_async(X, call()).await;
        drop((first, second));
    };
    for (id, waits, spawned) in
        [(1, true, true), (2, false, true), (3, true, false), (4, false, false)]
    {
        let found = run(async move {
            if spawned {
                spawn(nested(id, waits)).await.unwrap();
            } else {
                nested(id, waits).await;
            }
        });
        assert_eq!(kinds(&found), [FindingKind::PoolExhaustion], "{id}");
    }
}

/// Readers of another system may not queue behind writers.
#[test]
fn a_resource_that_a_task_reads_twice() {
    let found = run(async {
        let read = || Resource::new("read twice", 1).acquire_async(Mode::Shared, granted());
        let Ok(first) = read().await;
        let Ok(second) = read().await;
        drop((first, second));
    });
    assert_eq!(kinds(&found), []);
}
