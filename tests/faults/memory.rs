//! Failing allocations.
//!
//! Rust calls `handle_alloc_error`, which aborts the process, so no thread is left waiting for a
//! lock. These tests check that this happens whichever allocation fails, without a hang or memory
//! corruption before.

use crate::{Ended, allocator, child, denied, support::is_child};
use lockdep::sync::{Mutex, RwLock};

const NTH: &str = "LOCKDEP_TEST_NTH";

/// Acquires its first locks, makes edges and a finding, and renders the report.
#[test]
fn an_allocation_that_fails_ends_the_process_and_nothing_else_happens() {
    let test = an_allocation_that_fails_ends_the_process_and_nothing_else_happens;
    if is_child() {
        let nth = std::env::var(NTH).unwrap().parse().unwrap();
        let (a, b, c) = (Mutex::new(()), RwLock::new(()), Mutex::new(()));
        allocator::fail_at(nth);
        drop((a.lock(), b.read(), c.lock()));
        let report = denied(|| drop((c.lock(), a.lock())));
        let has_failed = allocator::fail_no_more();
        assert!(report.is_some());
        println!("\n{}", if has_failed { "recovered" } else { "the end" });
        return;
    }
    let mut aborted = 0;
    // Each of the first ones, then a selection: rendering a report allocates thousands of times.
    let some = std::iter::successors(Some(40_u64), |nth| Some(nth * 3 / 2));
    for nth in (1..40).chain(some) {
        let ended = Ended::of(child(test).env(NTH, nth.to_string()));
        if ended.text.contains("\nthe end\n") {
            ended.assert_success();
            break;
        }
        match ended.signal() {
            Some(signal) => {
                assert_eq!(signal, libc::SIGABRT, "the {nth}th: {}", ended.text);
                assert!(ended.text.contains("memory allocation of"), "the {nth}th: {}", ended.text);
                aborted += 1;
            }
            // Code that copes with the failure, such as the lookup of symbols.
            None => assert!(ended.text.contains("\nrecovered\n"), "the {nth}th: {}", ended.text),
        }
    }
    assert!(aborted > 30, "{aborted}");
}
