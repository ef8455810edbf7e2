//! Checking must never cause a deadlock, an abort, unbounded growth, or a change in the program's
//! behaviour.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::{
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Barrier,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    thread,
};

use crate::support::{denied, findings_about, kinds, on_a_thread};
use lockdep::{
    FindingKind, Level,
    sync::{Condvar, LazyLock, Mutex, Once, OnceLock, RwLock, RwLockWriteGuard},
};

#[test]
fn relocking_panics_instead_of_hanging() {
    let (mutex, rw) = (Mutex::new(()), RwLock::new(()));
    let guard = mutex.lock().unwrap();
    let report = denied(|| mutex.lock()).unwrap();
    assert!(report.starts_with("error[lockdep::self_deadlock]: "), "{report}");
    drop(guard);
    drop(mutex.lock().unwrap());

    let writer = rw.write().unwrap();
    assert!(denied(|| rw.write()).is_some());
    assert!(denied(|| rw.read()).unwrap().starts_with("error[lockdep::self_deadlock]"));
    drop(writer);
    let reader = rw.read().unwrap();
    assert!(denied(|| rw.write()).unwrap().starts_with("error[lockdep::self_deadlock]"));
    assert!(denied(|| rw.read()).unwrap().starts_with("error[lockdep::recursive_read]"));
    drop(reader);
    drop(rw.write().unwrap());
}

#[test]
fn initializers_that_ask_for_themselves_panic_instead_of_hanging() {
    static ONCE: Once = Once::new();
    static CELL: OnceLock<u8> = OnceLock::new();
    static LAZY: LazyLock<u8> = LazyLock::new(|| *LAZY + 1);
    let report = denied(|| ONCE.call_once(|| ONCE.call_once(|| {}))).unwrap();
    assert!(report.contains("the initializer of `ONCE` uses `ONCE` itself"), "{report}");
    assert!(denied(|| CELL.get_or_init(|| *CELL.get_or_init(|| 1))).is_some());
    assert!(denied(|| CELL.get_or_init(|| CELL.set(1).map_or(2, |()| 3))).is_some());
    assert!(denied(|| *LAZY).is_some());
    // The panic of a finding does not poison.
    ONCE.call_once(|| {});
    assert!(ONCE.is_completed());
    assert_eq!(*CELL.get_or_init(|| 4), 4);
}

#[test]
fn initializers_are_held_and_initialized_cells_are_not() {
    static CONFIG: OnceLock<u8> = OnceLock::new();
    static STATE: Mutex<u8> = Mutex::new(1);
    assert_eq!(*CONFIG.get_or_init(|| *STATE.lock().unwrap()), 1);
    // The opposite order would have to wait if the cell were not initialized.
    let state = STATE.lock().unwrap();
    assert_eq!(*CONFIG.get_or_init(|| unreachable!()), 1);
    assert_eq!(CONFIG.get(), Some(&1));
    drop(state);

    // An initializer that failed must run again, and the cell is held again.
    let fresh: OnceLock<u8> = OnceLock::new();
    let lock = Mutex::new(2);
    let fails = || {
        fresh.get_or_init(|| {
            drop(lock.lock().unwrap());
            panic!("on purpose")
        });
    };
    assert!(catch_unwind(AssertUnwindSafe(fails)).is_err());
    let _guard = lock.lock().unwrap();
    assert!(denied(|| fresh.get_or_init(|| 3)).is_some());
}

/// A second panic during unwinding would abort the process.
#[test]
fn no_panic_while_panicking() {
    struct Inverts<'a>(&'a Mutex<()>, &'a Mutex<()>);
    impl Drop for Inverts<'_> {
        fn drop(&mut self) {
            let _b = self.1.lock().unwrap();
            let _a = self.0.lock().unwrap();
        }
    }
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "unwinding a");
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _inverts = Inverts(&a, &b);
        panic!("the program's own");
    }));
    assert_eq!(result.unwrap_err().downcast_ref::<&str>(), Some(&"the program's own"));
    assert_eq!(kinds(&findings_about(&["unwinding a"])), [FindingKind::SingleThreadInversion]);
}

/// The program's own panics poison as usual, also after a finding's panic was caught.
#[test]
fn panics_of_the_program_poison() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let result = catch_unwind(AssertUnwindSafe(|| {
        let _b = b.lock().unwrap();
        assert!(denied(|| a.lock()).is_some());
        // One acquisition is enough to distinguish the two panics.
        let _c = c.lock().unwrap();
        panic!("the program's own");
    }));
    assert!(result.is_err());
    assert!(b.is_poisoned() && c.is_poisoned() && !a.is_poisoned());
    assert!(b.lock().is_err());
}

#[test]
fn a_lock_that_was_poisoned_before_stays_so() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let poisons = || {
        let _b = b.lock().unwrap();
        panic!("the program's own");
    };
    assert!(catch_unwind(AssertUnwindSafe(poisons)).is_err());
    let result = denied(|| {
        let _b = b.lock().unwrap_err().into_inner();
        let _a = a.lock();
    });
    assert!(result.is_some());
    assert!(b.is_poisoned());
}

#[test]
fn two_hundred_locks_held_and_released_in_any_order() {
    let locks: Vec<_> = (0..200).map(Mutex::new).collect();
    for stride in [1, 3, 7, 199] {
        let mut guards: Vec<_> = locks.iter().map(|lock| Some(lock.lock().unwrap())).collect();
        for step in 0..200 {
            guards[step * stride % 200] = None;
        }
        assert!(guards.iter().all(Option::is_none));
    }
    // Nothing is left behind: all of them can be acquired, and none of them counts as held.
    let held = lockdep::held().to_string();
    drop(locks[199].lock().unwrap());
    let _last = locks[199].lock().unwrap();
    assert!(denied(|| locks[0].lock()).is_some(), "{held}");
}

#[test]
fn works_on_a_small_stack() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, || {
            drop((a.lock().unwrap(), b.lock().unwrap()));
            let _b = b.lock().unwrap();
            lockdep::allow(|| drop(a.lock().unwrap()));
            drop(a.try_lock().unwrap());
        });
        small.unwrap().join().unwrap();
    });
    let _b = b.lock().unwrap();
    assert!(denied(|| a.lock()).is_some());
}

/// The report is rendered on the thread's stack as well.
#[test]
fn reports_on_a_small_stack() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let report = thread::scope(|scope| {
        let small = thread::Builder::new().stack_size(64 * 1024).spawn_scoped(scope, || {
            drop((a.lock().unwrap(), b.lock().unwrap()));
            let _b = b.lock().unwrap();
            denied(|| a.lock())
        });
        small.unwrap().join().unwrap()
    });
    assert!(report.unwrap().contains("acquired in both orders"));
}

#[test]
fn forgotten_guards() {
    // On this thread: the lock is dropped, and nothing stays held.
    let a = Mutex::new(());
    for _ in 0..100 {
        let forgotten = Mutex::new(());
        mem::forget(forgotten.lock().unwrap());
        drop(a.lock().unwrap());
    }
    // On a thread that ends: the lock stays held, and nothing else happens.
    let forgotten = Mutex::new(());
    on_a_thread(|| mem::forget(forgotten.lock().unwrap()));
    assert!(forgotten.try_lock().is_err());
}

/// A dropped lock frees its edges: a program that keeps creating locks does not make the graph
/// grow.
#[test]
fn destroyed_locks_leave_nothing() {
    let outer = Mutex::new(());
    lockdep::name(&outer, "growing outer");
    for _ in 0..5_000 {
        let inner = Mutex::new(());
        drop((outer.lock().unwrap(), inner.lock().unwrap()));
    }
    let order = lockdep::order_graph();
    let order = order.as_petgraph();
    let outer = order.node_indices().find(|&node| order[node].name() == Some("growing outer"));
    assert_eq!(order.neighbors(outer.expect("it is named")).count(), 0);
}

#[test]
fn allowed_acquisitions_are_no_findings_and_no_order() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let guard = b.lock().unwrap();
    lockdep::allow(|| drop(a.lock().unwrap()));
    // Outside of `allow`, the check is active.
    assert!(denied(|| a.lock()).is_some());
    drop(guard);

    let (c, d) = (Mutex::new(()), Mutex::new(()));
    lockdep::allow(|| drop((c.lock().unwrap(), d.lock().unwrap())));
    drop((d.lock().unwrap(), c.lock().unwrap()));
    // A panic inside also ends the allowance.
    assert!(catch_unwind(|| lockdep::allow(|| panic!("on purpose"))).is_err());
    let _c = c.lock().unwrap();
    assert!(denied(|| d.lock()).is_some());
}

#[test]
fn a_downgraded_lock_is_held_for_reading() {
    let (rw, other) = (RwLock::new(1), Mutex::new(()));
    let reader = RwLockWriteGuard::downgrade(rw.write().unwrap());
    assert!(denied(|| rw.read()).unwrap().starts_with("error[lockdep::recursive_read]"));
    drop(other.lock().unwrap());
    drop(reader);
    assert!(denied(|| drop(rw.write().unwrap())).is_none());
    let _other = other.lock().unwrap();
    assert!(denied(|| rw.write()).is_some());
}

#[test]
fn waiting_while_holding_is_a_warning() {
    let (outer, flag, changed) = (Mutex::new(()), Mutex::new(false), Condvar::new());
    lockdep::name(&outer, "waits while holding");
    thread::scope(|scope| {
        let _outer = outer.lock().unwrap();
        let flag_guard = flag.lock().unwrap();
        scope.spawn(|| {
            *flag.lock().unwrap() = true;
            changed.notify_all();
        });
        drop(changed.wait_while(flag_guard, |flag| !*flag).unwrap());
    });
    let findings = findings_about(&["waits while holding"]);
    assert_eq!(kinds(&findings), [FindingKind::WaitWhileHolding]);
    assert_eq!(findings[0].level(), Level::Warn);
    assert_eq!(findings[0].cycle().len(), 1);
}

/// Many threads and paths in a consistent order: no finding.
#[test]
fn a_consistent_order_is_never_denied() {
    const LOCKS: usize = 24;
    static DENIED: AtomicU32 = AtomicU32::new(0);
    let locks: Vec<_> = (0..LOCKS).map(|_| RwLock::new(0)).collect();
    thread::scope(|scope| {
        for seed in 0..4_usize {
            let locks = &locks;
            scope.spawn(move || {
                let mut state = seed * 7919 + 1;
                for _ in 0..3_000 {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    let (first, step) = ((state >> 33) % LOCKS, (state >> 40) % LOCKS + 1);
                    let mut guards = Vec::new();
                    for at in (first..LOCKS).step_by(step) {
                        match denied(|| drop(locks[at].write().unwrap())) {
                            None => guards.push(locks[at].try_read()),
                            Some(_) => _ = DENIED.fetch_add(1, Relaxed),
                        }
                    }
                }
            });
        }
    });
    assert_eq!(DENIED.load(Relaxed), 0);
}

/// Concurrent readers that meet such poison clear it once.
#[test]
fn readers_meet_no_poison_of_ours() {
    for _ in 0..500 {
        let rates = RwLock::new(1);
        let relocks = || {
            let _rates = rates.write().unwrap();
            drop(rates.write());
        };
        assert!(denied(relocks).is_some() && !rates.is_poisoned());
        let begin = Barrier::new(2);
        let read = || {
            begin.wait();
            *rates.read().expect("not poisoned")
        };
        thread::scope(|scope| {
            let other = scope.spawn(read);
            assert_eq!((read(), other.join().unwrap()), (1, 1));
        });
        assert!(!rates.is_poisoned() && rates.write().is_ok() && rates.read().is_ok());
    }
}

/// A writer of a poisoned lock that downgrades holds this lock and no other.
#[test]
fn a_poisoned_lock_is_downgraded() {
    let rates = RwLock::new(1);
    lockdep::name(&rates, "poisoned rates");
    let poisons = || {
        let _rates = rates.write().unwrap();
        panic!("the program's own");
    };
    assert!(catch_unwind(AssertUnwindSafe(poisons)).is_err());
    let reader = RwLockWriteGuard::downgrade(rates.write().unwrap_err().into_inner());
    assert!(denied(|| rates.write().is_ok()).is_some(), "it would wait for itself");
    drop(reader);
    assert!(rates.write().is_err());
    assert_eq!(kinds(&findings_about(&["poisoned rates"])), [FindingKind::SelfDeadlock]);
}

/// A destructor that runs during a finding's panic acquires a lock: the program's own panics still
/// poison that lock.
#[test]
fn a_lock_that_is_taken_while_a_finding_unwinds_is_not_forgiven() {
    struct Counts<'a>(&'a Mutex<u32>);
    impl Drop for Counts<'_> {
        fn drop(&mut self) {
            *self.0.lock().unwrap() += 1;
        }
    }
    let (a, b, counter) = (Mutex::new(()), Mutex::new(()), Mutex::new(0));
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let report = denied(|| {
        let _counts = Counts(&counter);
        let _b = b.lock().unwrap();
        drop(a.lock());
    });
    assert!(report.is_some() && !counter.is_poisoned() && !b.is_poisoned());
    let panics = catch_unwind(AssertUnwindSafe(|| {
        let _counter = counter.lock().unwrap();
        panic!("the program's own");
    }));
    assert!(panics.is_err() && counter.is_poisoned());
}
