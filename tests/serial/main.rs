//! The tests that change or read what belongs to the process: levels, the order of locks, the list of findings. They
//! take turns.
#![cfg(all(
    any(debug_assertions, feature = "enforce"),
    any(feature = "interleave", feature = "records", feature = "tokio")
))]

mod async_locks;
mod confirm;
mod confirm_tasks;
mod contended_tasks;
mod correct_tasks;
mod event_tasks;
mod renderers;
mod resource_tasks;
mod task_edges;
mod task_reports;
mod tasks;
mod tokio_door;
mod tokio_sync;

use std::sync::{Mutex, MutexGuard, PoisonError};

use lockdep::FindingKind;

/// Waits for a test's turn, which lasts until the guard is dropped. Levels are the default ones then, and the order of
/// locks and the list of findings are empty.
fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    for kind in FindingKind::ALL {
        lockdep::set_level(kind, kind.default_level());
    }
    lockdep::reset();
    drop(lockdep::take_findings());
    turn
}

/// Runs a future as a task when it is its turn, on one thread. Returns the findings.
#[cfg(feature = "tokio")]
fn run(body: impl Future<Output = ()>) -> Vec<lockdep::Finding> {
    let _alone = alone();
    let runtime =
        lockdep::tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(body);
    lockdep::take_findings()
}

#[cfg(feature = "tokio")]
fn kinds(findings: &[lockdep::Finding]) -> Vec<FindingKind> {
    findings.iter().map(lockdep::Finding::kind).collect()
}
