//! Memory that is refused.
//!
//! Rust's way is `handle_alloc_error`, which ends the process: nobody's locks are left behind, ours
//! no more than the program's. What is asked here is that it comes to that, at whichever
//! allocation: no hang and no broken memory on the way.

use crate::{Ended, allocator, child, denied, support::is_child};
use lockdep::sync::{Mutex, RwLock};

const NTH: &str = "LOCKDEP_TEST_NTH";

/// Takes locks for the first time, makes edges and a finding, and draws its report.
#[test]
fn an_allocation_that_fails_ends_the_process_and_nothing_else_happens() {
    let test = "memory::an_allocation_that_fails_ends_the_process_and_nothing_else_happens";
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
    // Every one of the first, then some: drawing a report allocates thousands of times.
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
            // What does without: symbols that cannot be looked up, for one.
            None => assert!(ended.text.contains("\nrecovered\n"), "the {nth}th: {}", ended.text),
        }
    }
    assert!(aborted > 30, "{aborted}");
}
