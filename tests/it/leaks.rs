//! A thread that ends while it holds a lock, and threads that acquire the lock afterwards.
#![cfg(debug_assertions)]

use std::{mem, sync::Arc, thread};

use crate::support::{self, denied, findings_about, kinds, on_a_thread};
use lockdep::{
    Finding, FindingKind, Level,
    sync::{Mutex, RwLock},
};

fn leaks(name: &str) -> Vec<Finding> {
    let findings = findings_about(&[name]);
    assert!(kinds(&findings).iter().all(|kind| *kind == FindingKind::LeakedGuard));
    findings
}

#[test]
fn a_forgotten_guard_is_found_when_its_thread_ends() {
    let lock = Mutex::new(());
    lockdep::name(&lock, "forgotten");
    on_a_thread(|| mem::forget(lock.lock()));
    let [finding] = &leaks("forgotten")[..] else { panic!("one") };
    assert_eq!(finding.level(), Level::Warn);
    let [edge] = finding.cycle() else { panic!("one place") };
    assert_eq!((edge.held(), edge.held_at()), (edge.wanted(), edge.acquired_at()));
    assert_eq!(edge.held_at().line(), line!() - 5);
    assert!(lockdep::held().to_string().contains("has ended\n    holds      `forgotten`"));
}

#[test]
fn whoever_waits_for_it_is_told() {
    let lock = Arc::new(RwLock::new(()));
    lockdep::name(&*lock, "left");
    on_a_thread(|| mem::forget(lock.read()));
    // Readers do not wait.
    drop(lock.read());
    assert_eq!(leaks("left").len(), 1);
    // A writer waits for ever; it is reported before, and hangs.
    thread::spawn({
        let lock = Arc::clone(&lock);
        move || drop(lock.write())
    });
    while leaks("left").len() < 2 {
        thread::yield_now();
    }
    let report = leaks("left")[1].to_string();
    assert!(report.contains("waits for `left`, which no thread will release"), "{report}");
    assert!(report.contains("acquired `left` here, and has ended since"), "{report}");
}

#[test]
fn whoever_waits_for_another_lock_is_not_told() {
    let (left, other) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&other, "not left");
    on_a_thread(|| mem::forget(left.lock()));
    let guard = other.lock();
    thread::scope(|scope| {
        scope.spawn(|| drop(other.lock()));
        while !lockdep::held().to_string().contains("waits for  `not left`") {
            thread::yield_now();
        }
        drop(guard);
    });
    assert!(leaks("not left").is_empty());
}

#[test]
fn a_lock_that_is_gone_is_left_by_nobody() {
    let locks = ["gone", "still there"].map(|name| {
        let lock = Mutex::new(());
        lockdep::name(&lock, name);
        lock
    });
    thread::scope(|scope| {
        let leave = || locks.iter().for_each(|lock| mem::forget(lock.lock()));
        let leaver = thread::Builder::new().name("leaver".into());
        leaver.spawn_scoped(scope, leave).unwrap().join().unwrap();
    });
    // A lock's name disappears with the lock, so this searches for the thread.
    let left = || lockdep::held().to_string().matches("thread `leaver`").count();
    assert_eq!(left(), 2, "{}", lockdep::held());
    let [gone, still_there] = locks;
    drop(gone);
    assert_eq!(left(), 1);
    assert!(lockdep::held().to_string().contains("`still there`"));
    drop(still_there);
    assert_eq!(left(), 0);
}

/// A thread-local that is destroyed after our own thread-locals releases its lock late.
#[test]
fn a_guard_in_a_thread_local_comes_back() {
    use std::cell::RefCell;

    use lockdep::sync::MutexGuard;

    static LOCK: Mutex<()> = Mutex::new(());
    thread_local!(static GUARD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) });
    lockdep::name(&LOCK, "in a thread-local");
    thread::spawn(|| GUARD.with(|guard| *guard.borrow_mut() = Some(LOCK.lock().unwrap())))
        .join()
        .unwrap();
    assert!(LOCK.try_lock().is_ok());
    assert!(!lockdep::held().to_string().contains("`in a thread-local`"));
}

/// A guard that moves to another thread is not leaked.
#[test]
#[cfg(feature = "send_guard")]
fn a_guard_that_was_sent_away_may_come_back() {
    use lockdep::parking_lot;

    let lock = parking_lot::Mutex::new(());
    lockdep::name(&lock, "sent away");
    let guard = on_a_thread(|| lock.lock());
    drop(guard);
    assert!(!lockdep::held().to_string().contains("`sent away`"));
    assert!(denied(|| drop(lock.lock())).is_none());
}

#[test]
fn at_deny_whoever_waits_for_it_panics() {
    // Levels are process-wide, so this runs in a separate process.
    let child = support::in_a_child(at_deny_whoever_waits_for_it_panics, || {
        lockdep::set_level(FindingKind::LeakedGuard, Level::Deny);
        let lock = Mutex::new(());
        on_a_thread(|| mem::forget(lock.lock()));
        let report = denied(|| drop(lock.lock())).expect("it would hang");
        assert!(report.starts_with("error[lockdep::leaked_guard]"), "{report}");
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{output:?}");
    }
}

/// `exit` ends the process while guards are alive, which does not leak them.
#[test]
fn a_process_that_exits_leaks_nothing() {
    let child = support::in_a_child(a_process_that_exits_leaks_nothing, || {
        let lock = Mutex::new(());
        let _guard = lock.lock();
        std::process::exit(0);
    });
    if let Some(output) = child {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("lockdep"), "{text}");
    }
}
