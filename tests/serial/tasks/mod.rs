//! Tasks that will never continue, tasks that only look like it, and the order in which tasks
//! acquire locks.
//!
//! Each scenario runs on both kinds of runtime. Barriers and notifications enforce the order of its
//! steps.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

mod endings;
mod orders;
mod pools;
mod recovering;
mod soak;
mod stuck;

use std::{sync::Arc, time::Duration};

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

/// The kinds that predict a deadlock, rather than report an actual one.
const PREDICTIONS: [FindingKind; 3] =
    [FindingKind::Inversion, FindingKind::SingleThreadInversion, FindingKind::ClassInversion];

/// Runs one test at a time, with predictions at this level, and returns the kinds that were found,
/// each in its order.
fn alone(predictions: Level, body: impl FnOnce()) -> Vec<FindingKind> {
    let _alone = crate::alone();
    for kind in PREDICTIONS {
        lockdep::set_level(kind, predictions);
    }
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
        // It ends, or panics because of the finding.
        let ended =
            runtime.block_on(async { timeout(Duration::from_mins(1), spawn(body())).await });
        assert!(ended.is_ok(), "it hangs, and nothing is found");
        runtime.shutdown_timeout(Duration::from_secs(10));
    })
}

/// Runs a scenario on both kinds of runtime, and returns the actual deadlocks found on each.
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

/// As above, but including predictions.
fn found<F>(body: impl Fn() -> F) -> [Vec<FindingKind>; 2]
where
    F: Future<Output = ()> + Send + 'static,
{
    runtimes().map(|runtime| run_one(runtime, Level::Deny, &body))
}

/// Asserts that no lock of this test binary is held.
#[track_caller]
fn assert_nothing_held() {
    let held = lockdep::held().to_string();
    assert!(!held.contains("(exclusive)"), "{held}");
}
