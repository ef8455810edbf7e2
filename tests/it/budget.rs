//! The budget of the search for cycles. A separate process, because the counter is process-wide.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::thread;

use lockdep::{
    Finding, FindingKind,
    sync::{Mutex, RwLock},
};

use crate::support::in_a_child;

const LOCKS: usize = 20;
const THREADS: usize = LOCKS - 1;
/// The number of threads that acquire the locks of each edge.
const TAKEN: usize = 8;

/// An acquisition of a lock while the one before it is held.
struct Nested {
    held: usize,
    wanted: usize,
    /// Held only here. Otherwise an acquisition under fewer locks would make this one redundant.
    other: RwLock<()>,
}

/// A cycle of 20 locks, each edge of which was seen on 8 of 19 threads. The search for 20 distinct
/// threads is cut short before it proves that there are none, and no thread is denied.
#[test]
fn an_undecided_cycle_is_not_denied_but_counted() {
    let child = in_a_child(an_undecided_cycle_is_not_denied_but_counted, || {
        let locks: Vec<Mutex<()>> = (0..LOCKS).map(|_| Mutex::new(())).collect();
        let mut state = 1_u64;
        let mut nested: Vec<Vec<Nested>> = (0..THREADS).map(|_| Vec::new()).collect();
        for held in 1..LOCKS {
            for _ in 0..TAKEN {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963);
                let thread = usize::try_from((state >> 33) % THREADS as u64).unwrap();
                nested[thread].push(Nested {
                    held,
                    wanted: (held + 1) % LOCKS,
                    other: RwLock::new(()),
                });
            }
        }
        let nest = |nested: &Nested| {
            let _held = (locks[nested.held].lock(), nested.other.read());
            drop(locks[nested.wanted].lock());
        };
        thread::scope(|scope| {
            for nested in &nested[1..] {
                scope.spawn(|| nested.iter().for_each(nest)).join().unwrap();
            }
            assert_eq!(lockdep::stats().cut_short(), 0);
            // The first thread closes the cycle.
            let closes = scope.spawn(|| {
                nested[0].iter().for_each(nest);
                nest(&Nested { held: 0, wanted: 1, other: RwLock::new(()) });
            });
            closes.join().expect("nothing is denied");
        });
        let is_nesting = |it: &Finding| it.kind() == FindingKind::SameClassNesting;
        assert!(lockdep::take_findings().iter().all(is_nesting));
        assert_eq!(lockdep::stats().cut_short(), 1);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}
