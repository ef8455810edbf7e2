//! Forks without `exec`: the child has one thread, while the parent's other threads may be in any
//! state.

use std::{
    panic::catch_unwind,
    sync::{
        Arc, Barrier,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
};

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, RwLock},
};

use crate::{
    alone,
    support::{denied, findings_about},
};

/// Runs a closure in a forked child, which must end within a minute: under a sanitizer on a busy
/// machine, ten seconds are not enough to look up symbols. Returns `true` if it ended successfully.
pub(super) fn in_a_fork(body: impl FnOnce()) -> bool {
    // SAFETY: running in the child is what this tests; `alarm` kills it if it hangs.
    unsafe {
        match libc::fork() {
            0 => {
                libc::alarm(60);
                let ends_well = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body));
                libc::_exit(i32::from(ends_well.is_err()))
            }
            pid => {
                let mut status = 0;
                assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                libc::WIFEXITED(status) && libc::WEXITSTATUS(status) == 0
            }
        }
    }
}

/// The other threads are checking a chain at each fork.
#[test]
fn a_fork_while_others_make_edges_does_not_hang() {
    alone(a_fork_while_others_make_edges_does_not_hang, || {
        let kind = FindingKind::SingleThreadInversion;
        lockdep::set_level(kind, Level::Allow);
        let stop = Arc::new(AtomicBool::new(false));
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Relaxed) {
                        let (a, b) = (Mutex::new(()), RwLock::new(()));
                        drop((a.lock(), b.write()));
                        drop((b.read(), a.lock()));
                        drop(lockdep::take_findings());
                    }
                })
            })
            .collect();
        let good = (0..200).filter(|number| {
            in_a_fork(|| {
                let (a, b) = (Mutex::new(()), Mutex::new(()));
                lockdep::name(&a, "in a fork");
                drop((a.lock(), b.lock()));
                // Only sometimes, because looking up symbols is slow.
                if number % 50 == 0 {
                    lockdep::set_level(kind, Level::Deny);
                    assert!(denied(|| drop((b.lock(), a.lock()))).is_some());
                }
                drop((b.lock(), catch_unwind(|| drop(a.lock()))));
                assert_eq!(findings_about(&["in a fork"]).len(), 1);
            })
        });
        assert_eq!(good.count(), 200);
        stop.store(true, Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// The other threads look up symbols and walk their stacks at each fork.
#[test]
fn a_fork_while_others_are_denied_does_not_hang() {
    alone(a_fork_while_others_are_denied_does_not_hang, || {
        // Std's own locks around the printing of panics keep the parent's state.
        std::panic::set_hook(Box::new(|_| {}));
        let stop = Arc::new(AtomicBool::new(false));
        let relock = || {
            let lock = Mutex::new(());
            let _guard = lock.lock();
            assert!(denied(|| lock.lock()).is_some());
        };
        relock();
        let threads: Vec<_> = (0..3)
            .map(|_| {
                let stop = Arc::clone(&stop);
                thread::spawn(move || {
                    while !stop.load(Relaxed) {
                        relock();
                        drop(lockdep::take_findings());
                    }
                })
            })
            .collect();
        let good = (0..20).filter(|_| in_a_fork(relock));
        assert_eq!(good.count(), 20);
        stop.store(true, Relaxed);
        for thread in threads {
            thread.join().unwrap();
        }
    });
}

/// Threads that do not exist in the child hold nothing and wait for nothing.
#[test]
fn a_fork_does_not_see_its_parents_threads() {
    alone(a_fork_does_not_see_its_parents_threads, || {
        let locks = Arc::new([Mutex::new(()), Mutex::new(())]);
        lockdep::name(&locks[0], "elsewhere");
        let (holds, ends) = (Arc::new(Barrier::new(2)), Arc::new(Barrier::new(2)));
        let thread = thread::spawn({
            let (locks, holds, ends) = (Arc::clone(&locks), Arc::clone(&holds), Arc::clone(&ends));
            move || {
                let _elsewhere = locks[0].lock();
                holds.wait();
                ends.wait();
            }
        });
        holds.wait();
        let _own = locks[1].lock();
        assert!(lockdep::held().to_string().contains("elsewhere"));
        assert!(in_a_fork(|| {
            let held = lockdep::held().to_string();
            // The forking thread still holds its own lock.
            assert!(!held.contains("elsewhere") && held.contains("holds"), "{held}");
            assert!(lockdep::findings().is_empty());
            assert!(denied(|| locks[1].lock()).is_some());
        }));
        ends.wait();
        thread.join().unwrap();
    });
}
