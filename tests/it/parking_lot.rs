//! Findings with parking_lot's locks, and correct uses without one.
#![cfg(all(feature = "parking_lot", any(debug_assertions, feature = "enforce")))]

use std::thread;

use crate::support::{self, denied, on_a_thread};
use lockdep::{
    parking_lot::{
        Condvar, FairMutex, Mutex, MutexGuard, Once, ReentrantMutex, RwLock,
        RwLockUpgradableReadGuard, RwLockWriteGuard,
    },
    sync,
};

fn kind(report: Option<String>) -> Option<String> {
    Some(report?.split(['[', ']']).nth(1)?.replace("lockdep::", ""))
}

const SELF: Option<&str> = Some("self_deadlock");
/// The finding for a lock acquired twice. Another thread may have the first guard, unless it cannot
/// be sent.
const TWICE: Option<&str> =
    Some(if cfg!(feature = "send_guard") { "deadlock" } else { "self_deadlock" });
const RECURSIVE: Option<&str> = Some("recursive_read");

/// A recursive reader of a known chain takes the fast path, but not with the mode in which it is
/// held.
#[test]
fn recursive_readers_are_held_as_readers_once_they_are_known() {
    let (outer, lock) = (Mutex::new(()), RwLock::new(()));
    lockdep::name(&lock, "recursively read");
    let shared = |held: &str| {
        let line = held.lines().find(|line| line.contains("recursively read"));
        line.is_some_and(|line| line.contains("(shared)"))
    };
    for _ in 0..4 {
        let _outer = outer.lock();
        let reader = lock.read_recursive();
        assert!(shared(&lockdep::held().to_string()), "{}", lockdep::held());
        let again = lock.read_recursive();
        drop((reader, again));
        assert!(!shared(&lockdep::held().to_string()), "{}", lockdep::held());
    }
}

/// One thread that acquires one lock twice.
#[test]
fn the_upgrade_matrix() {
    let lock = RwLock::new(());
    let second = |name: &str| {
        let report = match name {
            "r" => denied(|| drop(lock.read())),
            "rr" => denied(|| drop(lock.read_recursive())),
            "w" => denied(|| drop(lock.write())),
            _ => denied(|| drop(lock.upgradable_read())),
        };
        kind(report)
    };
    let reader = lock.read();
    assert_eq!(second("r").as_deref(), RECURSIVE);
    assert_eq!(second("rr").as_deref(), None);
    assert_eq!(second("w").as_deref(), TWICE);
    assert_eq!(second("u").as_deref(), RECURSIVE);
    drop(reader);
    let writer = lock.write();
    for next in ["r", "rr", "w", "u"] {
        assert_eq!(second(next).as_deref(), TWICE, "{next}");
    }
    drop(writer);
    let upgradable = lock.upgradable_read();
    assert_eq!(second("r").as_deref(), None);
    assert_eq!(second("rr").as_deref(), None);
    assert_eq!(second("w").as_deref(), TWICE);
    assert_eq!(second("u").as_deref(), TWICE);
    // Its own upgrade waits only for readers.
    let writer = RwLockUpgradableReadGuard::upgrade(upgradable);
    assert_eq!(second("r").as_deref(), TWICE);
    let upgradable = RwLockWriteGuard::downgrade_to_upgradable(writer);
    assert_eq!(second("r").as_deref(), None);
    let reader = RwLockUpgradableReadGuard::downgrade(upgradable);
    assert_eq!(second("r").as_deref(), RECURSIVE);
    drop(reader);
    drop(lock.write());
}

#[test]
fn upgradable_readers_and_readers_do_not_wait_for_each_other() {
    for upgradable_first in [false, true] {
        let (rw, other) = (RwLock::new(()), Mutex::new(()));
        let read_then_other = || drop((rw.read(), other.lock()));
        let other_then_upgradable = || drop((other.lock(), rw.upgradable_read()));
        if upgradable_first {
            on_a_thread(other_then_upgradable);
            on_a_thread(read_then_other);
        } else {
            on_a_thread(read_then_other);
            on_a_thread(other_then_upgradable);
        }
    }
}

#[test]
fn an_upgrade_waits_for_readers() {
    let (rw, other) = (RwLock::new(()), Mutex::new(()));
    on_a_thread(|| drop((rw.read(), other.lock())));
    let report = on_a_thread(|| {
        let upgradable = rw.upgradable_read();
        let _other = other.lock();
        denied(|| drop(RwLockUpgradableReadGuard::upgrade(upgradable)))
    });
    assert!(report.unwrap().contains("acquired in both orders"));
    assert!(rw.try_write().is_some());
}

#[test]
fn a_reentered_mutex_adds_nothing() {
    let (reentrant, other) = (ReentrantMutex::new(()), Mutex::new(()));
    let outer = reentrant.lock();
    let held = other.lock();
    // Otherwise an inversion.
    let inner = (reentrant.lock(), reentrant.lock());
    drop((held, outer, inner));
    assert!(!reentrant.is_locked());
    let _other = other.lock();
    assert!(denied(|| reentrant.lock()).is_some());
}

/// lock_api acquires it in a closure, so the caller's location is lost.
#[test]
fn a_reentrant_mutex_is_called_by_its_type() {
    let (reentrant, other) = (ReentrantMutex::new(()), Mutex::new(()));
    on_a_thread(|| drop((reentrant.lock(), other.lock())));
    let report = on_a_thread(|| {
        let _other = other.lock();
        denied(|| drop(reentrant.lock()))
    })
    .unwrap();
    for part in [
        "`other` and `parking_lot::ReentrantMutex` are acquired in both orders",
        "acquires `parking_lot::ReentrantMutex` here",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
    assert!(!report.contains("`self.mutex`"), "{report}");
}

/// All flavours share one order.
#[test]
fn one_order_for_std_and_parking_lot() {
    let (std, parking_lot, fair) = (sync::Mutex::new(1), Mutex::new(2), FairMutex::new(3));
    on_a_thread(|| drop((std.lock().unwrap(), parking_lot.lock())));
    on_a_thread(|| drop((parking_lot.lock(), fair.lock())));
    let _fair = fair.lock();
    let report = denied(|| drop(std.lock())).unwrap();
    for part in [
        "3 locks are acquired in a cycle: `fair` → `std` → `parking_lot` → `fair`",
        "`std` is a `Mutex<i32>` made at tests/it/parking_lot.rs",
        "`parking_lot` is a `parking_lot::Mutex`",
        "tests/it/parking_lot.rs",
    ] {
        assert!(report.contains(part), "{part}\n{report}");
    }
}

#[test]
fn a_wait_takes_its_mutex_back() {
    let (flag, outer, changed) = (Mutex::new(false), Mutex::new(()), Condvar::new());
    let mut guard = flag.lock();
    let _outer = outer.lock();
    assert!(denied(|| changed.wait(&mut guard)).is_some());
    // Still held, as its guard exists.
    assert!(flag.try_lock().is_none());
    drop(guard);
    assert!(flag.try_lock().is_some());
}

#[test]
fn giving_a_lock_back_for_a_moment_keeps_the_held_set_true() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "given back");
    let is_held = || lockdep::held().to_string().matches("`given back`").count();
    let mut guard = a.lock();
    assert_eq!(is_held(), 1);
    // Not held while it is unlocked.
    MutexGuard::unlocked(&mut guard, || {
        assert_eq!(is_held(), 0);
        drop(b.lock());
    });
    assert_eq!(is_held(), 1);
    MutexGuard::bump(&mut guard);
    assert_eq!(is_held(), 1);
    drop(guard);
    assert_eq!(is_held(), 0);
    let _b = b.lock();
    assert!(denied(|| drop(a.lock())).is_none());
}

/// `unlocked` acquires the lock again even if that is denied: otherwise its guard would unlock that
/// of another thread.
#[test]
fn a_lock_that_is_taken_again_for_its_guard_is_not_denied() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "taken again");
    let mut guard = a.lock();
    let _b = b.lock();
    assert!(denied(|| MutexGuard::unlocked(&mut guard, || assert!(!a.is_locked()))).is_none());
    assert!(a.is_locked());
    drop(guard);
    assert!(!a.is_locked());
    assert_eq!(support::findings_about(&["taken again"]).len(), 1, "it is printed, and recorded");
}

/// A lock that a denied wait or bump did not release is still held, and by no other thread.
#[test]
fn what_is_denied_stays_held() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "stays held");
    let is_held = || lockdep::held().to_string().contains("`stays held`");
    let mut guard = a.lock();
    let _b = b.lock();
    assert!(denied(|| MutexGuard::bump(&mut guard)).is_some());
    assert!(is_held() && a.is_locked());
    assert!(denied(|| Condvar::new().wait(&mut guard)).is_some());
    assert!(is_held() && a.is_locked());
    drop(guard);
    assert!(!is_held() && !a.is_locked());
}

#[test]
fn debug_leaves_no_trace() {
    let (a, b) = (Mutex::new(1), RwLock::new(2));
    drop((a.lock(), b.read()));
    let _b = b.write();
    assert_eq!(format!("{a:?}"), "Mutex { data: 1 }");
    let _fresh = Mutex::new(3);
    assert!(denied(|| drop(a.try_lock())).is_none());
}

#[test]
fn timed_forms_cannot_hang() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    let _b = b.lock();
    let forever = std::time::Duration::from_mins(1);
    assert!(denied(|| drop(a.try_lock_for(forever).unwrap())).is_none());
}

/// The attempt returns without the lock, and is reported.
#[test]
#[cfg(not(feature = "send_guard"))] // a guard that can be sent may live on elsewhere
fn whoever_waits_a_while_for_what_was_left_is_not_told() {
    let lock = Mutex::new(());
    lockdep::name(&lock, "left, tried for a while");
    on_a_thread(|| std::mem::forget(lock.lock()));
    assert!(lock.try_lock_for(std::time::Duration::from_millis(1)).is_none());
    assert_eq!(support::findings_about(&["left, tried for a while"]).len(), 1);
}

#[test]
fn an_initializer_that_asks_for_itself() {
    static ONCE: Once = Once::new();
    assert_eq!(kind(denied(|| ONCE.call_once(|| ONCE.call_once(|| {})))).as_deref(), SELF);
    ONCE.call_once(|| {});
    assert!(ONCE.state().done());
}

/// A guard that is released on another thread is no longer held by the one that acquired it.
#[cfg(feature = "send_guard")]
#[test]
fn sent_guards() {
    let (sent, other) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&sent, "sent");
    let guard = sent.lock();
    on_a_thread(|| drop(guard));
    assert!(!lockdep::held().to_string().contains("`sent`"));
    drop(other.lock());
    let _other = other.lock();
    assert!(denied(|| drop(sent.lock())).is_none());
}

/// A thread sends its guard of a lock away, and is then sent another thread's guard of the same
/// lock.
#[cfg(feature = "send_guard")]
#[test]
fn exchanged_guards() {
    let lock = Mutex::new(());
    lockdep::name(&lock, "exchanged");
    let own = lock.lock();
    on_a_thread(|| drop(own));
    let (give, take) = std::sync::mpsc::channel();
    let is_over = std::sync::Barrier::new(2);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            give.send(lock.lock()).unwrap();
            is_over.wait();
        });
        drop(take.recv().unwrap());
        // Notices what other threads have released.
        let (one, other) = (Mutex::new(()), Mutex::new(()));
        drop((one.lock(), other.lock()));
        let held = lockdep::held().to_string();
        is_over.wait();
        assert!(!held.contains("`exchanged`"), "{held}");
    });
}

/// Locks that another thread has released, but that this one has not noticed yet, are not a
/// validated chain.
#[cfg(feature = "send_guard")]
#[test]
fn a_guard_that_was_sent_away_is_in_no_chain() {
    let (sent, other) = (Mutex::new(()), Mutex::new(()));
    let guard = sent.lock();
    on_a_thread(|| drop(guard));
    drop(other.lock());
    drop((sent.lock(), other.lock()));
    let _other = other.lock();
    assert!(denied(|| drop(sent.lock())).is_some());
}

#[test]
#[allow(unsafe_code, reason = "forcing a lock open is unsafe")]
fn a_lock_that_is_forced_open_is_not_held() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    std::mem::forget(a.lock());
    // SAFETY: the lock is held, as its guard was just forgotten.
    unsafe { a.force_unlock() };
    drop(b.lock());
    let _b = b.lock();
    assert!(denied(|| drop(a.lock())).is_none());
}

#[cfg(feature = "serde")]
#[test]
fn locks_are_written_and_read_as_their_values() {
    let text = serde_json::to_string(&(Mutex::new(1), RwLock::new("two"))).unwrap();
    assert_eq!(text, "[1,\"two\"]");
    let (a, b): (Mutex<u8>, RwLock<String>) = serde_json::from_str(&text).unwrap();
    assert_eq!((a.into_inner(), b.into_inner()), (1, "two".to_owned()));
}

#[cfg(feature = "arc_lock")]
#[test]
fn arc_guards_are_held_too() {
    let (a, b) = (sync::Arc::new(Mutex::new(())), Mutex::new(()));
    drop((a.lock_arc(), b.lock()));
    let _b = b.lock();
    assert!(denied(|| drop(a.lock_arc())).is_some());
}

/// A thread that reads a lock twice holds it twice, but records its edges once.
#[test]
fn a_reader_who_reads_again_makes_one_edge() {
    let (a, b) = (RwLock::new(()), RwLock::new(()));
    lockdep::name(&a, "read again");
    let guards = (a.read_recursive(), a.read_recursive(), a.read_recursive(), b.read());
    let graph = lockdep::order_graph();
    let edges = graph.as_petgraph().edge_weights();
    assert_eq!(edges.filter(|edge| edge.held().name() == Some("read again")).count(), 1);
    drop(guards);
    let _b = b.write();
    assert!(denied(|| drop(a.write())).is_some());
}

/// Many threads in a consistent order, in every mode, have no finding.
#[test]
fn a_consistent_order_is_never_denied() {
    let locks: Vec<_> = (0..16).map(RwLock::new).collect();
    thread::scope(|scope| {
        for seed in 0..4_usize {
            let locks = &locks;
            scope.spawn(move || {
                let mut state = seed * 7919 + 1;
                for _ in 0..2_000 {
                    let mut readers = Vec::new();
                    for lock in locks {
                        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                        match (state >> 40) % 8 {
                            0 => drop(lock.write()),
                            1 => readers.push(lock.read()),
                            2 => readers.push(lock.read_recursive()),
                            3 => readers.push(RwLockWriteGuard::downgrade(lock.write())),
                            4 => {
                                let upgradable = lock.upgradable_read();
                                drop(RwLockUpgradableReadGuard::upgrade(upgradable));
                            }
                            5 => drop(lock.try_write()),
                            _ => {}
                        }
                    }
                }
            });
        }
    });
}

#[cfg(feature = "parking_lot_0_13")]
mod line_0_13 {
    use lockdep::parking_lot_0_13::{
        Condvar, Mutex, Once, RecursiveRwLock, RwLock, RwLockUpgradableReadGuard,
    };

    use super::*;

    /// All flavours share one order.
    #[test]
    fn one_order_for_all() {
        let std = sync::Mutex::new(1);
        let older = lockdep::parking_lot::Mutex::new(2);
        let newer = Mutex::new(3);
        on_a_thread(|| drop((std.lock().unwrap(), older.lock())));
        on_a_thread(|| drop((older.lock(), newer.lock())));
        let _newer = newer.lock();
        let report = denied(|| drop(std.lock())).unwrap();
        assert!(
            report.contains("3 locks are acquired in a cycle: `newer` → `std` → `older` → `newer`"),
            "{report}"
        );
    }

    #[test]
    fn a_denied_upgrade_releases_the_lock() {
        let (rw, other) = (RwLock::new(()), Mutex::new(()));
        on_a_thread(|| drop((rw.read(), other.lock())));
        on_a_thread(|| {
            let upgradable = rw.upgradable_read();
            let _other = other.lock();
            let report = denied(|| drop(RwLockUpgradableReadGuard::upgrade(upgradable))).unwrap();
            assert!(report.contains("tests/it/parking_lot.rs"), "{report}");
        });
        assert!(rw.try_write().is_some());
        assert!(!lockdep::held().to_string().contains("`rw`"));
    }

    #[test]
    fn a_wait_takes_its_mutex_back() {
        let (flag, outer, changed) = (Mutex::new(false), Mutex::new(()), Condvar::new());
        let mut guard = flag.lock();
        let _outer = outer.lock();
        assert!(denied(|| changed.wait(&mut guard)).is_some());
        assert!(flag.try_lock().is_none());
        drop(guard);
        assert!(flag.try_lock().is_some());
    }

    #[test]
    fn recursive_readers_wait_for_holders_alone() {
        let (rw, recursive) = (RwLock::new(()), RecursiveRwLock::new(()));
        drop((rw.write(), recursive.write()));
        let readers = (rw.read(), recursive.read());
        assert_eq!(kind(denied(|| drop(rw.read()))).as_deref(), RECURSIVE);
        assert!(denied(|| drop(recursive.read())).is_none());
        drop(readers);
        let _writer = recursive.write();
        assert_eq!(kind(denied(|| drop(recursive.read()))).as_deref(), TWICE);
    }

    #[test]
    fn an_initializer_that_asks_for_itself() {
        static ONCE: Once = Once::new();
        assert_eq!(kind(denied(|| ONCE.call_once(|| ONCE.call_once(|| {})))).as_deref(), SELF);
        assert_eq!(kind(denied(|| ONCE.call_once_force(|_| ONCE.wait()))).as_deref(), SELF);
        ONCE.call_once(|| {});
        assert!(ONCE.is_completed());
    }
}
