//! Hooks that misbehave.

use std::{
    cell::RefCell,
    sync::{
        Barrier,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, MutexGuard},
};

use crate::{alone, invert, support::on_a_thread};

#[test]
fn a_hook_that_panics_is_caught() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    alone(a_hook_that_panics_is_caught, || {
        lockdep::on_finding(|_| {
            CALLS.fetch_add(1, SeqCst);
            panic!("on purpose");
        });
        lockdep::on_finding(|_| _ = CALLS.fetch_add(100, SeqCst));
        // The panic carries the report, and the other hook was called.
        assert!(invert().starts_with("error[lockdep::"));
        assert!(on_a_thread(invert).starts_with("error[lockdep::"));
        assert_eq!(CALLS.load(SeqCst), 202);
    });
}

#[test]
fn a_hook_that_takes_locks_and_asks_for_everything() {
    static CALLS: AtomicUsize = AtomicUsize::new(0);
    static OUTER: Mutex<u32> = Mutex::new(0);
    alone(a_hook_that_takes_locks_and_asks_for_everything, || {
        lockdep::on_finding(|finding| {
            CALLS.fetch_add(1, SeqCst);
            // The locks of another order, and a new one.
            let own = Mutex::new(());
            drop((own.lock(), OUTER.try_lock()));
            let text = [
                lockdep::held().to_string(),
                lockdep::order_graph().to_dot(),
                finding.render(true),
            ];
            assert!(text.iter().all(|text| !text.is_empty()));
            lockdep::on_finding(|_| _ = CALLS.fetch_add(100, SeqCst));
            lockdep::set_level(finding.kind(), finding.level());
            assert!(!lockdep::findings().is_empty() && lockdep::stats().locks() > 0);
            // Another finding, from inside: neither reported nor thrown.
            drop((OUTER.try_lock(), own.lock()));
        });
        invert();
        assert_eq!(CALLS.load(SeqCst), 1);
        invert();
        assert_eq!(CALLS.load(SeqCst), 102);
    });
}

#[test]
fn a_hook_that_never_returns_stops_nobody_else() {
    static BLOCKS: AtomicBool = AtomicBool::new(true);
    alone(a_hook_that_never_returns_stops_nobody_else, || {
        static IN_HOOK: Barrier = Barrier::new(2);
        lockdep::on_finding(|_| {
            if BLOCKS.swap(false, SeqCst) {
                IN_HOOK.wait();
                loop {
                    thread::sleep(Duration::from_hours(1));
                }
            }
        });
        thread::spawn(invert);
        IN_HOOK.wait();
        // Other threads acquire locks, make edges and findings, and call hooks.
        invert();
        on_a_thread(invert);
        assert_eq!(lockdep::take_findings().len(), 3);
        lockdep::on_finding(|_| ());
        assert!(
            lockdep::held().to_string().is_empty()
                || !lockdep::held().to_string().contains("deadlock")
        );
    });
}

/// The thread that is about to wait holds one lock less, and another one has its slot.
#[test]
fn a_hook_that_releases_what_is_held() {
    static OUTER: Mutex<()> = Mutex::new(());
    static INNER: Mutex<()> = Mutex::new(());
    thread_local! {
        static HELD: RefCell<Option<MutexGuard<'static, ()>>> = const { RefCell::new(None) };
    }
    alone(a_hook_that_releases_what_is_held, || {
        lockdep::set_level(FindingKind::Deadlock, Level::Warn);
        lockdep::allow(|| {
            lockdep::on_finding(|_| HELD.set(None));
            HELD.set(OUTER.lock().ok());
        });
        thread::scope(|scope| {
            scope.spawn(|| lockdep::allow(|| drop((INNER.lock(), OUTER.lock()))));
            while !lockdep::held().to_string().contains("waits for") {
                thread::yield_now();
            }
            drop(INNER.lock());
        });
        assert!(lockdep::held().to_string().starts_with("no thread holds or waits for a lock\n"));
        let _ = lockdep::take_findings();
    });
}
