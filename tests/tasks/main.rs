//! Tasks that will never go on, those that look like it, and the order in which tasks take locks.
//!
//! Each scenario runs on both kinds of runtime. What comes after what is said by barriers and notifications.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

mod endings;
mod orders;
mod recovering;
mod soak;
mod stuck;

use std::{
    sync::{Arc, Mutex as Serial, PoisonError},
    time::Duration,
};

use lockdep::{
    Finding, FindingKind, Level,
    tokio::{
        runtime::{Builder, Runtime},
        spawn,
        sync::Mutex,
        time::timeout,
    },
};

type Lock = Arc<Mutex<()>>;

fn locks<const COUNT: usize>() -> [Lock; COUNT] {
    std::array::from_fn(|_| Lock::default())
}

/// What a program predicts, as opposed to what has happened.
const PREDICTIONS: [FindingKind; 3] =
    [FindingKind::Inversion, FindingKind::SingleThreadInversion, FindingKind::ClassInversion];

/// Runs one test at a time, with predictions at this level. Returns what was found, each kind in its order.
fn alone(predictions: Level, body: impl FnOnce()) -> Vec<FindingKind> {
    static ONE: Serial<()> = Serial::new(());
    let _one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in PREDICTIONS {
        lockdep::set_level(kind, predictions);
    }
    lockdep::reset();
    body();
    lockdep::take_findings().iter().map(Finding::kind).collect()
}

fn runtimes() -> [Runtime; 2] {
    let single = Builder::new_current_thread().enable_all().build();
    let multi = Builder::new_multi_thread().worker_threads(2).enable_all().build();
    [single.unwrap(), multi.unwrap()]
}

fn run_one<F>(runtime: Runtime, predictions: Level, body: impl FnOnce() -> F) -> Vec<FindingKind>
where
    F: Future<Output = ()> + Send + 'static,
{
    alone(predictions, || {
        // It ends, or panics for what is found.
        let ended =
            runtime.block_on(async { timeout(Duration::from_mins(1), spawn(body())).await });
        assert!(ended.is_ok(), "it hangs, and nothing is found");
        runtime.shutdown_timeout(Duration::from_secs(10));
    })
}

/// Runs a scenario on both kinds of runtime. Returns what has happened on each.
fn happens<F>(body: impl Fn() -> F) -> [Vec<FindingKind>; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    runtimes().map(|runtime| {
        let mut found = run_one(runtime, Level::Allow, &body);
        found.retain(|kind| !PREDICTIONS.contains(kind));
        found
    })
}

/// The same, with what is predicted.
fn found<F>(body: impl Fn() -> F) -> [Vec<FindingKind>; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    runtimes().map(|runtime| run_one(runtime, Level::Deny, &body))
}

/// Nothing of the locks in this test binary is held.
#[track_caller]
fn assert_nothing_held() {
    let held = lockdep::held().to_string();
    assert!(!held.contains("(exclusive)"), "{held}");
}
