//! Searching for interleavings with `explore`.
#![cfg(all(feature = "interleave", any(debug_assertions, feature = "enforce")))]

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use lockdep::{
    interleave::{self, Explore, Explored, inside, point},
    sync::{Arc, Condvar, Mutex, mpsc},
};

/// Two increments, each of a read and a write.
fn lost_update() {
    let count = Arc::new(AtomicU64::new(0));
    let increment = |count: Arc<AtomicU64>| {
        point!("before");
        let seen = count.load(Relaxed);
        point!("read");
        count.store(seen + 1, Relaxed);
    };
    let threads = ["one", "other"].map(|name| {
        let count = Arc::clone(&count);
        thread::spawn(inside(name, move || increment(count)))
    });
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(count.load(Relaxed), 2);
}

fn fails(seed: u64, test: impl FnMut()) -> bool {
    catch_unwind(AssertUnwindSafe(|| interleave::explore([seed], test))).is_err()
}

#[test]
fn a_lost_update_is_found_and_found_again() {
    let failing: Vec<_> = (0..30).filter(|&seed| fails(seed, lost_update)).collect();
    assert!(failing.len() >= 3, "{failing:?}");
    let again: Vec<_> = (0..30).filter(|&seed| fails(seed, lost_update)).collect();
    assert_eq!(failing, again);
}

/// Threads without a name or a role, locks, a channel, a scope.
fn busy() {
    let sum = Mutex::new(0);
    let (sender, receiver) = mpsc::channel();
    thread::scope(|scope| {
        for number in 0..3 {
            let (sum, sender) = (&sum, sender.clone());
            scope.spawn(move || {
                *sum.lock().unwrap() += number;
                *sum.lock().unwrap() += number;
                sender.send(number).unwrap();
            });
        }
        drop(sender);
        assert_eq!(receiver.iter().sum::<i32>(), 3);
    });
    assert_eq!(sum.into_inner().unwrap(), 6);
}

#[test]
fn a_seed_gives_the_same_order() {
    let orders = |explored: Explored| -> Vec<Vec<_>> {
        explored.orders().iter().map(|order| order.steps().collect()).collect()
    };
    let first = orders(interleave::explore(0..40, busy));
    let again = orders(interleave::explore(0..40, busy));
    for (seed, (first, again)) in first.iter().zip(&again).enumerate() {
        assert_eq!(first, again, "seed {seed}");
    }
    let explored = interleave::explore(0..40, busy);
    assert!(explored.different() > 5, "{explored}");
}

/// The deadlock happens in some interleavings, and is predicted in the others.
#[test]
fn a_deadlock_is_a_failure() {
    let deadlock = || {
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        thread::scope(|scope| {
            scope.spawn(inside("ab", || drop((a.lock().unwrap(), b.lock().unwrap()))));
            scope.spawn(inside("ba", || drop((b.lock().unwrap(), a.lock().unwrap()))));
        });
    };
    assert!((0..5).all(|seed| fails(seed, deadlock)));
}

#[test]
fn a_lock_that_is_waited_for_is_no_hang() {
    let explored = Explore::new().depth(4).run(0..30, || {
        let lock = Mutex::new(Vec::new());
        thread::scope(|scope| {
            for name in ["x", "y", "z"] {
                let lock = &lock;
                scope.spawn(inside(name, move || {
                    let mut log = lock.lock().unwrap();
                    point!("inside");
                    log.push(name);
                }));
            }
        });
        assert_eq!(lock.into_inner().unwrap().len(), 3);
    });
    assert!(explored.different() >= 6, "{explored}");
}

/// A concurrent test starts threads that acquire locks, and others that never sleep.
#[test]
#[cfg(target_os = "linux")]
fn threads_of_others_are_left_alone() {
    use std::{
        sync::atomic::AtomicBool,
        time::{Duration, Instant},
    };

    static ENDS: AtomicBool = AtomicBool::new(false);
    let beside = thread::spawn(|| {
        while !ENDS.load(Relaxed) {
            let spins = thread::spawn(|| {
                let lock = Mutex::new(());
                let until = Instant::now() + Duration::from_millis(30);
                while Instant::now() < until {
                    drop(lock.lock().unwrap());
                    point!("of another");
                }
            });
            spins.join().unwrap();
        }
    });
    let began = Instant::now();
    let explored = interleave::explore(0..20, busy);
    ENDS.store(true, Relaxed);
    beside.join().unwrap();
    for order in explored.orders() {
        assert!(!order.steps().any(|step| step.contains("of another")), "{order}");
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

/// A thread that retries until it acquires a lock lets the holder continue.
#[test]
fn who_spins_lets_others_go_on() {
    let began = Instant::now();
    interleave::explore(0..10, || {
        let (lock, is_set) = (Mutex::new(0), AtomicBool::new(false));
        thread::scope(|scope| {
            for name in ["tries", "tries as well"] {
                let lock = &lock;
                scope.spawn(inside(name, move || {
                    let mut guard = loop {
                        if let Ok(guard) = lock.try_lock() {
                            break guard;
                        }
                    };
                    point!("has it");
                    *guard += 1;
                }));
            }
            scope.spawn(inside("looks", || {
                while !is_set.load(Relaxed) {
                    point!("looked");
                }
            }));
            scope.spawn(inside("sets", || {
                point!("sets");
                is_set.store(true, Relaxed);
            }));
        });
    });
    assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
}

/// A lock without a name is described the same way in each run, whatever its id.
#[test]
fn locks_without_a_name_have_the_same_number() {
    let waits = || {
        let pair = (Mutex::new(()), Condvar::new());
        drop(pair.1.wait_timeout(pair.0.lock().unwrap(), Duration::from_millis(1)).unwrap());
    };
    assert_eq!(interleave::explore(0..5, waits).different(), 1);
}

/// A run that exceeds the limit still counts, and ends.
#[test]
fn a_run_that_takes_too_long_goes_on_freely() {
    let began = std::time::Instant::now();
    let explored = Explore::new().timeout(std::time::Duration::from_millis(20)).run(0..2, || {
        let ends = std::sync::atomic::AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(inside("spins", || {
                while !ends.load(Relaxed) {
                    std::hint::spin_loop();
                }
            }));
            scope.spawn(inside("ends", || {
                point!("about to");
                ends.store(true, Relaxed);
            }));
        });
    });
    assert_eq!(explored.orders().len(), 2);
    assert!(began.elapsed() < std::time::Duration::from_secs(5));
}
