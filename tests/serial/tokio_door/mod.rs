//! `use lockdep::tokio;` in place of `tokio`: which tasks are known, and which locks a thread holds
//! that blocks on a future.
#![cfg(all(feature = "tokio", any(debug_assertions, feature = "enforce")))]
#![allow(clippy::await_holding_lock, reason = "one test at a time")]

use std::{
    panic::{AssertUnwindSafe, Location, catch_unwind},
    sync::{
        Arc, Barrier,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
    time::Duration,
};

use lockdep::{
    Finding, FindingKind,
    sync::Mutex as StdMutex,
    tokio::{
        runtime::{Builder, Handle, Runtime},
        sync::Mutex,
        task::{JoinSet, LocalSet},
    },
};

use crate::alone;

mod block_on;
mod known;
mod local_set;

fn kinds() -> Vec<FindingKind> {
    lockdep::take_findings().iter().map(Finding::kind).collect()
}

fn edges() -> usize {
    lockdep::order_graph().as_petgraph().edge_count()
}

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn both() -> [Runtime; 2] {
    [current_thread(), multi_thread()]
}

static PROBES: AtomicUsize = AtomicUsize::new(0);

/// Returns the name of the task or thread for which the awaiting future holds a lock.
async fn known_as() -> Option<String> {
    let probe = Mutex::new(());
    let number = PROBES.fetch_add(1, Relaxed);
    lockdep::name(&probe, format!("probe {number}"));
    let _guard = probe.lock().await;
    let held = lockdep::held().to_string();
    let (before, _) = held.split_once(&format!("`probe {number}` (exclusive)"))?;
    let line = before.lines().rfind(|it| it.starts_with("thread") || it.starts_with("task"))?;
    Some(line.to_owned())
}

/// Asserts that `known_as` is a task that was spawned in the line before the call.
#[track_caller]
fn assert_spawned_here(known_as: Option<String>) {
    let here = Location::caller();
    let place = format!("{}:{}:", here.file(), here.line() - 1);
    let known_as = known_as.expect("it is known");
    assert!(known_as.contains(&place), "{known_as}, {place}");
}
