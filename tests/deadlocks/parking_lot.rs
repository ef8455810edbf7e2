//! The scenarios of `tests/deadlocks/main.rs` with parking_lot's locks: both of its versions, and
//! the modes that std does not have.
#![cfg(all(debug_assertions, feature = "parking_lot", feature = "parking_lot_0_13"))]

use std::{
    panic::{self, AssertUnwindSafe},
    sync::{Arc, Barrier},
    thread,
    time::Duration,
};

use lockdep::{
    parking_lot::{self, RwLockUpgradableReadGuard},
    parking_lot_0_13,
};

use crate::support::ring::{
    Link, REPETITIONS, check_ring, deadlock_about, named, only_what_happens, report, ring_link,
    unique, until_waiting,
};

macro_rules! held {
    ($guard:expr) => {
        &|then: &dyn Fn()| {
            let _guard = $guard;
            then();
        }
    };
}

macro_rules! links {
    ($parking_lot:ident) => {
        pub(super) const LINKS: &[fn(&str) -> Link] =
            &[mutex, fair, written, read, recursively_read, upgradable, reentrant];

        fn mutex(name: &str) -> Link {
            let lock = named($parking_lot::Mutex::new(()), name);
            ring_link!(lock: held!(lock.lock()), lock.lock())
        }

        fn fair(name: &str) -> Link {
            let lock = named($parking_lot::FairMutex::new(()), name);
            ring_link!(lock: held!(lock.lock()), lock.lock())
        }

        fn written(name: &str) -> Link {
            let lock = named($parking_lot::RwLock::new(()), name);
            ring_link!(lock: held!(lock.write()), lock.upgradable_read())
        }

        fn read(name: &str) -> Link {
            let lock = named($parking_lot::RwLock::new(()), name);
            ring_link!(lock: held!(lock.read()), lock.write())
        }

        fn upgradable(name: &str) -> Link {
            let lock = named($parking_lot::RwLock::new(()), name);
            ring_link!(lock: held!(lock.upgradable_read()), lock.upgradable_read())
        }

        /// Held twice, and free only once it is released twice. Such a lock has no name.
        fn reentrant(name: &str) -> Link {
            let lock = $parking_lot::ReentrantMutex::new(());
            let _ = name;
            ring_link!(lock: held!((lock.lock(), lock.lock())), lock.lock())
        }
    };
}

mod with_0_12 {
    use lockdep::parking_lot;

    use super::{Link, named, ring_link};

    links!(parking_lot);

    fn recursively_read(name: &str) -> Link {
        let lock = named(parking_lot::RwLock::new(()), name);
        ring_link!(lock: held!(lock.write()), lock.read_recursive())
    }
}

mod with_0_13 {
    use lockdep::parking_lot_0_13::{self, RawRwLockRecursive, lock_api};

    use super::{Link, named, ring_link};

    links!(parking_lot_0_13);

    fn recursively_read(name: &str) -> Link {
        type RwLock<T> = lock_api::RwLock<RawRwLockRecursive, T>;
        let lock = named(RwLock::new(()), name);
        ring_link!(lock: held!(lock.write()), lock.read())
    }
}

/// A lock that has a name comes first, by which the test finds its finding.
fn check(first: fn(&str) -> Link, others: &[fn(&str) -> Link]) {
    let kinds: Vec<_> = [first].iter().chain(others).copied().collect();
    check_ring(&kinds);
}

#[test]
fn rings_of_every_kind_of_lock_of_both_lines() {
    only_what_happens();
    let named = with_0_12::LINKS[0];
    for link in with_0_12::LINKS.iter().chain(with_0_13::LINKS) {
        check(named, &[*link]);
    }
    let both: Vec<_> = with_0_12::LINKS.iter().chain(with_0_13::LINKS).copied().collect();
    for size in 3..=both.len() {
        check(named, &both[..size]);
    }
}

/// An upgrade waits for a reader, which waits for a lock that the upgrader holds.
#[test]
fn an_upgrade_against_a_reader() {
    // With guards that can be sent, a deadlock is reported only once it has lasted a second.
    let repetitions = if cfg!(feature = "send_guard") { REPETITIONS / 50 } else { REPETITIONS };
    only_what_happens();
    for _ in 0..repetitions {
        let name = unique("upgrade");
        let shared = Arc::new(named(parking_lot::RwLock::new(()), &name));
        let other = Arc::new(parking_lot::Mutex::new(()));
        let both_hold = Arc::new(Barrier::new(2));
        let upgrader = thread::spawn({
            let (shared, other) = (Arc::clone(&shared), Arc::clone(&other));
            let both_hold = Arc::clone(&both_hold);
            move || {
                let _other = other.lock();
                let upgradable = shared.upgradable_read();
                both_hold.wait();
                drop(RwLockUpgradableReadGuard::upgrade(upgradable));
            }
        });
        let reader = thread::spawn({
            let (shared, other) = (Arc::clone(&shared), Arc::clone(&other));
            move || {
                let _shared = shared.read();
                both_hold.wait();
                drop(other.lock());
            }
        });
        let reports = [report(upgrader.join()), report(reader.join())];
        assert_eq!(reports.iter().flatten().count(), 1, "{reports:#?}");
        assert_eq!(deadlock_about(&name).len(), 1);
        // The thread that panicked has released everything.
        assert!(shared.try_write().is_some() && other.try_lock().is_some());
    }
}

/// The same with 0.13, whose upgrade takes the guard by value.
#[test]
fn an_upgrade_that_is_denied_gives_its_lock_back() {
    only_what_happens();
    let shared = parking_lot_0_13::RwLock::new(());
    let reader = shared.read();
    let upgradable = shared.upgradable_read();
    let upgrade = || drop(parking_lot_0_13::RwLockUpgradableReadGuard::upgrade(upgradable));
    let report = crate::support::denied(upgrade).expect("it waits for its own reader");
    assert!(report.starts_with("error[lockdep::deadlock]"), "{report}");
    drop(reader);
    assert!(shared.try_write().is_some());
}

/// Two threads in opposite orders, both with timeouts, so that neither waits for ever.
#[test]
fn waits_that_give_up_are_no_circle() {
    only_what_happens();
    for repetition in 0..REPETITIONS / 10 {
        let name = unique("patience");
        let a = Arc::new(named(parking_lot::Mutex::new(()), &name));
        let b = Arc::new(parking_lot_0_13::RwLock::new(()));
        let both_hold = Arc::new(Barrier::new(2));
        // Long enough to observe the other thread's wait. The second one may wait without a
        // timeout.
        let patience = Duration::from_millis(20);
        let first = thread::spawn({
            let (a, b, both_hold) = (Arc::clone(&a), Arc::clone(&b), Arc::clone(&both_hold));
            move || {
                let _a = a.lock();
                both_hold.wait();
                b.try_read_for(patience).is_none()
            }
        });
        let second = thread::spawn({
            let (a, b) = (Arc::clone(&a), Arc::clone(&b));
            move || {
                let _b = b.write();
                both_hold.wait();
                if repetition % 2 == 0 { drop(a.lock()) } else { drop(a.try_lock_for(patience)) }
            }
        });
        // It gave up, unless the other one did first.
        let _gave_up: bool = first.join().expect("no report");
        second.join().expect("no report");
        assert!(deadlock_about(&name).is_empty());
        assert!(!lockdep::held().to_string().contains(&name), "no trace is left");
    }
}

/// Longer than a deadlock through a guard that can be sent must last before it is reported.
#[cfg(feature = "send_guard")]
const WORK: Duration = Duration::from_millis(1_500);

/// A thread waits for a lock whose guard it has given to another one, which takes its time.
#[test]
#[cfg(feature = "send_guard")]
fn a_guard_that_another_thread_has_is_waited_for() {
    use std::sync::mpsc;

    only_what_happens();
    let name = unique("given");
    let lock = named(parking_lot::Mutex::new(0), &name);
    let work = |guard| {
        until_waiting(&name, 1);
        thread::sleep(WORK);
        drop(guard);
    };
    let given_to_a_spawned_thread = || {
        lockdep::thread::scope(|scope| {
            let guard = lock.lock();
            scope.spawn(move || work(guard));
            *lock.lock() += 1;
        });
    };
    let given_to_a_grandchild = || {
        lockdep::thread::scope(|scope| {
            let guard = lock.lock();
            scope.spawn(move || {
                scope.spawn(move || work(guard));
            });
            *lock.lock() += 1;
        });
    };
    let sent_to_a_thread = || {
        let (give, take) = lockdep::sync::mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || work(take.recv().unwrap()));
            give.send(lock.lock()).unwrap();
            *lock.lock() += 1;
        });
    };
    let sent_through_two_channels = || {
        let (give, take) = lockdep::sync::mpsc::sync_channel(1);
        let (pass_on, end) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(move || pass_on.send(take.recv().unwrap()).unwrap());
            scope.spawn(move || work(end.recv().unwrap()));
            give.send(lock.lock()).unwrap();
            *lock.lock() += 1;
        });
    };
    given_to_a_spawned_thread();
    given_to_a_grandchild();
    sent_to_a_thread();
    sent_through_two_channels();
    assert_eq!(*lock.lock(), 4);
    assert!(deadlock_about(&name).is_empty());
}

/// A thread that may have the guard is stuck as well, so nothing will release it.
#[test]
#[cfg(feature = "send_guard")]
fn a_guard_is_not_with_a_thread_that_is_stuck() {
    only_what_happens();
    let name = unique("kept");
    let kept = named(parking_lot::Mutex::new(()), &name);
    let other = named(parking_lot::Mutex::new(()), &format!("{name}.other"));
    let held = kept.lock();
    let both_hold = Barrier::new(2);
    lockdep::thread::scope(|scope| {
        let child = scope.spawn(|| {
            let _other = other.lock();
            both_hold.wait();
            drop(kept.lock());
        });
        both_hold.wait();
        let own = panic::catch_unwind(AssertUnwindSafe(|| drop(other.lock())));
        drop(held);
        let reports = [report(own), report(child.join())];
        assert!(reports.into_iter().flatten().all(|it| it.starts_with("error[lockdep::deadlock]")));
    });
    assert_eq!(deadlock_about(&name).len(), 1);
}

/// A guard that can be sent does not prove which thread holds its lock: a deadlock through it is
/// reported only once it has lasted for a while.
#[test]
#[cfg(feature = "send_guard")]
fn a_guard_that_was_sent_away_is_no_circle() {
    use std::sync::mpsc;

    only_what_happens();
    for _ in 0..REPETITIONS / 10 {
        let name = unique("sent");
        let sent = Arc::new(named(parking_lot::Mutex::new(()), &name));
        let other = Arc::new(named(parking_lot::Mutex::new(()), &format!("{name}.other")));
        let (give, take) = mpsc::channel();
        let all_hold = Barrier::new(2);
        let (sent, other, all_hold, name) = (&*sent, &*other, &all_hold, &*name);
        thread::scope(|scope| {
            scope.spawn(move || {
                let _other = other.lock();
                all_hold.wait();
                drop(sent.lock());
            });
            scope.spawn(move || {
                let kept = parking_lot::Mutex::new(());
                let _kept = kept.lock();
                give.send(sent.lock()).unwrap();
                all_hold.wait();
                until_waiting(name, 1);
                // It looks as if this thread still held the lock that the other one waits for.
                drop(other.lock());
            });
            scope.spawn(move || {
                let guard = take.recv().unwrap();
                until_waiting(&format!("{name}.other"), 1);
                drop(guard);
            });
        });
        assert!(deadlock_about(name).is_empty());
    }
}
