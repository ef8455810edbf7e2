//! Cases that other validators get wrong, with a test for each. tracing-mutex 0.3.3 fails all of
//! these, as read and run in 2026.
#![cfg(any(debug_assertions, feature = "enforce"))]

use std::{cell::RefCell, sync::Arc, thread, time::Duration};

use crate::support::{denied, findings_about, in_a_child, on_a_thread};
use lockdep::{
    FindingKind,
    sync::{Barrier, Condvar, Mutex, RwLock},
};

/// tracing-mutex adds an edge from the last held lock only, so it misses A→C here.
#[test]
fn every_held_lock_has_an_edge_to_the_next() {
    let (a, b, c) = (Mutex::new(()), Mutex::new(()), Mutex::new(()));
    {
        let _a = a.lock().unwrap();
        let b = b.lock().unwrap();
        let _c = c.lock().unwrap();
        drop(b);
    }
    // With B destroyed, A and C are connected only by an edge of their own.
    drop(b);
    let _c = c.lock().unwrap();
    assert!(denied(|| a.lock()).is_some());
}

#[test]
fn an_inverted_try_lock_cannot_block() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let _b = b.lock().unwrap();
    assert!(denied(|| drop(a.try_lock().unwrap())).is_none());
}

/// A failed attempt leaves no edge and no held lock.
#[test]
fn a_failed_try_leaves_no_trace() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    let (held, tried) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        scope.spawn(|| {
            let _a = a.lock().unwrap();
            held.wait();
            tried.wait();
        });
        held.wait();
        assert!(a.try_lock().is_err());
        drop(b.lock().unwrap());
        tried.wait();
    });
    let _b = b.lock().unwrap();
    assert!(denied(|| drop(a.lock().unwrap())).is_none());
}

/// The wait releases `m` and acquires it again, under `outer`.
#[test]
fn a_wait_takes_its_mutex_back_under_the_other_locks() {
    let (m, outer, changed) = (Mutex::new(false), Mutex::new(()), Condvar::new());
    let guard = m.lock().unwrap();
    let _outer = outer.lock().unwrap();
    let report = denied(|| drop(changed.wait(guard))).unwrap();
    assert!(report.contains("acquired in both orders"), "{report}");
    assert!(!m.is_poisoned());
    assert!(m.try_lock().is_ok());
}

#[test]
fn each_lock_that_is_held_during_a_wait_is_told() {
    let (m, changed) = (Mutex::new(()), Condvar::new());
    let [a, b] = ["held a", "held b"].map(|name| {
        let lock = Mutex::new(());
        lockdep::name(&lock, name);
        lock
    });
    let _held = (a.lock(), b.lock());
    drop(changed.wait_timeout(m.lock().unwrap(), Duration::ZERO));
    let [finding] = &findings_about(&["held a"])[..] else { panic!("one") };
    assert_eq!((finding.kind(), finding.cycle().len()), (FindingKind::WaitWhileHolding, 2));
    let report = finding.to_string();
    assert!(report.contains("while it holds `held a`, `held b`"), "{report}");
    assert!(report.contains("note: it holds `held b` as well"), "{report}");
    assert!(report.contains("the same wait"), "{report}");
}

/// Waits on different locks are different waits.
#[test]
fn two_waits_with_one_lock_held_are_two_findings() {
    let (outer, changed) = (Mutex::new(()), Condvar::new());
    lockdep::name(&outer, "held twice");
    let _outer = outer.lock();
    let waits = [(); 2].map(|()| Mutex::new(()));
    for m in [&waits[0], &waits[1], &waits[0]] {
        drop(changed.wait_timeout(m.lock().unwrap(), Duration::ZERO));
    }
    let counts = findings_about(&["held twice"]).into_iter().map(|finding| finding.count());
    assert_eq!(counts.collect::<Vec<_>>(), [2, 1]);
}

/// The thread continues after each panic, and there is one finding with a count.
#[test]
fn a_cycle_is_one_finding_however_often_it_repeats() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "repeated a");
    lockdep::name(&b, "repeated b");
    drop((a.lock().unwrap(), b.lock().unwrap()));
    for _ in 0..3 {
        let _b = b.lock().unwrap();
        assert!(denied(|| a.lock()).is_some());
    }
    let findings = findings_about(&["repeated a"]);
    assert_eq!(findings.len(), 1);
    assert_eq!(findings[0].count(), 3);
}

#[test]
fn the_panic_poisons_nothing() {
    let (outer, inner, rw) = (Mutex::new(1), Mutex::new(2), RwLock::new(3));
    drop((inner.lock().unwrap(), rw.write().unwrap(), outer.lock().unwrap()));
    let result = on_a_thread(|| {
        denied(|| {
            let _outer = outer.lock().unwrap();
            let _rw = rw.write();
            let _inner = inner.lock().unwrap();
        })
    });
    assert!(result.is_some());
    assert!(!outer.is_poisoned() && !inner.is_poisoned() && !rw.is_poisoned());
    assert_eq!(*outer.lock().unwrap(), 1);
    assert_eq!(*inner.try_lock().unwrap(), 2);
    assert_eq!(*rw.read().unwrap(), 3);
    assert_eq!(outer.into_inner().unwrap(), 1);
}

#[test]
fn a_hook_may_take_locks() {
    let child = in_a_child(a_hook_may_take_locks, || {
        static LOG: Mutex<Vec<String>> = Mutex::new(Vec::new());
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        lockdep::name(&a, "hooked a");
        lockdep::on_finding(|finding| {
            // Even against the order that has just been found broken.
            LOG.lock().unwrap().push(finding.to_string());
        });
        drop((a.lock().unwrap(), LOG.lock().unwrap()));
        drop((a.lock().unwrap(), b.lock().unwrap()));
        {
            let _b = b.lock().unwrap();
            assert!(denied(|| a.lock()).is_some());
            assert!(denied(|| a.lock()).is_some());
        }
        let reports = LOG.lock().unwrap();
        // Once, for all its repetitions.
        assert_eq!(reports.iter().filter(|report| report.contains("`hooked a`")).count(), 1);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// In either order of the two destructors.
#[test]
fn locks_in_thread_local_destructors() {
    struct LocksInDrop;
    impl Drop for LocksInDrop {
        fn drop(&mut self) {
            static A: Mutex<u32> = Mutex::new(0);
            static B: Mutex<u32> = Mutex::new(0);
            let mut a = A.lock().unwrap();
            *B.lock().unwrap() += 1;
            *a += 1;
        }
    }
    thread_local! {
        static BEFORE: RefCell<Option<LocksInDrop>> = const { RefCell::new(None) };
        static AFTER: RefCell<Option<LocksInDrop>> = const { RefCell::new(None) };
    }
    let lock = Arc::new(Mutex::new(()));
    thread::spawn(move || {
        BEFORE.set(Some(LocksInDrop));
        drop(lock.lock().unwrap());
        AFTER.set(Some(LocksInDrop));
    })
    .join()
    .unwrap();
}

/// A guard in a thread-local is released after the library's own destructor, or before it.
#[test]
fn guards_in_thread_locals() {
    static LOCK: Mutex<()> = Mutex::new(());
    thread_local! {
        static GUARD: RefCell<Option<lockdep::sync::MutexGuard<'static, ()>>> =
            const { RefCell::new(None) };
    }
    for _ in 0..2 {
        thread::spawn(|| GUARD.set(Some(LOCK.lock().unwrap()))).join().unwrap();
    }
    assert!(LOCK.try_lock().is_ok());
}

/// tracing-mutex's recursive search overflows a 2 MB stack at this length, and each edge takes
/// longer the longer the chain is.
#[test]
fn a_long_chain_found_tail_first() {
    let locks: Vec<_> = (0..10_000).map(Mutex::new).collect();
    for pair in locks.windows(2).rev() {
        drop((pair[0].lock().unwrap(), pair[1].lock().unwrap()));
    }
    let _last = locks.last().unwrap().lock().unwrap();
    assert!(denied(|| locks[0].lock()).is_some());
}

/// A reused address is a new lock.
#[test]
fn a_destroyed_lock_takes_its_edges_along() {
    let a = Mutex::new(());
    let mut slot = Some(Mutex::new(()));
    for round in 0..10 {
        let b = slot.as_ref().unwrap();
        if round % 2 == 0 {
            drop((a.lock().unwrap(), b.lock().unwrap()));
        } else {
            drop((b.lock().unwrap(), a.lock().unwrap()));
        }
        slot = Some(Mutex::new(()));
    }
}

/// The same for a lock that moves.
#[test]
fn a_lock_that_moves_is_the_same() {
    let a = Mutex::new(());
    let b = Mutex::new(());
    drop((a.lock().unwrap(), b.lock().unwrap()));
    let moved = Box::new(b);
    let _b = moved.lock().unwrap();
    assert!(denied(|| a.lock()).is_some());
}
