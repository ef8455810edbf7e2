//! A shuttle model of threads that find, take and close scopes concurrently, in random schedules.
//! The ledger never waits while it holds its lock, so threads switch where the program's code runs:
//! in hooks, and in the closures that select findings.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use shuttle::{Config, Runner, scheduler::PctScheduler, thread};

use super::{close_scope, on_finding, open_scope, submit, take_findings, take_findings_in};
use crate::finding::{Detail, Finding, FindingKind, Level, ScopeId};

/// Makes a finding identified by a number.
fn find(number: u32, scope: ScopeId) {
    let detail = Detail::Classes { numbers: [number, number], made_at: Arc::new([]) };
    let _ = submit(FindingKind::Inversion, Vec::new(), detail, Some(scope), Some(Level::Allow));
    thread::yield_now();
}

fn how_many(findings: &[Finding]) -> u64 {
    findings.iter().map(Finding::count).sum()
}

/// Two threads make findings while two others take them and one of these closes the scope. Each
/// finding must end up with one of the takers or with the process, and hooks must run once for each
/// new one.
#[test]
fn shuttle_no_finding_is_lost() {
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
        // The findings of a closed scope may merge with equal ones of the process.
        assert!((2..=4).contains(&TOLD.load(Relaxed)) && all.len() <= TOLD.load(Relaxed));
    };
    let mut config = Config::new();
    config.silence_warnings = true;
    Runner::new(PctScheduler::new(4, 10_000), config).run(model);
}
