//! `confirm` makes predicted deadlocks happen, or says why they cannot.
#![cfg(all(feature = "interleave", any(debug_assertions, feature = "enforce")))]

use std::{
    thread,
    time::{Duration, Instant},
};

use lockdep::{
    Finding, FindingKind, Level,
    interleave::{self, Confirm, Confirmation, Obstacle, Replay},
    sync::{Arc, Mutex, RwLock},
    testing,
};

use crate::alone;

const TIMES: usize = 100;

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

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> thread::JoinHandle<()> {
    thread::Builder::new().name(name.into()).spawn(body).unwrap()
}

fn ab_ba() {
    let (a, b) = (Arc::new(Mutex::new(1)), Arc::new(Mutex::new(2)));
    let other = {
        let (a, b) = (Arc::clone(&a), Arc::clone(&b));
        spawn("ab", move || {
            let a = a.lock().unwrap();
            let b = b.lock().unwrap();
            assert_eq!((*a, *b), (1, 2));
        })
    };
    let ba = spawn("ba", move || {
        let b = b.lock().unwrap();
        let a = a.lock().unwrap();
        assert_eq!((*a, *b), (1, 2));
    });
    let _ = (other.join(), ba.join());
}

#[test]
fn two_locks() {
    let _alone = alone();
    let finding = found(ab_ba);
    assert_eq!(finding.kind(), FindingKind::Inversion);
    for _ in 0..TIMES {
        assert_eq!(confirmed(&finding, ab_ba).cycle().len(), 2);
    }
}

/// Each thread acquires its lock and the next one; the last thread closes the cycle.
fn ring(size: usize) -> impl Fn() {
    move || {
        let locks: Arc<[_]> = (0..size).map(Mutex::new).collect();
        let threads: Vec<_> = (0..size)
            .map(|number| {
                let locks = Arc::clone(&locks);
                spawn(&format!("ring {number}"), move || {
                    let own = locks[number].lock().unwrap();
                    let next = locks[(number + 1) % locks.len()].lock().unwrap();
                    assert_eq!(*next, (*own + 1) % locks.len());
                })
            })
            .collect();
        for thread in threads {
            let _ = thread.join();
        }
    }
}

#[test]
fn rings_and_philosophers() {
    let _alone = alone();
    for size in 3..=5 {
        let finding = found(ring(size));
        for _ in 0..TIMES {
            assert_eq!(confirmed(&finding, ring(size)).cycle().len(), size);
        }
    }
}

/// Philosophers who dine repeatedly.
fn philosophers() {
    const SEATS: usize = 5;
    let forks: Arc<[_]> = (0..SEATS).map(|_| Mutex::new(())).collect();
    let threads: Vec<_> = (0..SEATS)
        .map(|seat| {
            let forks = Arc::clone(&forks);
            spawn(&format!("philosopher {seat}"), move || {
                for _ in 0..3 {
                    let _left = forks[seat].lock().unwrap();
                    let _right = forks[(seat + 1) % SEATS].lock().unwrap();
                }
            })
        })
        .collect();
    for thread in threads {
        let _ = thread.join();
    }
}

#[test]
fn dining_philosophers() {
    let _alone = alone();
    let finding = found(philosophers);
    for _ in 0..TIMES {
        confirmed(&finding, philosophers);
    }
}

/// Both orders, under a common lock.
fn gated() {
    let gate = Arc::new(Mutex::new(()));
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let turn = |name: &str, first: &Arc<Mutex<()>>, second: &Arc<Mutex<()>>| {
        let (gate, first, second) = (Arc::clone(&gate), Arc::clone(first), Arc::clone(second));
        spawn(name, move || {
            let _gate = gate.lock().unwrap();
            let _first = first.lock().unwrap();
            drop(second.lock().unwrap());
        })
    };
    let threads = [turn("one way", &a, &b), turn("other way", &b, &a)];
    for thread in threads {
        thread.join().unwrap();
    }
}

#[test]
fn a_gate_is_named() {
    let _alone = alone();
    let finding = found(gated);
    assert_eq!(finding.kind(), FindingKind::GuardedInversion);
    for _ in 0..TIMES {
        // On a busy machine the other thread may not have reached the gate by then.
        let mut limits = [20, 3_000].map(Duration::from_millis).into_iter();
        loop {
            let limit = limits.next().expect("they come to the gate within seconds");
            let confirmation = Confirm::new(&finding).attempts(1).timeout(limit).run(gated);
            match confirmation.not_reached().expect("the gate keeps them apart").obstacle() {
                Obstacle::Gate { lock, .. } if lock == "`gate`" => break,
                why => eprintln!("within {limit:?}: {why}"),
            }
        }
    }
}

/// Both orders, one thread joined before the other starts.
fn joined() {
    let (a, b) = (Arc::new(Mutex::new(())), Arc::new(Mutex::new(())));
    let (first, second) = (Arc::clone(&a), Arc::clone(&b));
    let ab = spawn("before", move || {
        let _first = first.lock().unwrap();
        drop(second.lock().unwrap());
    });
    ab.join().unwrap();
    let ba = spawn("behind", move || {
        let _second = b.lock().unwrap();
        drop(a.lock().unwrap());
    });
    let _ = ba.join();
}

#[test]
fn a_thread_that_has_ended_is_named() {
    let _alone = alone();
    let finding = found(joined);
    for _ in 0..TIMES {
        let confirm = Confirm::new(&finding).attempts(1).timeout(Duration::from_millis(5));
        // A thread at a part that no other thread comes to is denied as usual: this is the panic of
        // another thread.
        let confirmation = confirm.run(joined);
        let why = confirmation.not_reached().expect("they never meet").obstacle();
        assert!(matches!(why, Obstacle::Ended { thread, .. } if thread == "before"), "{why}");
    }
}

#[test]
fn a_schedule_can_be_kept_as_text() {
    let _alone = alone();
    let finding = found(ab_ba);
    let Confirmation::Confirmed(confirmed) = interleave::confirm(&finding, ab_ba) else {
        panic!("it happens");
    };
    let text = confirmed.schedule().to_string();
    let replay: Replay = text.parse().unwrap();
    assert_eq!(replay, *confirmed.schedule());
    assert!(replay.run(ab_ba).is_confirmed());
    for (bad, named) in [("x", "`x`"), ("0/0 a.rs:1:2>b.rs:3", "a.rs:1:2>b.rs:3"), ("z a", "`z`")] {
        let error = bad.parse::<Replay>().unwrap_err();
        assert!(error.contains(named), "{error}");
    }
}

#[test]
fn places_that_nobody_passes_are_named() {
    let _alone = alone();
    let finding = found(ab_ba);
    let confirmation = interleave::confirm(&finding, || {});
    let why = confirmation.not_reached().unwrap().obstacle();
    assert!(matches!(why, Obstacle::NotPassed { place } if place.contains("confirm.rs")), "{why}");
}

#[test]
fn what_is_certain_needs_no_confirmation() {
    let _alone = alone();
    let lock = Mutex::new(());
    let nested = || {
        let _guard = lock.lock().unwrap();
        drop(lock.lock().unwrap());
    };
    let finding = testing::collect(nested).pop().unwrap();
    let confirmation = interleave::confirm(&finding, || {});
    let why = confirmation.not_reached().unwrap().obstacle();
    assert_eq!(*why, Obstacle::NoCycle(FindingKind::SelfDeadlock));
}

/// Both orders at the same two places, optionally inside `allow`.
fn both_orders(is_allowed: bool) {
    let both = |first: &Mutex<()>, second: &Mutex<()>| {
        let _first = first.lock().unwrap();
        drop(second.lock().unwrap());
    };
    let locks = Arc::new((Mutex::new(()), Mutex::new(())));
    let turn = |is_swapped: bool| {
        let locks = Arc::clone(&locks);
        spawn("both", move || {
            let (a, b) = if is_swapped { (&locks.1, &locks.0) } else { (&locks.0, &locks.1) };
            if is_allowed { lockdep::allow(|| both(a, b)) } else { both(a, b) }
        })
    };
    for thread in [turn(false), turn(true)] {
        let _ = thread.join();
    }
}

/// The deadlock is broken even if it happens inside `allow`.
#[test]
fn what_is_allowed_does_not_hang() {
    let _alone = alone();
    let finding = found(|| both_orders(false));
    confirmed(&finding, || both_orders(true));
    for level in [Level::Abort, Level::Warn, Level::Allow] {
        lockdep::set_level(FindingKind::Deadlock, level);
        confirmed(&finding, || both_orders(false));
    }
    lockdep::set_level(FindingKind::Deadlock, Level::Deny);
}

/// A place in a loop to which no other thread comes.
#[test]
fn a_loop_is_not_stopped_for_long() {
    let _alone = alone();
    let program = |times: u32| {
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let other = Arc::clone(&locks);
        let looping = spawn("looping", move || {
            for _ in 0..times {
                let _first = locks.0.lock().unwrap();
                drop(locks.1.lock().unwrap());
            }
        });
        looping.join().unwrap();
        let inverting = spawn("inverting", move || {
            let _second = other.1.lock().unwrap();
            drop(other.0.lock().unwrap());
        });
        let _ = inverting.join();
    };
    let finding = found(|| program(1));
    let began = Instant::now();
    let confirm = Confirm::new(&finding).attempts(1).timeout(Duration::from_millis(50));
    assert!(!confirm.run(|| program(500)).is_confirmed());
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    drop(lockdep::take_findings());
}

/// Readers wait for each other only behind a writer.
#[test]
fn readers_that_go_on_are_said_to() {
    let _alone = alone();
    let program = || {
        let locks = Arc::new((RwLock::new(()), RwLock::new(())));
        let turn = |is_swapped: bool| {
            let locks = Arc::clone(&locks);
            spawn("reads", move || {
                let (a, b) = if is_swapped { (&locks.1, &locks.0) } else { (&locks.0, &locks.1) };
                let _first = a.read().unwrap();
                drop(b.read().unwrap());
            })
        };
        for thread in [turn(false), turn(true)] {
            thread.join().unwrap();
        }
        let writing = spawn("writes", move || {
            drop(locks.0.write().unwrap());
            drop(locks.1.write());
        });
        let _ = writing.join();
    };
    let finding = found(program);
    let confirmation = Confirm::new(&finding).attempts(1).run(program);
    let why = confirmation.not_reached().expect("no writer waits").obstacle();
    assert_eq!(*why, Obstacle::WentOn);
    drop(lockdep::take_findings());
}

/// No panic is possible where `unlocked` acquires its lock again.
#[cfg(feature = "parking_lot")]
#[test]
fn what_cannot_be_broken_is_not_made() {
    use lockdep::parking_lot::{Mutex, MutexGuard};

    let _alone = alone();
    let program = || {
        let locks = Arc::new((Mutex::new(()), Mutex::new(())));
        let other = Arc::clone(&locks);
        let unlocking = spawn("unlocks", move || {
            let mut second = locks.1.lock();
            let mut first = None;
            MutexGuard::unlocked(&mut second, || first = Some(locks.0.lock()));
        });
        unlocking.join().unwrap();
        let inverting = spawn("inverts", move || {
            let _second = other.1.lock();
            drop(other.0.lock());
        });
        let _ = inverting.join();
    };
    let finding = found(program);
    let confirmation = interleave::confirm(&finding, program);
    let why = confirmation.not_reached().expect("it is not tried").obstacle();
    assert!(matches!(why, Obstacle::Unbreakable { .. }), "{why}");
    drop(lockdep::take_findings());
}

/// A worker acquires a lock, and is joined while that lock is held.
#[test]
fn a_join() {
    let program = |waits: bool| {
        let state = Arc::new(Mutex::new(0));
        let worker = lockdep::thread::Builder::new().name("joined worker".into()).spawn({
            let state = Arc::clone(&state);
            move || *state.lock().unwrap() += 1
        });
        let worker = worker.unwrap();
        while waits && *state.lock().unwrap() == 0 {
            thread::yield_now();
        }
        let _state = state.lock().unwrap();
        let _ = worker.join();
    };
    let _alone = alone();
    lockdep::set_level(FindingKind::Inversion, Level::Warn);
    let finding = found(|| program(true));
    lockdep::set_level(FindingKind::Inversion, FindingKind::Inversion.default_level());
    assert_eq!(finding.kind(), FindingKind::Inversion);
    let finding = confirmed(&finding, || program(false));
    let text = finding.to_string();
    assert!(text.contains("the end of thread"), "{text}");
}
