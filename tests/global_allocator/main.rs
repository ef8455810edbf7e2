//! A global allocator that acquires a checked lock for every allocation, including ours.
#![cfg(any(debug_assertions, feature = "enforce"))]

mod counting_allocator;
mod interleave;
#[path = "../support/mod.rs"]
mod support;

use std::{
    sync::{MutexGuard, PoisonError},
    thread,
};

use counting_allocator::ALLOCATIONS;
use lockdep::sync::Mutex;
use support::{child_command, denied};

/// Runs one test at a time: `confirm` and `explore` look at all threads and findings of the process.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Many threads, many locks, deep nesting, a report, all with the allocator's lock below.
#[test]
fn an_allocator_with_a_lock() {
    let _alone = alone();
    let locks: Vec<_> = (0..40).map(|_| Mutex::new(Vec::new())).collect();
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let mut guards: Vec<_> =
                        locks.iter().map(|lock| lock.lock().unwrap()).collect();
                    guards[0].push(1);
                    drop(Mutex::new(1).lock());
                }
            });
        }
    });
    let _last = locks[39].lock().unwrap();
    assert!(denied(|| locks[0].lock()).is_some());
    assert!(*ALLOCATIONS.lock().unwrap() > 0);
}

/// The same with a backtrace for every acquisition, including the allocator's.
#[test]
fn with_a_backtrace_for_each_acquisition() {
    let mut child = child_command(an_allocator_with_a_lock);
    let output = child.env("LOCKDEP_BACKTRACE", "full").output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
