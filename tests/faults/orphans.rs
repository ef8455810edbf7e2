//! Locks that another thread of the parent held at a fork: in the child they stay locked forever.

use std::{ptr, sync::mpsc, thread, time::Duration};

use lockdep::{
    FindingKind, Level,
    sync::{Condvar, LazyLock, Mutex, Once, OnceLock, RwLock},
};

use crate::{alone, forks::in_a_fork, support::denied};

/// Runs a closure while another thread, `holder`, is in `hold`, which calls what it is passed at a
/// moment when it holds something.
fn while_held(hold: impl FnOnce(&dyn Fn()) + Send, body: impl FnOnce()) {
    let (holds, is_held) = mpsc::channel();
    let (end, is_over) = mpsc::channel::<()>();
    thread::scope(|scope| {
        let holder = move || {
            hold(&move || {
                holds.send(()).unwrap();
                let _ = is_over.recv();
            });
        };
        thread::Builder::new().name("holder".into()).spawn_scoped(scope, holder).unwrap();
        is_held.recv().unwrap();
        body();
        drop(end);
    });
}

/// Runs a closure in a thread that is expected to hang. Returns once lockdep shows its wait, with
/// the number of findings.
fn findings_of_a_wait(name: &str, wait: impl FnOnce() + Send + 'static) -> usize {
    thread::spawn(wait);
    let waits = format!("waits for  `{name}`");
    while !lockdep::held().to_string().contains(&waits) {
        thread::yield_now();
    }
    // It searches after its wait is visible, and prints what it has found before it lists it.
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(50));
        if !lockdep::findings().is_empty() {
            break;
        }
    }
    lockdep::findings().len()
}

fn leak<T>(value: T) -> &'static T {
    Box::leak(Box::new(value))
}

#[test]
fn a_wait_for_a_lock_of_the_parent_is_denied() {
    alone(a_wait_for_a_lock_of_the_parent_is_denied, || {
        let log = Mutex::new(());
        lockdep::name(&log, "log");
        let hold = |held: &dyn Fn()| {
            let _log = log.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                // These do not wait.
                assert!(log.try_lock().is_err());
                assert!(lockdep::findings().is_empty());
                let report = denied(|| log.lock()).expect("it would hang");
                for part in [
                    "error[lockdep::deadlock]: thread `",
                    "waits for `log`, which no thread of this forked process can release",
                    "thread `holder` acquired `log` here, and held it at the fork",
                    "waits for `log` here",
                    "in which thread `holder` held `log`",
                    "or acquire `log` in the",
                ] {
                    assert!(report.contains(part), "{part}: {report}");
                }
                // An optimized build may have inlined all of the program's frames.
                let has_stack = report.contains("stack of thread `holder`, acquiring `log`:");
                assert!(has_stack || !cfg!(debug_assertions), "{report}");
                assert!(denied(|| log.lock()).is_some(), "each time");
                let [finding] = &lockdep::findings()[..] else { panic!("one") };
                assert_eq!((finding.kind(), finding.count()), (FindingKind::Deadlock, 2));
                let [edge] = finding.cycle() else { panic!("one lock") };
                assert_eq!(edge.held(), edge.wanted());
                // Nothing is held, as far as this process's threads go.
                assert!(!lockdep::held().to_string().contains("`log`"));
                // Other threads of the child find it as well.
                thread::scope(|scope| {
                    let denied = scope.spawn(|| denied(|| log.lock()).is_some());
                    assert!(denied.join().unwrap());
                });
            }));
            // The parent waits for the lock until its thread releases it.
            assert!(lockdep::findings().is_empty());
        });
        drop(log.lock());
        assert!(lockdep::findings().is_empty());
    });
}

#[test]
fn modes_of_the_orphan_and_the_wait() {
    alone(modes_of_the_orphan_and_the_wait, || {
        let rates = RwLock::new(());
        let read = |held: &dyn Fn()| {
            let _rates = rates.read();
            held();
        };
        while_held(read, || {
            assert!(in_a_fork(|| {
                drop(rates.read());
                assert!(denied(|| rates.write()).is_some());
            }));
        });
        let write = |held: &dyn Fn()| {
            let _rates = rates.write();
            held();
        };
        while_held(write, || {
            assert!(in_a_fork(|| assert!(denied(|| rates.read()).is_some())));
        });
    });
}

/// What runs an initializer in the parent never completes it in the child.
#[test]
fn initializers_that_run_in_the_parent() {
    static LAZY: LazyLock<u8> = LazyLock::new(|| {
        HELD.get().unwrap()();
        1
    });
    /// What the initializer calls while it runs.
    static HELD: OnceLock<Box<dyn Fn() + Send + Sync>> = OnceLock::new();

    alone(initializers_that_run_in_the_parent, || {
        let (once, cell) = (Once::new(), OnceLock::new());
        lockdep::name(&once, "once");
        while_held(
            |held| once.call_once(held),
            || {
                assert!(in_a_fork(|| {
                    let report = denied(|| once.call_once(|| ())).expect("it would hang");
                    let running =
                        "thread `holder` was running the initializer of `once` at the fork";
                    assert!(report.contains(running), "{report}");
                    assert!(denied(|| once.wait()).is_some());
                }));
            },
        );
        let init = |held: &dyn Fn()| {
            cell.get_or_init(|| {
                held();
                1
            });
        };
        while_held(init, || {
            assert!(in_a_fork(|| {
                assert!(denied(|| *cell.get_or_init(|| 2)).is_some());
                assert_eq!(cell.get(), None);
            }));
        });
        // Initialized by now.
        assert!(in_a_fork(|| {
            once.call_once(|| ());
            assert_eq!(cell.get_or_init(|| 2), &1);
        }));
        let (holds, is_held) = mpsc::channel();
        let holds = std::sync::Mutex::new(holds);
        let (end, is_over) = mpsc::channel::<()>();
        let is_over = std::sync::Mutex::new(is_over);
        let held = move || {
            holds.lock().unwrap().send(()).unwrap();
            let _ = is_over.lock().unwrap().recv();
        };
        assert!(HELD.set(Box::new(held)).is_ok());
        thread::scope(|scope| {
            scope.spawn(|| *LAZY);
            is_held.recv().unwrap();
            assert!(in_a_fork(|| assert!(denied(|| *LAZY).is_some())));
            drop(end);
        });
        assert!(lockdep::findings().is_empty());
    });
}

/// The child of a child has lost the threads of both.
#[test]
fn grandchildren() {
    alone(grandchildren, || {
        let (ours, theirs) = (Mutex::new(()), Mutex::new(()));
        let hold_ours = |held: &dyn Fn()| {
            let _ours = ours.lock();
            held();
        };
        let hold_theirs = |held: &dyn Fn()| {
            let _theirs = theirs.lock();
            held();
        };
        while_held(hold_ours, || {
            assert!(in_a_fork(|| {
                drop(theirs.lock());
                while_held(hold_theirs, || {
                    assert!(in_a_fork(|| {
                        assert!(denied(|| ours.lock()).is_some());
                        assert!(denied(|| theirs.lock()).is_some());
                    }));
                });
                drop(theirs.lock());
                assert!(lockdep::findings().is_empty());
            }));
        });
    });
}

/// The thread that forks still holds its locks, and its waits are as always.
#[test]
fn locks_of_the_forking_thread() {
    alone(locks_of_the_forking_thread, || {
        let (queue, is_filled) = (Mutex::new(0), Condvar::new());
        let guard = queue.lock().unwrap();
        assert!(in_a_fork(|| {
            let report = denied(|| queue.lock()).expect("its own lock");
            assert!(report.starts_with("error[lockdep::self_deadlock]"), "{report}");
            thread::scope(|scope| {
                scope.spawn(|| {
                    *queue.lock().unwrap() = 1;
                    is_filled.notify_all();
                });
                drop(is_filled.wait_while(guard, |filled| *filled == 0));
            });
            assert_eq!(lockdep::findings().len(), 1);
        }));
    });
}

/// A lock that a thread of the child holds is not an orphan, and neither is one that was free at the
/// fork, whatever threads of the parent have done with it.
#[test]
fn locks_of_the_childs_threads() {
    alone(locks_of_the_childs_threads, || {
        let (free, other) = (leak(Mutex::new(())), leak(Mutex::new(())));
        lockdep::name(free, "free");
        let hold = |held: &dyn Fn()| {
            drop(free.lock());
            let _other = other.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                let guard = free.lock();
                let wait = || drop(free.lock());
                assert_eq!(findings_of_a_wait("free", wait), 0);
                drop(guard);
            }));
        });
    });
}

#[test]
#[cfg(feature = "parking_lot")]
fn a_wait_with_a_timeout_ends() {
    use lockdep::parking_lot;

    alone(a_wait_with_a_timeout_ends, || {
        let lock = parking_lot::Mutex::new(());
        let hold = |held: &dyn Fn()| {
            let _lock = lock.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                assert!(lock.try_lock_for(Duration::from_millis(10)).is_none());
                assert!(lockdep::findings().is_empty());
                if cfg!(not(feature = "send_guard")) {
                    assert!(denied(|| drop(lock.lock())).is_some());
                }
            }));
        });
    });
}

/// The child may replace or unlock what it knows to be locked by no thread.
#[test]
#[cfg(feature = "parking_lot")]
fn a_child_that_mends_its_locks() {
    use lockdep::parking_lot;

    alone(a_child_that_mends_its_locks, || {
        let unlocked: &parking_lot::Mutex<()> = leak(parking_lot::Mutex::new(()));
        let read: &parking_lot::RwLock<()> = leak(parking_lot::RwLock::new(()));
        let replaced = Box::into_raw(Box::new(Mutex::new(()))).expose_provenance();
        let replaced = || ptr::with_exposed_provenance_mut::<Mutex<()>>(replaced);
        let hold = |held: &dyn Fn()| {
            // SAFETY: the box is leaked, and only the child replaces its mutex.
            let _replaced = unsafe { &*replaced() }.lock();
            let _unlocked = unlocked.lock();
            let _read = read.read();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                // SAFETY: the child's only thread has no guard, and the holder's is not there.
                let replaced = unsafe {
                    unlocked.force_unlock();
                    read.force_unlock_read();
                    ptr::write(replaced(), Mutex::new(()));
                    &*replaced()
                };
                drop((unlocked.lock(), read.write(), replaced.lock()));
                // Now they are locks like any others.
                thread::scope(|scope| {
                    let guards = (unlocked.lock(), replaced.lock());
                    let waits = [
                        scope.spawn(|| drop(replaced.lock())),
                        scope.spawn(|| drop(unlocked.lock())),
                    ];
                    // Time to begin to wait. Too little of it only makes the test prove less.
                    thread::sleep(Duration::from_millis(50));
                    drop(guards);
                    assert!(waits.into_iter().all(|wait| wait.join().is_ok()));
                });
                assert!(lockdep::findings().is_empty());
            }));
        });
    });
}

/// A guard that was sent may be anywhere.
#[test]
#[cfg(feature = "send_guard")]
fn a_guard_that_the_forking_thread_has_by_now() {
    use lockdep::parking_lot;

    alone(a_guard_that_the_forking_thread_has_by_now, || {
        let lock = leak(parking_lot::Mutex::new(()));
        lockdep::name(lock, "sent");
        let (send, sent) = mpsc::channel();
        let hold = |held: &dyn Fn()| {
            send.send(lock.lock()).unwrap();
            held();
        };
        while_held(hold, || {
            let guard = sent.recv().unwrap();
            assert!(in_a_fork(|| {
                assert_eq!(findings_of_a_wait("sent", || drop(lock.lock())), 0);
                drop(guard);
                drop(lock.lock());
            }));
        });
    });
}

/// Memory that both processes share: the parent's thread may release the lock.
#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_lock_in_shared_memory() {
    alone(a_lock_in_shared_memory, || {
        // SAFETY: the mapping is large and aligned enough, and stays.
        let lock = unsafe {
            let page = libc::mmap(
                ptr::null_mut(),
                4096,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED | libc::MAP_ANONYMOUS,
                -1,
                0,
            );
            assert_ne!(page, libc::MAP_FAILED);
            let page = page.cast::<Mutex<()>>();
            page.write(Mutex::new(()));
            &*page
        };
        lockdep::name(lock, "shared");
        let hold = |held: &dyn Fn()| {
            let _lock = lock.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                assert_eq!(findings_of_a_wait("shared", || drop(lock.lock())), 0);
            }));
        });
    });
}

/// What an unknown raw lock consists of may be shared with the parent.
#[test]
#[cfg(feature = "lock_api")]
fn a_raw_lock_of_unknown_make() {
    use std::sync::atomic::{
        AtomicBool,
        Ordering::{Acquire, Release},
    };

    use lockdep::lock_api::RawMutex;

    /// Consists of its memory, but lockdep cannot know that.
    struct Spin(AtomicBool);

    // SAFETY: one thread at a time sets the flag.
    unsafe impl lock_api::RawMutex for Spin {
        #[allow(clippy::declare_interior_mutable_const, reason = "as lock_api has it")]
        const INIT: Self = Self(AtomicBool::new(false));
        type GuardMarker = lock_api::GuardNoSend;

        fn lock(&self) {
            while !self.try_lock() {
                thread::yield_now();
            }
        }

        fn try_lock(&self) -> bool {
            !self.0.swap(true, Acquire)
        }

        unsafe fn unlock(&self) {
            self.0.store(false, Release);
        }
    }

    alone(a_raw_lock_of_unknown_make, || {
        let lock = leak(lock_api::Mutex::<RawMutex<Spin>, ()>::new(()));
        lockdep::name(lock, "unknown");
        let hold = |held: &dyn Fn()| {
            let _lock = lock.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                assert_eq!(findings_of_a_wait("unknown", || drop(lock.lock())), 0);
            }));
        });
    });
}

/// At a lower level, the report is printed before the thread hangs.
#[test]
fn at_warn_it_hangs() {
    alone(at_warn_it_hangs, || {
        lockdep::set_level(FindingKind::Deadlock, Level::Warn);
        let lock = leak(Mutex::new(()));
        lockdep::name(lock, "log");
        let hold = |held: &dyn Fn()| {
            let _lock = lock.lock();
            held();
        };
        while_held(hold, || {
            assert!(in_a_fork(|| {
                assert_eq!(findings_of_a_wait("log", || drop(lock.lock())), 1);
                let report = lockdep::findings()[0].to_string();
                assert!(report.contains("it will wait for ever"), "{report}");
            }));
        });
    });
}

/// A thread that polls a task has another context for what it holds itself.
#[test]
#[cfg(feature = "tokio")]
fn a_fork_in_a_task() {
    use lockdep::tokio;

    alone(a_fork_in_a_task, || {
        let own = leak(Mutex::new(()));
        lockdep::name(own, "own");
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let guard = own.lock();
        let task = async {
            assert!(in_a_fork(|| {
                assert_eq!(findings_of_a_wait("own", || drop(own.lock())), 0);
            }));
        };
        runtime.block_on(async { tokio::spawn(task).await.unwrap() });
        drop(guard);
    });
}

/// Handlers that take locks around a fork: the child can release all of them.
#[test]
fn handlers_that_take_locks_around_a_fork() {
    use std::{
        cell::RefCell,
        sync::atomic::{AtomicBool, Ordering::Relaxed},
    };

    use lockdep::sync::MutexGuard;

    static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
    thread_local! {
        static GUARDS: RefCell<Vec<MutexGuard<'static, ()>>> = const { RefCell::new(Vec::new()) };
    }

    extern "C" fn acquire() {
        GUARDS
            .with_borrow_mut(|guards| guards.extend(LOCKS.iter().filter_map(|it| it.lock().ok())));
    }

    extern "C" fn release() {
        GUARDS.take();
    }

    alone(handlers_that_take_locks_around_a_fork, || {
        let both = || drop((LOCKS[0].lock(), LOCKS[1].lock()));
        both();
        // SAFETY: none of the handlers unwinds.
        unsafe { libc::pthread_atfork(Some(acquire), Some(release), Some(release)) };
        let stop = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Relaxed) {
                    both();
                }
            });
            for _ in 0..100 {
                assert!(in_a_fork(|| {
                    both();
                    assert_eq!(crate::reported(), 0);
                }));
            }
            stop.store(true, Relaxed);
        });
    });
}
