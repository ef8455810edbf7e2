//! Correct programs of tasks, in which nothing may be found. Not in optimized builds, which have no
//! debug information here: without it, several branches of a task may count as one
//! (`docs/decisions/tasks.md`).
#![cfg(all(feature = "tokio", debug_assertions))]
#![allow(clippy::items_after_statements, reason = "items are next to their only use")]
#![allow(clippy::cast_possible_truncation, reason = "the numbers are small")]

mod branches;
mod guards_that_leave;
mod services;
mod soak;
mod streams;
mod wakers;

use std::{collections::BTreeSet, future::Future, sync::Arc, time::Duration};

use lockdep::{
    FindingKind, Level,
    tokio::{
        runtime::{Builder, Runtime},
        spawn,
        sync::Mutex,
        time::timeout,
    },
};

use crate::alone;

type Lock = Arc<Mutex<()>>;

const MS: fn(u64) -> Duration = Duration::from_millis;

/// Returns a lock that lives as long as the program.
fn leaked() -> &'static Mutex<()> {
    Box::leak(Box::default())
}

fn multi() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

fn single() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// Runs one program at a time, in a task of a runtime. Asserts that it ends without a finding and
/// that nothing is held.
#[track_caller]
fn is_correct_on<F>(runtime: Runtime, body: impl FnOnce() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let _alone = alone();
    let before = all_held();
    lockdep::reset();
    for kind in [FindingKind::Inversion, FindingKind::SingleThreadInversion] {
        lockdep::set_level(kind, Level::Deny);
    }
    let ended = runtime.block_on(async { timeout(Duration::from_secs(20), spawn(body())).await });
    runtime.shutdown_timeout(Duration::from_secs(5));
    let findings = lockdep::take_findings();
    let held = &all_held() - &before;
    for finding in &findings {
        println!("{finding}");
    }
    let kinds: Vec<_> = findings.iter().map(|it| (it.kind(), it.level())).collect();
    println!("kinds: {kinds:?}");
    assert!(findings.is_empty(), "{kinds:?}");
    ended.expect("it ends").expect("it does not panic");
    assert!(held.is_empty(), "{held:?}");
}

/// Returns the places at which the held locks were acquired.
fn all_held() -> BTreeSet<String> {
    let is_hold = |line: &&str| line.contains("(exclusive)") || line.contains("(shared)");
    let site = |line: &str| Some(line.split_once(" since ")?.1.split(',').next()?.to_owned());
    lockdep::held().to_string().lines().filter(is_hold).filter_map(site).collect()
}

#[track_caller]
fn is_correct<F>(body: impl Fn() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    is_correct_on(multi(), &body);
    is_correct_on(single(), &body);
}

/// Acquires two nested locks in another task.
async fn in_order(first: &'static Mutex<()>, second: &'static Mutex<()>) {
    let nested = spawn(async move {
        let _first = first.lock().await;
        let _second = second.lock().await;
    });
    nested.await.expect("it is correct");
}
