//! Joins of threads, under locks that these threads acquire.
#![cfg(debug_assertions)]

use std::{
    sync::{Arc, Barrier, mpsc},
    time::Duration,
};

use crate::support::{self, denied, findings_about, kinds};
use lockdep::{
    FindingKind, Level, WaitKind,
    sync::{Condvar, Mutex, RwLock},
    thread,
};

fn named(name: &str) -> Arc<Mutex<()>> {
    let lock = Arc::new(Mutex::new(()));
    lockdep::name(&*lock, name);
    lock
}

/// Returns the kinds of findings about a lock, except that a thread was joined while it was held.
fn found(name: &str) -> Vec<FindingKind> {
    let mut found = kinds(&findings_about(&[name]));
    found.retain(|kind| *kind != FindingKind::WaitWhileHolding);
    found
}

fn take(lock: &Mutex<()>) {
    drop(lock.lock().unwrap());
}

/// Runs a test in a separate process in which only deadlocks that happen are denied.
fn in_a_child(test: impl Fn(), body: impl FnOnce()) {
    let output = support::in_a_child(test, || {
        lockdep::set_level(FindingKind::Inversion, Level::Allow);
        lockdep::set_level(FindingKind::SingleThreadInversion, Level::Allow);
        body();
    });
    if let Some(output) = output {
        println!("{}", String::from_utf8_lossy(&output.stdout));
        println!("{}", String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success());
    }
}

/// Nothing hangs: the worker acquired its lock before this thread did.
#[test]
fn a_join_under_a_lock_that_the_thread_takes() {
    let lock = named("joined under");
    let worker = thread::Builder::new().name("worker".into());
    let worker = worker.spawn({
        let lock = Arc::clone(&lock);
        move || take(&lock)
    });
    let worker = worker.unwrap();
    while !worker.is_finished() {
        thread::yield_now();
    }
    let held = lock.lock().unwrap();
    let report = denied(|| worker.join().unwrap()).expect("an inversion");
    drop(held);
    println!("{report}");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
    assert_eq!(found("joined under"), [FindingKind::Inversion]);
}

#[test]
fn a_join_under_another_lock_is_none() {
    let lock = named("not joined under");
    // Created elsewhere, so that it is of another class.
    let other = Arc::new(Mutex::new(()));
    let worker = thread::spawn({
        let other = Arc::clone(&other);
        move || take(&other)
    });
    let held = lock.lock().unwrap();
    worker.join().unwrap();
    drop(held);
    assert_eq!(found("not joined under"), []);
}

#[test]
fn the_end_of_a_scope_is_a_join() {
    let lock = named("around the end of a scope");
    let report = denied(|| {
        let mut held = None;
        thread::scope(|scope| {
            let (done, is_done) = mpsc::channel();
            let lock = &lock;
            scope.spawn(move || {
                take(lock);
                done.send(()).unwrap();
            });
            is_done.recv().unwrap();
            held = Some(lock.lock().unwrap());
        });
        drop(held);
    });
    let report = report.expect("an inversion");
    println!("{report}");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
}

/// The worker acquires a lock that a third thread holds while it wants the first.
#[test]
fn through_a_third_thread() {
    for is_over in [false, true] {
        let (a, b) = (named("third a"), named("third b"));
        let third = thread::spawn({
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            move || {
                let _b = b.lock().unwrap();
                take(&a);
            }
        });
        let worker = thread::spawn({
            let b = Arc::clone(&b);
            move || take(&b)
        });
        while !worker.is_finished() || !third.is_finished() {
            thread::yield_now();
        }
        let third = if is_over {
            // Then it cannot exist while the other thread is joined.
            third.join().unwrap();
            None
        } else {
            Some(third)
        };
        let held = a.lock().unwrap();
        let report = denied(|| worker.join().unwrap());
        drop(held);
        drop(third.map(thread::JoinHandle::join));
        if is_over {
            assert_eq!(report, None);
            assert_eq!(found("third a").last(), Some(&FindingKind::OrderedInversion));
        } else {
            let report = report.expect("an inversion");
            assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
            assert!(report.contains("3 locks and waits form a cycle"), "{report}");
        }
    }
}

/// The join is over, and the thread and its handle are gone, when the third thread comes.
#[test]
fn a_third_thread_after_the_join() {
    // Without a class, so that they are not of the same one.
    let [a, b] = [Arc::default(), Arc::default()];
    lockdep::name::<Mutex<()>>(&a, "gone a");
    let worker = thread::spawn({
        let b: Arc<Mutex<()>> = Arc::clone(&b);
        move || take(&b)
    });
    {
        let _held = a.lock().unwrap();
        worker.join().unwrap();
    }
    let third = std::thread::spawn(move || {
        let _held = b.lock().unwrap();
        denied(|| take(&a))
    });
    let report = third.join().unwrap().expect("an inversion");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
    assert!(report.contains("3 locks and waits form a cycle"), "{report}");
    assert_eq!(found("gone a"), [FindingKind::Inversion]);
}

/// A reader waits, behind a writer, for the reader that joins it. The writer comes first or last.
#[test]
fn a_reader_who_is_joined_by_a_reader() {
    for (name, writes_first) in [("read after a write", true), ("read before a write", false)] {
        let lock = Arc::new(RwLock::new(()));
        let write = || drop(lock.write().unwrap());
        lockdep::name(&*lock, name);
        if writes_first {
            write();
        }
        let worker = thread::spawn({
            let lock = Arc::clone(&lock);
            move || drop(lock.read().unwrap())
        });
        while !worker.is_finished() {
            thread::yield_now();
        }
        let join = || {
            let _held = lock.read().unwrap();
            worker.join().unwrap();
        };
        let report = if writes_first {
            denied(join)
        } else {
            assert_eq!(denied(join), None);
            assert_eq!(found(name), []);
            denied(write)
        };
        let report = report.expect("an inversion");
        assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
        assert_eq!(found(name), [FindingKind::Inversion]);
    }
}

/// The joined thread joins another one, which acquired the lock.
#[test]
fn a_join_of_who_joins() {
    let lock = named("joins joined");
    let worker = thread::spawn({
        let lock = Arc::clone(&lock);
        move || thread::spawn(move || take(&lock)).join().unwrap()
    });
    while !worker.is_finished() {
        thread::yield_now();
    }
    let _held = lock.lock().unwrap();
    let report = denied(|| worker.join().unwrap()).expect("an inversion");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
}

/// A gate that both hold.
#[test]
fn behind_a_gate() {
    let (gate, lock) = (named("gate of join"), named("behind a gate of join"));
    let worker = thread::spawn({
        let (gate, lock) = (Arc::clone(&gate), Arc::clone(&lock));
        move || {
            let _gate = gate.lock().unwrap();
            take(&lock);
        }
    });
    while !worker.is_finished() {
        thread::yield_now();
    }
    // Only the cycle of the gate itself can close.
    let _gate = gate.lock().unwrap();
    let report = denied(|| {
        let _lock = lock.lock().unwrap();
        worker.join().unwrap();
    });
    assert!(report.expect("an inversion").contains("`gate of join`"));
}

#[test]
fn what_is_taken_after_the_join_has_begun() {
    let (first, lock) = (Arc::new(Mutex::new(())), named("taken afterwards"));
    let (go, may_go) = mpsc::channel();
    let worker = thread::spawn({
        let (first, lock) = (Arc::clone(&first), Arc::clone(&lock));
        move || {
            take(&first);
            may_go.recv().unwrap();
            let report = denied(|| take(&lock));
            report.expect("the join has begun")
        }
    });
    let held = lock.lock().unwrap();
    let later = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(100));
        go.send(()).unwrap();
    });
    let report = worker.join().unwrap();
    later.join().unwrap();
    drop(held);
    println!("{report}");
    assert!(report.starts_with("error[lockdep::inversion]"), "{report}");
}

/// Would hang without the check: the joining thread comes first, or the one that acquires the lock.
#[test]
fn a_circle_with_a_join() {
    in_a_child(a_circle_with_a_join, || {
        for joins_first in [true, false] {
            let lock = named("in a circle");
            let begin = Arc::new(Barrier::new(2));
            let worker = thread::Builder::new().name("worker".into());
            let worker = worker.spawn({
                let (lock, begin) = (Arc::clone(&lock), Arc::clone(&begin));
                move || {
                    begin.wait();
                    if joins_first {
                        thread::sleep(Duration::from_millis(100));
                    }
                    denied(|| take(&lock))
                }
            });
            let worker = worker.unwrap();
            let held = lock.lock().unwrap();
            begin.wait();
            if joins_first {
                let report = worker.join().unwrap().expect("a deadlock");
                drop(held);
                println!("{report}");
                assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
            } else {
                thread::sleep(Duration::from_millis(100));
                let report = denied(|| worker.join().unwrap()).expect("a deadlock");
                drop(held);
                println!("{report}");
                assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
            }
        }
        _ = lockdep::take_findings();
    });
}

/// A joins B, which joins C, which wants the lock that A holds.
#[test]
fn a_circle_with_two_joins() {
    in_a_child(a_circle_with_two_joins, || {
        let lock = named("in a circle of three");
        let held = lock.lock().unwrap();
        let middle = thread::spawn({
            let lock = Arc::clone(&lock);
            move || {
                let last = thread::spawn(move || {
                    thread::sleep(Duration::from_millis(100));
                    denied(|| take(&lock))
                });
                last.join().unwrap()
            }
        });
        let report = middle.join().unwrap().expect("a deadlock");
        drop(held);
        assert!(report.contains("3 threads wait for each other"), "{report}");
        _ = lockdep::take_findings();
    });
}

/// A join does not block if the thread was found to have finished under the same locks.
#[test]
fn a_thread_that_is_known_to_have_finished() {
    let lock = named("known to have finished");
    let worker = thread::spawn({
        let lock = Arc::clone(&lock);
        move || take(&lock)
    });
    loop {
        let _held = lock.lock().unwrap();
        if worker.is_finished() {
            worker.join().unwrap();
            break;
        }
    }
    assert_eq!(found("known to have finished"), []);
}

/// A thread that joins only finished threads does not wait either, whether they were found to have
/// finished before it is joined or meanwhile.
#[test]
fn a_join_of_who_joins_what_has_finished() {
    for is_before in [true, false] {
        let lock = named("taken by a finished thread");
        let worker = thread::spawn({
            let lock = Arc::clone(&lock);
            move || take(&lock)
        });
        while !worker.is_finished() {
            thread::yield_now();
        }
        let joins = thread::spawn(|| {
            assert!(worker.is_finished());
            worker.join().unwrap();
        });
        while is_before && !joins.is_finished() {
            thread::yield_now();
        }
        let _held = lock.lock().unwrap();
        joins.join().unwrap();
        assert_eq!(found("taken by a finished thread"), []);
    }
}

/// It does not count that the thread was found to have finished under other locks.
#[test]
fn a_thread_that_has_finished_as_was_found_before() {
    let lock = named("found before");
    let worker = thread::spawn({
        let lock = Arc::clone(&lock);
        move || take(&lock)
    });
    while !worker.is_finished() {
        thread::yield_now();
    }
    let _held = lock.lock().unwrap();
    assert!(denied(|| worker.join().unwrap()).is_some());
}

/// A scope does not wait for the destructors of thread-locals, but a join does.
#[test]
fn what_is_taken_in_the_destructor_of_a_thread_local() {
    struct Takes(Arc<Mutex<()>>);
    impl Drop for Takes {
        fn drop(&mut self) {
            take(&self.0);
        }
    }
    thread_local!(static TAKES: std::cell::RefCell<Option<Takes>> = const { std::cell::RefCell::new(None) });
    let run = |lock: &Arc<Mutex<()>>| {
        let takes = Takes(Arc::clone(lock));
        TAKES.with(|it| it.replace(Some(takes)));
    };
    let (of_scope, of_join) = (named("after the scope"), named("before the join"));
    {
        let _held = of_scope.lock().unwrap();
        thread::scope(|scope| _ = scope.spawn(|| run(&of_scope)));
    }
    let worker = thread::spawn({
        let lock = Arc::clone(&of_join);
        move || run(&lock)
    });
    // Only the end of its body is known.
    while Arc::strong_count(&of_join) > 1 {
        thread::yield_now();
    }
    let _held = of_join.lock().unwrap();
    assert!(denied(|| worker.join().unwrap()).is_some());
    assert_eq!(found("after the scope"), []);
}

/// Two servers of one class: one is locked while the thread of the other, which acquires its own
/// lock, is joined.
#[test]
fn by_class() {
    fn server() -> (Arc<Mutex<()>>, thread::JoinHandle<()>) {
        let state = Arc::new(Mutex::new(()));
        let worker = thread::spawn({
            let state = Arc::clone(&state);
            move || take(&state)
        });
        (state, worker)
    }
    let (first, _) = server();
    let (_, worker) = server();
    lockdep::name(&*first, "alike");
    let _held = first.lock();
    worker.join().unwrap();
    assert_eq!(found("alike"), [FindingKind::ClassInversion]);
}

#[test]
fn a_join_and_a_park_while_a_lock_is_held() {
    in_a_child(a_join_and_a_park_while_a_lock_is_held, || {
        let lock = named("held meanwhile");
        let waits = || {
            let _held = lock.lock().unwrap();
            thread::park_timeout(Duration::from_millis(1));
            let worker = thread::spawn(|| thread::sleep(Duration::from_millis(10)));
            worker.join().unwrap();
        };
        waits();
        assert_eq!(kinds(&lockdep::findings()), [FindingKind::WaitWhileHolding; 2]);
        assert_eq!(lockdep::take_findings()[0].level(), Level::Allow);
        lockdep::set_wait_level(WaitKind::Join, Level::Warn);
        lockdep::set_wait_level(WaitKind::Park, Level::Deny);
        let report = denied(waits).expect("parking is denied");
        assert!(
            report.contains("waits for another thread to unpark it while it holds"),
            "{report}"
        );
        let _held = lock.lock().unwrap();
        thread::spawn(|| thread::sleep(Duration::from_millis(10))).join().unwrap();
        let findings = lockdep::take_findings();
        let report = findings.last().unwrap().to_string();
        println!("{report}");
        assert_eq!(findings.last().unwrap().wait(), Some(WaitKind::Join));
    });
}

/// Readers wait for each other behind a writer.
#[test]
fn readers_of_a_lock_that_is_written() {
    for is_written in [false, true] {
        let lock = Arc::new(RwLock::new(()));
        lockdep::name(&*lock, "read at the join");
        if is_written {
            drop(lock.write().unwrap());
        }
        let worker = thread::spawn({
            let lock = Arc::clone(&lock);
            move || drop(lock.read().unwrap())
        });
        while !worker.is_finished() {
            thread::yield_now();
        }
        let held = lock.read().unwrap();
        let report = denied(|| worker.join().unwrap());
        drop(held);
        assert_eq!(report.is_some(), is_written, "{report:?}");
    }
}

/// A thread that waits on a condition variable until another one has released the mutex may join it
/// while it holds the guard that the wait returned.
#[test]
fn under_the_guard_that_a_condition_variable_gives_back() {
    let shared = Arc::new((Mutex::new(false), Condvar::new()));
    lockdep::name(&shared.0, "held for its condition");
    for has_finished in [false, true] {
        let worker = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                *shared.0.lock().unwrap() = true;
                shared.1.notify_all();
            }
        });
        while has_finished && !worker.is_finished() {
            thread::yield_now();
        }
        let done = shared.0.lock().unwrap();
        let mut done = shared.1.wait_while(done, |done| !*done).unwrap();
        worker.join().unwrap();
        *done = false;
    }
    assert_eq!(found("held for its condition"), []);
    // Locked again, it is held for another reason.
    let worker = thread::spawn({
        let shared = Arc::clone(&shared);
        move || drop(shared.0.lock().unwrap())
    });
    while !worker.is_finished() {
        thread::yield_now();
    }
    let held = shared.0.lock().unwrap();
    let report = denied(|| worker.join().unwrap());
    drop(held);
    assert!(report.is_some());
}

/// Whichever of the two threads comes last, one of them reports the deadlock.
#[test]
fn a_circle_with_a_join_200_times() {
    in_a_child(a_circle_with_a_join_200_times, || {
        for round in 0..200 {
            let lock = named("again and again");
            let held = lock.lock().unwrap();
            let worker = thread::spawn({
                let lock = Arc::clone(&lock);
                move || denied(|| take(&lock))
            });
            let mut of_worker = None;
            let of_joiner = denied(|| of_worker = worker.join().unwrap());
            drop(held);
            let reports: Vec<_> = [of_worker, of_joiner].into_iter().flatten().collect();
            let [report] = &reports[..] else { panic!("round {round}: {reports:#?}") };
            assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
            _ = lockdep::take_findings();
        }
    });
}

/// Acquisitions before a reset are forgotten, also those of a thread that is joined or that
/// receives.
#[test]
fn what_was_acquired_before_a_reset_is_forgotten() {
    let output = support::in_a_child(what_was_acquired_before_a_reset_is_forgotten, || {
        lockdep::set_level(FindingKind::WaitWhileHolding, lockdep::Level::Allow);
        let lock = named("acquired before a reset");
        let (sender, receiver) = lockdep::sync::mpsc::sync_channel(0);
        let worker = thread::spawn({
            let lock = Arc::clone(&lock);
            move || {
                receiver.recv().unwrap();
                take(&lock);
                receiver.into_iter().for_each(drop);
            }
        });
        (0..3).for_each(|_| sender.send(()).unwrap());
        lockdep::reset();
        let _held = lock.lock().unwrap();
        sender.send(()).unwrap();
        drop(sender);
        worker.join().unwrap();
        assert_eq!(found("acquired before a reset"), []);
    });
    if let Some(output) = output {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// The thread still needed the mutex: whichever comes last reports the deadlock.
#[test]
fn a_circle_under_the_guard_that_a_condition_variable_gives_back() {
    in_a_child(a_circle_under_the_guard_that_a_condition_variable_gives_back, || {
        for _ in 0..20 {
            let shared = Arc::new((Mutex::new(false), Condvar::new()));
            let worker = thread::spawn({
                let shared = Arc::clone(&shared);
                move || {
                    *shared.0.lock().unwrap() = true;
                    shared.1.notify_all();
                    let joins = || lockdep::held().to_string().contains("for  the end of thread");
                    while !joins() {
                        thread::yield_now();
                    }
                    denied(|| drop(shared.0.lock().unwrap()))
                }
            });
            let done = shared.0.lock().unwrap();
            let done = shared.1.wait_while(done, |done| !*done).unwrap();
            let report = worker.join().unwrap().expect("a deadlock");
            drop(done);
            assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
            _ = lockdep::take_findings();
        }
    });
}
