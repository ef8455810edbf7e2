//! A thread that ends while it holds a lock, and threads that acquire the lock afterwards.
#![cfg(debug_assertions)]

use std::{
    mem,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

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
    // A lock's name disappears with the lock, so this searches for the thread. For a moment after the join, the system
    // still lists the thread itself, as one that runs.
    let left = || lockdep::held().to_string().matches("thread `leaver` has ended\n").count();
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

/// Acquires new locks and forgets their guards, each before another thread destroys the lock.
fn forget_and_destroy(count: usize, forget: impl Fn(&Mutex<()>), mut afterwards: impl FnMut()) {
    let (send, sent) = mpsc::channel::<Box<Mutex<()>>>();
    let (gone, is_gone) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(move || {
            for lock in sent {
                drop(lock);
                gone.send(()).unwrap();
            }
        });
        for _ in 0..count {
            let lock = Box::new(Mutex::new(()));
            forget(&lock);
            send.send(lock).unwrap();
            is_gone.recv().unwrap();
            afterwards();
        }
        drop(send);
    });
}

/// The locks that the calling thread holds, which are all of this process.
fn held_now() -> usize {
    lockdep::held().to_string().matches("    holds ").count()
}

#[test]
fn locks_that_others_destroy_are_not_held() {
    // Counts all edges, nodes and findings of the process.
    let child = support::in_a_child(locks_that_others_destroy_are_not_held, || {
        let counted = Arc::new(AtomicUsize::new(0));
        lockdep::on_finding({
            let counted = Arc::clone(&counted);
            move |_| _ = counted.fetch_add(1, Relaxed)
        });
        let others = [Mutex::new(()), Mutex::new(())];
        let mut most = 0;
        on_a_thread(|| {
            let forget = |lock: &Mutex<()>| mem::forget(lock.lock());
            forget_and_destroy(1_000, forget, || {
                // The thread looks when it acquires another lock, in an order that is new.
                drop(Mutex::new(()).lock());
                most = most.max(held_now());
                drop(others[0].lock());
            });
            assert_eq!(held_now(), 0, "{}", lockdep::held());
            drop((others[0].lock(), others[1].lock()));
        });
        assert_eq!(most, 0);
        // No edge comes from a dead lock, and none is left in the graph.
        let graph = lockdep::order_graph();
        let graph = graph.as_petgraph();
        assert_eq!((graph.node_count(), graph.edge_count()), (2, 1), "{graph:?}");
        // Reported once, for all of them.
        let [finding] = &lockdep::findings()[..] else { panic!("{:?}", lockdep::findings()) };
        assert_eq!((finding.kind(), finding.level()), (FindingKind::LeakedGuard, Level::Warn));
        assert_eq!((finding.count(), counted.load(Relaxed)), (1_000, 1));
        let report = finding.to_string();
        for part in [
            " never released `lock`, which another thread has destroyed",
            "`lock` acquired here, and never released",
            "help: the guard was forgotten: `mem::forget`",
        ] {
            assert!(report.contains(part), "{part}: {report}");
        }
    });
    if let Some(output) = child {
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}");
        assert_eq!(text.matches("warning[lockdep::leaked_guard]").count(), 1, "{text}");
    }
}

/// A thread that only tries locks has no order to check, but does not hold ever more.
#[test]
fn locks_that_are_tried_and_destroyed_do_not_pile_up() {
    let child = support::in_a_child(locks_that_are_tried_and_destroyed_do_not_pile_up, || {
        let kept = [(); 100].map(|()| Mutex::new(()));
        on_a_thread(|| {
            let forget = |lock: &Mutex<()>| mem::forget(lock.try_lock());
            forget_and_destroy(1_000, forget, || assert!(held_now() <= 17, "{}", held_now()));
            for lock in &kept {
                mem::forget(lock.try_lock());
            }
            // Those that are alive are held.
            assert!((100..=117).contains(&held_now()), "{}", held_now());
        });
        let [finding, leaks @ ..] = &lockdep::findings()[..] else { panic!("none") };
        assert!(finding.count() >= 980 && finding.to_string().contains("has destroyed"));
        assert_eq!(leaks.len(), 100);
    });
    if let Some(output) = child {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The last one is found when the thread ends, and not as held by then.
#[test]
fn a_lock_that_was_destroyed_is_not_held_at_the_end() {
    on_a_thread(|| {
        let forget = |lock: &Mutex<()>| {
            lockdep::name(lock, "destroyed before the end");
            mem::forget(lock.lock());
        };
        forget_and_destroy(1, forget, || ());
    });
    let line = line!() - 4;
    let is_it = |finding: &&Finding| {
        let [edge] = finding.cycle() else { return false };
        edge.held_at().file() == file!() && edge.held_at().line() == line
    };
    let findings = lockdep::findings();
    let found: Vec<_> = findings.iter().filter(is_it).collect();
    let [finding] = &found[..] else { panic!("{found:?}") };
    assert!(finding.to_string().contains("never released"), "{finding}");
    assert!(leaks("destroyed before the end").is_empty());
}

/// Another thread has the guard, releases the lock and destroys it.
#[test]
#[cfg(feature = "send_guard")]
fn a_lock_that_is_released_and_destroyed_elsewhere_was_not_forgotten() {
    use lockdep::parking_lot::{self, lock_api::ArcMutexGuard};

    let other = Mutex::new(());
    lockdep::name(&other, "after a guard was sent");
    let line = line!() + 3;
    for _ in 0..100 {
        let lock = Arc::new(parking_lot::Mutex::new(()));
        let guard: ArcMutexGuard<_, _> = lock.lock_arc();
        drop(lock);
        on_a_thread(|| drop(guard));
        drop((other.lock(), Mutex::new(()).lock()));
    }
    let is_here = |finding: &Finding| {
        let [edge, ..] = finding.cycle() else { return false };
        edge.held_at().file() == file!() && edge.held_at().line() == line
    };
    assert!(!lockdep::findings().iter().any(is_here));
}
