//! Small stacks.

use std::thread;

use lockdep::sync::{Mutex, RwLock};

use crate::{alone, support::denied};

/// Enough to acquire locks, with known and new chains.
const FOR_LOCKS: usize = 40 * 1024;
/// Enough to report a finding.
const FOR_REPORTS: usize = 128 * 1024;

fn on_a_stack(size: usize, body: impl FnOnce() + Send) {
    thread::scope(|scope| {
        thread::Builder::new().stack_size(size).spawn_scoped(scope, body).unwrap().join().unwrap();
    });
}

#[test]
fn locks_and_new_edges_on_the_smallest_stack() {
    let size = size("LOCKDEP_TEST_STACK", FOR_LOCKS);
    alone(locks_and_new_edges_on_the_smallest_stack, || {
        let (a, b, c) = (Mutex::new(()), RwLock::new(()), Mutex::new(()));
        on_a_stack(size, || {
            drop((a.lock(), b.read(), c.lock()));
            drop((a.lock(), b.write(), c.try_lock()));
            lockdep::allow(|| drop((c.lock(), a.lock())));
        });
        // The chain was checked.
        assert!(denied(|| drop((c.lock(), a.lock()))).is_some());
    });
}

#[test]
fn a_report_on_a_small_stack() {
    let size = size("LOCKDEP_TEST_REPORT_STACK", FOR_REPORTS);
    alone(a_report_on_a_small_stack, || on_a_stack(size, || drop(crate::invert())));
}

/// Returns the size set by a variable, for finding the minimum.
fn size(variable: &str, default: usize) -> usize {
    std::env::var(variable).map_or(default, |size| size.parse().expect("bytes"))
}
