//! Deliberate interleavings.
#![cfg(all(feature = "interleave", any(debug_assertions, feature = "enforce")))]

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use lockdep::{
    interleave::{self, Schedule, acquire, at, inside, point, release, wait},
    sync::{Condvar, Mutex, RwLock},
};

/// A read-modify-write with a point in between.
#[derive(Default)]
struct Counter(AtomicU64);

impl Counter {
    fn increment(&self) {
        let count = self.0.load(Relaxed);
        point!("count read");
        self.0.store(count + 1, Relaxed);
        point!("count written");
    }
}

fn message(run: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("it panics");
    panic.downcast_ref::<String>().cloned().unwrap_or_default()
}

#[test]
fn an_update_is_lost_in_one_thread() {
    let counter = Counter::default();
    interleave::before("count read", || counter.increment()).within(|| counter.increment());
    assert_eq!(counter.0.load(Relaxed), 1);
}

#[test]
fn insertions_nest() {
    let counter = Counter::default();
    let log = std::cell::RefCell::new(Vec::new());
    let note = |what: &'static str| log.borrow_mut().push(what);
    let increment = || counter.increment();
    interleave::before("count read", || note("outer")).within(|| {
        interleave::after("count read", || {
            note("inner");
            interleave::before("count written", || note("innermost")).within(increment);
        })
        .within(increment);
    });
    assert_eq!(*log.borrow(), ["outer", "inner", "innermost"]);
    assert_eq!(counter.0.load(Relaxed), 1);
}

#[test]
fn code_runs_at_the_time_that_is_meant_or_at_every_time() {
    let counter = Counter::default();
    let ran = Cell::new(0);
    interleave::before("count read", || ran.set(counter.0.load(Relaxed))).nth(3).within(|| {
        (0..5).for_each(|_| counter.increment());
    });
    assert_eq!(ran.get(), 2);
    let mut times = 0;
    interleave::after("count written", || {
        times += 1;
        counter.increment();
    })
    .every_time()
    .within(|| (0..5).for_each(|_| counter.increment()));
    assert_eq!(times, 5);
}

#[test]
fn code_that_never_ran_is_missed() {
    let lock = Mutex::new(());
    let said = message(|| {
        interleave::before("nowhere", || {}).within(|| drop(lock.lock().unwrap()));
    });
    assert!(said.starts_with("the code inserted before point `nowhere` never ran"), "{said}");
    assert!(said.contains("acquire of `lock`"), "{said}");
}

#[test]
fn code_runs_around_acquisitions_and_releases() {
    let lock = Mutex::new(0);
    let is_free = || lock.try_lock().is_ok();
    let mut seen = Vec::new();
    interleave::before(acquire("lock"), || seen.push(is_free()))
        .within(|| *lock.lock().unwrap() += 1);
    interleave::after(acquire(&lock), || seen.push(is_free()))
        .within(|| *lock.lock().unwrap() += 1);
    interleave::before(release(&lock), || seen.push(is_free()))
        .within(|| *lock.lock().unwrap() += 1);
    interleave::after(release("lock"), || seen.push(is_free()))
        .within(|| *lock.lock().unwrap() += 1);
    assert_eq!(seen, [true, false, false, true]);
}

/// By the name that the program gave it, which is not in the source.
#[test]
fn a_lock_is_called_by_its_given_name() {
    let (first, second) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&second, "the ledger's own");
    let ran = Cell::new(0);
    let count = || ran.set(ran.get() + 1);
    interleave::before(acquire("the ledger's own"), count).within(|| {
        for lock in [&first, &second] {
            drop(lock.lock().unwrap());
        }
    });
    assert_eq!(ran.get(), 1);
}

#[test]
fn a_schedule_orders_points_of_two_threads() {
    for _ in 0..100 {
        let counter = Arc::new(Counter::default());
        Schedule::new()
            .order([at("a", "count read"), at("b", "count read"), at("a", "count written")])
            .run(|| {
                let threads = ["a", "b"].map(|name| {
                    let counter = Arc::clone(&counter);
                    thread::spawn(inside(name, move || counter.increment()))
                });
                let _ = threads.map(|thread| thread.join().unwrap());
            });
        assert!(counter.0.load(Relaxed) <= 2);
    }
}

#[test]
fn threads_come_by_their_names() {
    for _ in 0..100 {
        let lock = Arc::new(Mutex::new(Vec::new()));
        Schedule::new()
            .order([at("by-name-2", release("lock")), at("by-name-1", acquire("lock"))])
            .run(|| {
                let threads = ["by-name-1", "by-name-2"].map(|name| {
                    let lock = Arc::clone(&lock);
                    let body = move || lock.lock().unwrap().push(name);
                    thread::Builder::new().name(name.into()).spawn(body).unwrap()
                });
                let _ = threads.map(|thread| thread.join().unwrap());
            });
        assert_eq!(*lock.lock().unwrap(), ["by-name-2", "by-name-1"]);
    }
}

/// A mutex, a reader-writer lock, and a condition variable.
#[test]
fn a_schedule_over_three_kinds_of_lock() {
    for _ in 0..50 {
        let config = Arc::new(RwLock::new(1));
        let ready = Arc::new((Mutex::new(false), Condvar::new()));
        let seen = Schedule::new()
            // The waiter waits before it is notified, and the reader reads the old value.
            .order([at("waiter", wait("flag")), at("notifier", acquire("flag"))])
            .order([at("reader", acquire("config")), at("notifier", acquire("config"))])
            .run(|| {
                thread::scope(|scope| {
                    scope.spawn(inside("waiter", || {
                        let (flag, condvar) = &*ready;
                        let mut is_ready = flag.lock().unwrap();
                        while !*is_ready {
                            is_ready = condvar.wait(is_ready).unwrap();
                        }
                    }));
                    scope.spawn(inside("notifier", || {
                        *config.write().unwrap() = 2;
                        let (flag, condvar) = &*ready;
                        *flag.lock().unwrap() = true;
                        condvar.notify_one();
                    }));
                    scope.spawn(inside("reader", || *config.read().unwrap())).join().unwrap()
                })
            });
        assert_eq!(seen, 1);
    }
}

#[test]
fn a_failed_attempt_is_a_passage() {
    let lock = Mutex::new(());
    Schedule::new()
        .order([
            at("holder", acquire("lock")),
            at("trier", acquire("lock")),
            at("holder", release("lock")),
        ])
        .run(|| {
            thread::scope(|scope| {
                scope.spawn(inside("holder", || drop(lock.lock().unwrap())));
                scope.spawn(inside("trier", || assert!(lock.try_lock().is_err())));
            });
        });
    Schedule::new().order([at("holder", release("lock")), at("trier", acquire("lock"))]).run(
        || {
            thread::scope(|scope| {
                scope.spawn(inside("holder", || drop(lock.lock().unwrap())));
                scope.spawn(inside("trier", || assert!(lock.try_lock().is_ok())));
            });
        },
    );
}

#[test]
fn what_cannot_be_followed_is_said_at_once() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let began = Instant::now();
    // The opposite of the order in each thread.
    let unfollowed = Schedule::new()
        .order([at("first", "late"), at("second", "early")])
        .order([at("second", "late"), at("first", "early")])
        .try_run(|| {
            thread::scope(|scope| {
                let body = |lock: &'static str| {
                    let lock = if lock == "a" { &a } else { &b };
                    move || {
                        let _guard = lock.lock().unwrap();
                        point!("early");
                        point!("late");
                    }
                };
                scope.spawn(inside("first", body("a")));
                scope.spawn(inside("second", body("b")));
            });
        })
        .unwrap_err()
        .to_string();
    assert!(began.elapsed() < Duration::from_secs(2));
    println!("{unfollowed}");
    assert!(unfollowed.contains("point `early` by"), "{unfollowed}");
    assert!(unfollowed.contains("waits for its turn"), "{unfollowed}");
    assert!(unfollowed.contains("holds"), "{unfollowed}");
}

/// The message is the same whether the blocked thread already sleeps or is about to.
#[test]
fn what_cannot_be_followed_is_said_without_regard_to_timing() {
    let balance = Mutex::new(());
    lockdep::name(&balance, "the balance of two payers");
    let unfollowed = Schedule::new()
        .order([at("rent", "looked"), at("bike", acquire(&balance))])
        .order([at("bike", "looked"), at("rent", "pays")])
        .try_run(|| {
            let pay = |waits_for_other: bool| {
                let balance = &balance;
                move || {
                    let _guard = balance.lock().unwrap();
                    point!("looked");
                    let is_waiting = |line: &str| {
                        line.contains("waits for") && line.contains("the balance of two payers")
                    };
                    while waits_for_other && !lockdep::held().to_string().lines().any(is_waiting) {
                        thread::yield_now();
                    }
                    point!("pays");
                }
            };
            thread::scope(|scope| {
                scope.spawn(inside("rent", pay(true)));
                scope.spawn(inside("bike", pay(false)));
            });
        })
        .unwrap_err()
        .to_string();
    assert!(unfollowed.contains("`bike` is blocked in its wait for `the balance"), "{unfollowed}");
    assert!(unfollowed.contains("thread `rent`\n    holds      `the balance"), "{unfollowed}");
    assert!(!unfollowed.contains("waits for  "), "{unfollowed}");
}

#[test]
fn a_lock_can_make_a_schedule_impossible() {
    let lock = Mutex::new(());
    let unfollowed = Schedule::new()
        .order([at("y", "inside"), at("x", "inside")])
        .try_run(|| {
            thread::scope(|scope| {
                let body = || {
                    let _guard = lock.lock().unwrap();
                    point!("inside");
                };
                let first = scope.spawn(inside("x", body));
                while !first.is_finished() && lock.try_lock().is_ok() {
                    thread::yield_now();
                }
                scope.spawn(inside("y", body));
            });
        })
        .unwrap_err()
        .to_string();
    println!("{unfollowed}");
    assert!(unfollowed.contains("`y` is blocked in its wait for `lock`"), "{unfollowed}");
}

#[test]
fn an_event_that_never_happens_is_missed() {
    let unfollowed = Schedule::new()
        .order([at("lone", "somewhere"), at("lone", "nowhere")])
        .try_run(|| {
            thread::spawn(inside("lone", || point!("somewhere"))).join().unwrap();
        })
        .unwrap_err()
        .to_string();
    println!("{unfollowed}");
    assert!(unfollowed.contains("point `nowhere` by `lone` never happened"), "{unfollowed}");
}

#[test]
fn a_thread_that_panics_is_not_waited_for() {
    let result =
        Schedule::new().order([at("panics", "after"), at("patient", "go")]).try_run(|| {
            let panics = thread::spawn(inside("panics", || {
                std::panic::resume_unwind(Box::new("on purpose"));
            }));
            let patient = thread::spawn(inside("patient", || point!("go")));
            assert!(panics.join().is_err());
            patient.join().unwrap();
        });
    let unfollowed = result.unwrap_err().to_string();
    assert!(
        unfollowed.contains(
            "point `go` by `patient` waits for point `after` by `panics`, but `panics` has ended"
        ),
        "{unfollowed}"
    );
}

#[test]
fn the_limit_holds() {
    let began = Instant::now();
    let unfollowed = Schedule::new()
        .order([at("nobody", "x"), at("somebody", "y")])
        .timeout(Duration::from_millis(50))
        .try_run(|| thread::spawn(inside("somebody", || point!("y"))).join().unwrap())
        .unwrap_err()
        .to_string();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(unfollowed.contains("no thread `nobody` has come"), "{unfollowed}");
}

#[test]
fn a_contradiction_is_refused() {
    let said = message(|| {
        Schedule::new().order([at("p", "x"), at("q", "y"), at("p", "x")]).run(|| {});
    });
    assert!(said.contains("contradicts itself"), "{said}");
}

#[test]
fn a_panic_of_the_test_comes_through() {
    let said = message(|| {
        Schedule::new()
            .order([at("u", "x"), at("v", "y")])
            .run(|| panic!("of {:?}", Some("mine").as_slice()));
    });
    assert_eq!(said, "of [\"mine\"]");
}

/// After the fix, the same script passes.
#[test]
fn locks_win_where_they_are_yielded_to() {
    let lock = Mutex::new(0);
    let looked = || {
        let mut balance = lock.lock().unwrap();
        point!("looked");
        point!("pays");
        *balance += 1;
    };
    for _ in 0..50 {
        Schedule::new()
            .order([at("m", "looked"), at("n", "looked"), at("m", "pays")])
            .yield_to_locks()
            .run(|| {
                thread::scope(|scope| {
                    scope.spawn(inside("m", looked));
                    scope.spawn(inside("n", looked));
                });
            });
    }
    assert_eq!(*lock.lock().unwrap(), 100);
    // Events that no lock prevents are still missed.
    let unfollowed = Schedule::new()
        .order([at("m", "nowhere")])
        .yield_to_locks()
        .try_run(|| thread::scope(|scope| drop(scope.spawn(inside("m", looked)))));
    assert!(unfollowed.is_err());
}

/// A thread that outlives a schedule takes part in the next one, by its name.
#[test]
fn a_thread_plays_again() {
    let lock = Mutex::new(Vec::new());
    let (sender, jobs) = std::sync::mpsc::channel::<&'static str>();
    let (ended, when_ended) = std::sync::mpsc::channel();
    thread::scope(|scope| {
        let worker = thread::Builder::new().name("pooled".into());
        let lock = &lock;
        let work = move || {
            while let Ok(job) = jobs.recv() {
                let outer = Mutex::new(());
                let _outer = outer.lock().unwrap();
                lock.lock().unwrap().push(job);
                ended.send(()).unwrap();
            }
        };
        worker.spawn_scoped(scope, work).unwrap();
        for _ in 0..20 {
            Schedule::new()
                .order([at("short", release("lock")), at("pooled", acquire("lock"))])
                .run(|| {
                    sender.send("pooled").unwrap();
                    let short = inside("short", || lock.lock().unwrap().push("short"));
                    scope.spawn(short).join().unwrap();
                    when_ended.recv().unwrap();
                });
        }
        drop(sender);
    });
    let order = lock.into_inner().unwrap();
    assert!(order.chunks(2).all(|pair| pair == ["short", "pooled"]), "{order:?}");
}

/// One of two threads in a role is blocked; the other can still come.
#[test]
fn two_may_have_one_role() {
    let lock = Mutex::new(());
    Schedule::new().order([at("twin", "goes"), at("holder of it", "late")]).run(|| {
        thread::scope(|scope| {
            let (is_held, when_held) = std::sync::mpsc::channel();
            let lock = &lock;
            scope.spawn(inside("holder of it", move || {
                let _guard = lock.lock().unwrap();
                is_held.send(()).unwrap();
                point!("late");
            }));
            when_held.recv().unwrap();
            let blocked = inside("twin", || drop(lock.lock()));
            let other = inside("twin", || {
                thread::sleep(Duration::from_millis(50));
                point!("goes");
            });
            scope.spawn(blocked);
            scope.spawn(other);
        });
    });
}

/// A thread that another schedule brought in, but does not order, leaves its name to others.
#[test]
fn a_role_without_an_event_takes_no_thread() {
    let (is_free, has_run) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    let result = thread::scope(|scope| {
        scope.spawn(|| {
            Schedule::new().order([at("ordered", "x")]).run(|| {
                thread::spawn(inside("helper", || point!("y"))).join().unwrap();
                is_free.wait();
                has_run.wait();
                thread::spawn(inside("ordered", || point!("x"))).join().unwrap();
            });
        });
        is_free.wait();
        let result = Schedule::new().order([at("helper", "z")]).try_run(|| {
            let thread = thread::Builder::new().name("helper".into());
            thread.spawn(|| point!("z")).unwrap().join().unwrap();
        });
        has_run.wait();
        result
    });
    assert!(result.is_ok(), "{}", result.unwrap_err());
}
