//! A thread waits at a barrier under a lock that another of its threads acquires before it arrives.
#![cfg(debug_assertions)]

use std::sync::{Arc, Barrier as StdBarrier};

use crate::support::{denied, findings_about};
use lockdep::{
    Finding, FindingKind,
    sync::{Barrier, Mutex},
    thread,
};

fn named(name: &str) -> Arc<Mutex<()>> {
    let lock = Arc::new(Mutex::new(()));
    lockdep::name(&*lock, name);
    lock
}

fn take(lock: &Mutex<()>) {
    drop(lock.lock().unwrap());
}

/// Returns the kinds of findings about a lock, except that it is held during a wait at a barrier.
fn found(name: &str) -> Vec<FindingKind> {
    let is_order = |it: &Finding| it.kind() != FindingKind::WaitWhileHolding;
    findings_about(&[name]).iter().filter(|it| is_order(it)).map(Finding::kind).collect()
}

/// What a thread does before it reaches a barrier.
#[derive(Clone, Copy)]
enum Before {
    Nothing,
    /// Acquires and releases the lock.
    Takes,
    /// Acquires the lock and holds it while it waits.
    Holds,
    /// As `Holds`, inside `allow`.
    HoldsAllowed,
    TakesAllowed,
}

/// Runs one step per thread and generation; the second thread's step comes after the first one's.
/// Returns the reports of both.
fn run(lock: &Mutex<()>, steps: [&[Before]; 2]) -> [Vec<String>; 2] {
    let (barrier, turn) = (Barrier::new(2), StdBarrier::new(2));
    let step = |step: Before| {
        let mut held = None;
        match step {
            Before::Nothing => {}
            Before::Takes => take(lock),
            Before::TakesAllowed => lockdep::allow(|| take(lock)),
            Before::Holds | Before::HoldsAllowed => held = Some(lock.lock().unwrap()),
        }
        held
    };
    let arrive = |before: Before, held| {
        let wait = || _ = barrier.wait();
        let report = match before {
            Before::HoldsAllowed => lockdep::allow(|| denied(wait)),
            _ => denied(wait),
        };
        drop(held);
        report
    };
    let first = || {
        let one = |&before: &Before| {
            let held = step(before);
            turn.wait();
            arrive(before, held)
        };
        steps[0].iter().filter_map(one).collect()
    };
    let second = || {
        let one = |&before: &Before| {
            turn.wait();
            let held = step(before);
            arrive(before, held)
        };
        steps[1].iter().filter_map(one).collect()
    };
    thread::scope(|scope| {
        let named = |name: &str| thread::Builder::new().name(name.into());
        let first = named("first").spawn_scoped(scope, first).unwrap();
        let second = named("second").spawn_scoped(scope, second).unwrap();
        [first, second].map(|thread| thread.join().unwrap())
    })
}

use Before::{Holds, HoldsAllowed, Nothing, Takes, TakesAllowed};

/// Nothing hangs, because the first thread acquires the lock before the second.
#[test]
fn a_lock_that_another_takes_before_it_comes() {
    let lock = named("taken before a barrier");
    let [first, second] = run(&lock, [&[Nothing, Takes], &[Nothing, Holds]]);
    let reports = [first, second].concat();
    let [report] = &reports[..] else { panic!("one: {reports:?}") };
    let report = report.split_whitespace().collect::<Vec<_>>().join(" ");
    for text in [
        "error[lockdep::inversion]: `taken before a barrier` is held during a wait at `barrier`, before \
         which others acquire `taken before a barrier`",
        "`barrier` is a `Barrier` made at tests/it/barriers.rs:",
    ] {
        assert!(report.contains(text), "{text}\n{report}");
    }
    assert_eq!(found("taken before a barrier"), [FindingKind::Inversion]);
}

/// The steps of both threads, and the expected finding.
#[test]
fn what_is_found_and_what_is_not() {
    for (at, (first, second, expected)) in [
        (&[Nothing, Takes][..], &[Nothing, Holds][..], Some(FindingKind::Inversion)),
        (&[Takes, Takes, Takes], &[Nothing, Nothing, Holds], Some(FindingKind::Inversion)),
        // In another generation.
        (&[Nothing, Takes, Nothing], &[Nothing, Nothing, Holds], None),
        (&[Nothing, Nothing, Takes], &[Nothing, Holds, Nothing], None),
        (&[Nothing, Takes, Nothing, Takes], &[Nothing, Nothing, Holds, Nothing], None),
        // Before the first wait.
        (&[Takes], &[Holds], None),
        (&[Takes, Nothing], &[Holds, Holds], None),
        // No other thread acquires it.
        (&[Nothing, Nothing, Nothing], &[Nothing, Holds, Holds], None),
        (&[Nothing, Nothing, Nothing], &[Takes, Takes, Holds], None),
        // Allowed.
        (&[Nothing, TakesAllowed], &[Nothing, Holds], None),
        (&[Nothing, Takes], &[Nothing, HoldsAllowed], None),
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("barrier case {at}");
        let lock = named(&name);
        let reports = run(&lock, [first, second]).concat();
        assert_eq!(reports.len(), usize::from(expected.is_some()), "{at}: {reports:?}");
        assert_eq!(found(&name), expected.into_iter().collect::<Vec<_>>(), "{at}");
        assert!(!lock.is_poisoned());
    }
}

/// If more threads come than the barrier is for, it is unknown which of them a thread waits for.
#[test]
fn more_threads_than_it_is_for() {
    let (lock, barrier) = (named("a barrier for more"), Barrier::new(2));
    let pass = |others: &dyn Fn()| {
        thread::scope(|scope| {
            scope.spawn(|| {
                take(&lock);
                barrier.wait();
            });
            others();
        });
    };
    pass(&|| _ = barrier.wait());
    for _ in 0..3 {
        pass(&|| {
            let held = loop {
                // After the other thread has released it.
                match lock.try_lock() {
                    Ok(held) => break held,
                    Err(_) => thread::yield_now(),
                }
            };
            drop(held);
            barrier.wait();
        });
    }
    assert_eq!(found("a barrier for more"), []);
}

/// Each generation is a node of the graph only while it lasts.
#[test]
fn a_generation_that_is_over_leaves_nothing() {
    let lock = named("of no generation");
    let about = |lock: &lockdep::LockInfo| lock.name() == Some("of no generation");
    let edges = || {
        let graph = lockdep::order_graph();
        graph
            .as_petgraph()
            .edge_weights()
            .filter(|it| about(it.held()) || about(it.wanted()))
            .count()
    };
    assert_eq!(
        run(&lock, [&[Nothing; 5], &[Nothing, Holds, Holds, Holds, Holds]]).concat().len(),
        0
    );
    assert_eq!(edges(), 0);
    assert_eq!(
        run(&lock, [&[Nothing, Takes, Nothing], &[Nothing, Holds, Nothing]]).concat().len(),
        1
    );
    assert_eq!(edges(), 0);
}

/// One barrier starts each phase and another ends it. A lock acquired between the phases is within
/// the second barrier's generation, but before the first barrier.
#[test]
fn another_barrier_in_between() {
    let lock = named("taken between phases");
    let (begin, end) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            for _ in 0..3 {
                begin.wait();
                let _held = lock.lock().unwrap();
                denied(|| end.wait());
            }
        });
        for _ in 0..3 {
            take(&lock);
            begin.wait();
            denied(|| end.wait());
        }
    });
    assert_eq!(found("taken between phases"), []);
}
