//! A model of threads that find, take and close scopes at once, in many random schedules. Nothing of
//! the ledger waits while it holds its lock: it is where the program's code runs in between, hooks and
//! what decides about findings, that threads take turns.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use shuttle::{Config, Runner, scheduler::PctScheduler, thread};

use super::{close_scope, on_finding, open_scope, submit, take_findings, take_findings_in};
use crate::finding::{Detail, Finding, FindingKind, Level, ScopeId};

/// A finding that is told from others by a number.
fn find(number: u32, scope: ScopeId) {
    let detail = Detail::Classes { numbers: [number, number], made_at: Arc::new([]) };
    let _ = submit(FindingKind::Inversion, Vec::new(), detail, Some(scope), Some(Level::Allow));
    thread::yield_now();
}

fn how_many(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::count).sum()
}

/// Two threads find the same and another thing, while two others take it and close the scope: each
/// time it was found is with one of those who took it, or with the process. Hooks are told once for
/// each time it was new.
#[test]
fn shuttle_nothing_that_is_found_is_lost() {
    static TOLD: AtomicUsize = AtomicUsize::new(0);
    on_finding(|_| {
        thread::yield_now();
        TOLD.fetch_add(1, Relaxed);
    });
    let model = || {
        TOLD.store(0, Relaxed);
        let scope = open_scope();
        let finders = [[1, 2], [1, 1]].map(|numbers| {
            thread::spawn(move || numbers.into_iter().for_each(|number| find(number, scope)))
        });
        let takers = [true, false].map(|closes| {
            thread::spawn(move || {
                let taken = take_findings_in(scope, |_| {
                    thread::yield_now();
                    true
                });
                if closes {
                    close_scope(scope);
                }
                taken
            })
        });
        for finder in finders {
            finder.join().unwrap();
        }
        let mut all = takers.map(|thread| thread.join().unwrap()).concat();
        all.extend(take_findings());
        assert_eq!(how_many(&all), 4);
        // Those of a scope that is closed may meet the same among the process's.
        assert!((2..=4).contains(&TOLD.load(Relaxed)) && all.len() <= TOLD.load(Relaxed));
    };
    let mut config = Config::new();
    config.silence_warnings = true;
    Runner::new(PctScheduler::new(4, 10_000), config).run(model);
}
