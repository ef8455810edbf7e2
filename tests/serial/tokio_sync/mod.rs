//! Findings with tokio's `RwLock`, `Semaphore` and `OnceCell`, and correct uses without one.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]

mod leftovers;
mod once_cell;
mod rwlock;
mod semaphore;
mod unknown;

use std::{sync::Arc, time::Duration};

use lockdep::{
    Finding,
    tokio::{self, time::sleep},
};

use crate::kinds;

/// Runs one test at a time, and returns its findings.
fn alone(body: impl FnOnce()) -> Vec<Finding> {
    let _alone = crate::alone();
    body();
    lockdep::take_findings()
}

/// Runs a task on both kinds of runtime, and returns its findings, which are the same on both.
fn found<F: Future<Output = ()>>(body: impl Fn() -> F) -> Vec<Finding> {
    let [single, multi] = [None, Some(2)].map(|workers| {
        let mut builder = match workers {
            None => tokio::runtime::Builder::new_current_thread(),
            Some(_) => tokio::runtime::Builder::new_multi_thread(),
        };
        let runtime = builder.worker_threads(workers.unwrap_or(1)).enable_all().build().unwrap();
        alone(|| {
            runtime.block_on(body());
            runtime.shutdown_timeout(Duration::from_secs(10));
        })
    });
    assert_eq!(kinds(&single), kinds(&multi));
    single
}

/// Runs a task to its end. Returns `false` if it panicked.
async fn task<F: Future<Output = ()> + Send + 'static>(future: F) -> bool {
    tokio::spawn(future).await.is_ok()
}

/// Lets other tasks run between two acquisitions, as real tasks do.
async fn elsewhere() {
    sleep(Duration::from_millis(1)).await;
}

fn two<L: Default>() -> [Arc<L>; 2] {
    [Arc::default(), Arc::default()]
}
