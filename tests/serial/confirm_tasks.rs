//! `confirm` makes predicted deadlocks of tasks happen, on both kinds of runtime, or says why they
//! cannot.
#![cfg(all(feature = "interleave", feature = "tokio", any(debug_assertions, feature = "enforce")))]

use std::{sync::Arc, time::Duration};

use lockdep::{
    Finding, FindingKind,
    interleave::{self, Confirm, Confirmation, Obstacle, Replay},
    tokio::{
        self,
        runtime::{Builder, Runtime},
        spawn,
        sync::Mutex,
        task::yield_now,
    },
};

use crate::alone;

const TIMES: usize = 100;

fn current_thread() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

fn multi_thread() -> Runtime {
    Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

const RUNTIMES: [fn() -> Runtime; 2] = [current_thread, multi_thread];

/// Runs a program and returns the finding with the longest cycle.
fn found(program: impl FnOnce()) -> Finding {
    program();
    let findings = lockdep::take_findings();
    findings.into_iter().max_by_key(|finding| finding.cycle().len()).expect("something is found")
}

fn confirmed(finding: &Finding, program: impl FnMut()) -> Finding {
    let confirmation = interleave::confirm(finding, program);
    let confirmed = confirmation.confirmed().unwrap_or_else(|| panic!("{confirmation}"));
    let others = lockdep::take_findings();
    let is_deadlock = |finding: &Finding| finding.kind() == FindingKind::Deadlock;
    assert!(!others.iter().any(is_deadlock), "the deadlock is not among the others");
    assert_eq!(confirmed.deadlock().kind(), FindingKind::Deadlock);
    confirmed.deadlock().clone()
}

type Lock = Arc<Mutex<i32>>;

/// Acquires two nested locks.
async fn both(first: Lock, second: Lock) {
    let first = first.lock().await;
    yield_now().await;
    let second = second.lock().await;
    assert_ne!(*first, *second);
}

fn two_locks() -> (Lock, Lock) {
    (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)))
}

/// Both orders, in two tasks. The runtime may outlive them.
fn ab_ba(runtime: &Runtime) {
    let (a, b) = two_locks();
    runtime.block_on(async {
        let ab = spawn(both(a.clone(), b.clone()));
        let ba = spawn(both(b, a));
        let _ = (ab.await, ba.await);
    });
}

#[test]
fn two_tasks_are_driven_into_their_deadlock() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| ab_ba(&runtime()));
        assert_eq!(finding.kind(), FindingKind::Inversion);
        for _ in 0..TIMES {
            let deadlock = confirmed(&finding, || ab_ba(&runtime()));
            assert_eq!(deadlock.cycle().len(), 2);
            let of_task = |edge: &lockdep::Edge| edge.thread().to_string().starts_with("task ");
            assert!(deadlock.cycle().iter().all(of_task), "{deadlock}");
        }
    }
}

#[test]
fn a_runtime_that_is_there_before_does_as_well() {
    let _alone = alone();
    for runtime in RUNTIMES.map(|runtime| runtime()) {
        let finding = found(|| ab_ba(&runtime));
        for _ in 0..10 {
            confirmed(&finding, || ab_ba(&runtime));
        }
    }
}

/// Boxed futures, as with `async-trait`, which could move elsewhere.
fn boxed(runtime: &Runtime) {
    let (a, b) = two_locks();
    runtime.block_on(async {
        let ab = Box::pin(both(a.clone(), b.clone()));
        let ba = Box::pin(both(b, a));
        let (ab, ba) = (spawn(ab), spawn(ba));
        let _ = (ab.await, ba.await);
    });
}

/// A deadlock of guards that may have left their task is reported only later, in another
/// poll.
#[test]
fn tasks_in_boxes_are_driven_into_their_deadlock() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| boxed(&runtime()));
        for _ in 0..5 {
            confirmed(&finding, || boxed(&runtime()));
        }
    }
}

/// A guard of a static lock may have left its task, so the deadlock is normally a warning. Here it
/// must be broken.
#[test]
fn tasks_with_static_locks_are_driven_into_their_deadlock() {
    static LOCKS: [Mutex<i32>; 2] = [Mutex::const_new(1), Mutex::const_new(2)];
    async fn both(first: usize) {
        let first_guard = LOCKS[first].lock().await;
        yield_now().await;
        let second_guard = LOCKS[1 - first].lock().await;
        assert_ne!(*first_guard, *second_guard);
    }
    let _alone = alone();
    for runtime in RUNTIMES {
        let program = || {
            runtime().block_on(async {
                let tasks = [spawn(both(0)), spawn(both(1))];
                for task in tasks {
                    let _ = task.await;
                }
            });
        };
        let finding = found(program);
        confirmed(&finding, program);
    }
}

/// Each task acquires its lock and the next one; the last task closes the cycle.
fn ring(runtime: &Runtime, size: usize) {
    runtime.block_on(async {
        let locks: Arc<[_]> = (0..size).map(Mutex::new).collect();
        let tasks: Vec<_> = (0..size)
            .map(|number| {
                let locks = Arc::clone(&locks);
                spawn(async move {
                    let own = locks[number].lock().await;
                    let next = locks[(number + 1) % locks.len()].lock().await;
                    assert_eq!(*next, (*own + 1) % locks.len());
                })
            })
            .collect();
        for task in tasks {
            let _ = task.await;
        }
    });
}

/// More tasks are stopped than there are worker threads.
#[test]
fn rings_of_more_tasks_than_workers() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| ring(&runtime(), 5));
        for _ in 0..TIMES / 2 {
            assert_eq!(confirmed(&finding, || ring(&runtime(), 5)).cycle().len(), 5);
        }
    }
}

/// A std lock and a tokio lock, in tasks of which one blocks its worker thread.
fn std_and_tokio(runtime: &Runtime) {
    let outer = Arc::new(lockdep::sync::Mutex::new(0));
    let inner = Arc::new(Mutex::new(0));
    runtime.block_on(async {
        let (first, second) = (Arc::clone(&inner), Arc::clone(&outer));
        let async_first = spawn(async move {
            let _first = first.lock().await;
            drop(second.lock().unwrap());
        });
        let std_first = tokio::task::spawn_blocking(move || {
            let _first = outer.lock().unwrap();
            drop(inner.blocking_lock());
        });
        let _ = (async_first.await, std_first.await);
    });
}

#[test]
fn a_task_and_a_thread_are_driven_into_their_deadlock() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| std_and_tokio(&runtime()));
        // Few times: a guard of tokio's can be sent away, so each deadlock has to stand for a second.
        for _ in 0..3 {
            assert_eq!(confirmed(&finding, || std_and_tokio(&runtime())).cycle().len(), 2);
        }
    }
}

/// Both orders, under a common lock.
fn gated(runtime: &Runtime) {
    let gate = Arc::new(Mutex::new(()));
    let (a, b) = two_locks();
    runtime.block_on(async {
        let turn = |first: &Lock, second: &Lock| {
            let (gate, first, second) = (gate.clone(), first.clone(), second.clone());
            spawn(async move {
                let _gate = gate.lock().await;
                both(first, second).await;
            })
        };
        let tasks = [turn(&a, &b), turn(&b, &a)];
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn a_gate_is_named() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| gated(&runtime()));
        assert_eq!(finding.kind(), FindingKind::GuardedInversion);
        for _ in 0..TIMES {
            // On a busy machine the other task may not have reached the gate by then.
            let mut limits = [20, 3_000].map(Duration::from_millis).into_iter();
            loop {
                let limit = limits.next().expect("they come to the gate within seconds");
                let confirm = Confirm::new(&finding).attempts(1).timeout(limit);
                let confirmation = confirm.run(|| gated(&runtime()));
                match confirmation.not_reached().expect("the gate keeps them apart").obstacle() {
                    Obstacle::Gate { lock, .. } if lock == "`gate`" => break,
                    why => eprintln!("within {limit:?}: {why}"),
                }
            }
        }
    }
}

/// Both orders, one task awaited before the other starts.
fn one_after_the_other(runtime: &Runtime) {
    let (a, b) = two_locks();
    runtime.block_on(async {
        let (first, second) = (a.clone(), b.clone());
        let ab = async move {
            let _first = first.lock().await;
            drop(second.lock().await);
        };
        spawn(ab).await.unwrap();
        let ba = async move {
            let _second = b.lock().await;
            drop(a.lock().await);
        };
        let _ = spawn(ba).await;
    });
}

#[test]
fn a_task_that_has_ended_is_named() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| one_after_the_other(&runtime()));
        for _ in 0..TIMES {
            let confirm = Confirm::new(&finding).attempts(1).timeout(Duration::from_millis(5));
            let confirmation = confirm.run(|| one_after_the_other(&runtime()));
            let why = confirmation.not_reached().expect("they never meet").obstacle();
            assert!(matches!(why, Obstacle::Ended { .. }), "{why}");
        }
    }
    lockdep::reset();
}

/// A task that abandons its wait takes no part in a deadlock.
#[test]
fn a_future_that_is_dropped_while_it_is_stopped_has_no_part() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| ab_ba(&runtime()));
        let confirm = Confirm::new(&finding).attempts(1).timeout(Duration::from_millis(50));
        let confirmation = confirm.run(|| {
            let (a, b) = two_locks();
            runtime().block_on(async {
                let ab = spawn(both(a.clone(), b.clone()));
                while a.try_lock().is_ok() {
                    yield_now().await;
                }
                // It holds its first lock, and stops before the second at the latest.
                for _ in 0..10 {
                    yield_now().await;
                }
                ab.abort();
                assert!(ab.await.is_err_and(|it| it.is_cancelled()));
                spawn(both(b, a)).await.unwrap_or_else(|denied| assert!(denied.is_panic()));
            });
        });
        assert!(!confirmation.is_confirmed(), "{confirmation}");
    }
    lockdep::reset();
}

#[test]
fn a_schedule_can_be_kept_as_text() {
    let _alone = alone();
    for runtime in RUNTIMES {
        let finding = found(|| ab_ba(&runtime()));
        let confirmation = interleave::confirm(&finding, || ab_ba(&runtime()));
        let Confirmation::Confirmed(confirmed) = confirmation else { panic!("it happens") };
        let replay: Replay = confirmed.schedule().to_string().parse().unwrap();
        assert!(replay.run(|| ab_ba(&runtime())).is_confirmed());
    }
}
