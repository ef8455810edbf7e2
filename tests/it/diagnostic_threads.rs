//! The watchdog, and the thread that answers signals. Each test runs in a separate process.
#![cfg(all(debug_assertions, unix))]
#![allow(unsafe_code, reason = "forks are")]

use std::{
    io::Read,
    process::{Child, Command},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::Duration,
};

use crate::support::{
    child::{end, lines_until, start, until_told},
    is_child,
};
use lockdep::sync::{Barrier, Condvar, Mutex, mpsc};

/// A holder, and a thread that waits for it.
fn hold_and_wait() {
    let lock = Mutex::new(());
    lockdep::name(&lock, "wanted");
    let guard = lock.lock();
    thread::scope(|scope| {
        scope.spawn(|| drop(lock.lock()));
        until_told();
        drop(guard);
    });
}

#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_signal_has_the_table_printed() {
    let test = a_signal_has_the_table_printed;
    if is_child() {
        return hold_and_wait();
    }
    let environment = [("LOCKDEP_SIGNAL", "usr1"), ("LOCKDEP_WATCHDOG", "1ms")];
    let mut child = start(test, &environment);
    // The watchdog's report shows that the child is ready.
    lines_until(&mut child, "waits for  `wanted`");
    let kill = Command::new("kill").args(["-USR1", &child.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
    let text = lines_until(&mut child, "held locks, at SIGUSR1:");
    assert!(!text.contains("ignored"), "{text}");
    let table = lines_until(&mut child, "waits for  `wanted`");
    assert!(table.contains("holds      `wanted` (exclusive)  since tests/"), "{table}");
    end(child);
}

#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_signal_that_does_not_exist_is_named() {
    let test = a_signal_that_does_not_exist_is_named;
    if is_child() {
        return hold_and_wait();
    }
    let mut child = start(test, &[("LOCKDEP_SIGNAL", "USR9")]);
    lines_until(&mut child, "`USR9` in LOCKDEP_SIGNAL is ignored: no signal has this name");
    end(child);
}

/// The report says what the holder waits for, if that is not a lock. Such waits are not reported
/// themselves.
#[test]
fn the_watchdog_says_what_the_holder_waits_for() {
    let test = the_watchdog_says_what_the_holder_waits_for;
    if is_child() {
        let (start, (sender, receiver)) = (Barrier::new(2), mpsc::channel::<()>());
        return thread::scope(|scope| {
            scope.spawn(|| start.wait());
            while !lockdep::held().to_string().contains("the other threads at `start`") {
                thread::yield_now();
            }
            lockdep::watchdog(Duration::from_millis(20));
            let lock = Mutex::new(());
            lockdep::name(&lock, "held in recv");
            thread::scope(|scope| {
                scope.spawn(|| {
                    let _lock = lock.lock().unwrap();
                    assert!(receiver.into_iter().next().is_none());
                });
                while !lockdep::held().to_string().contains("a message from") {
                    thread::yield_now();
                }
                thread::sleep(Duration::from_millis(60)); // in which it would bark at the idle ones
                scope.spawn(|| drop(lock.lock()));
                until_told();
                drop(sender);
            });
            start.wait();
        });
    }
    let mut child = start(test, &[]);
    let first = lines_until(&mut child, "wait for ever");
    assert!(first.contains("waits for `held in recv` at tests/"), "{first}");
    let first = first.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(first.contains("waits for a message; there is no circle of locks, but if "), "{first}");
    assert!(first.ends_with(" needs `held in recv` first, all of them wait for ever"), "{first}");
    end(child);
}

/// A deadlock through a channel that is not checked: the report says what the holder does, and for
/// how long. The summary mentions it if the process ends after all.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn the_watchdog_says_what_a_holder_does_that_waits_for_something_unchecked() {
    let test = the_watchdog_says_what_a_holder_does_that_waits_for_something_unchecked;
    if is_child() {
        let (sender, receiver) = std::sync::mpsc::channel::<()>();
        let lock = Mutex::new(());
        lockdep::name(&lock, "held in recv");
        let is_held = Barrier::new(2);
        lockdep::watchdog(Duration::from_millis(20));
        return thread::scope(|scope| {
            let (lock, is_held) = (&lock, &is_held);
            scope.spawn(move || {
                let _lock = lock.lock().unwrap();
                is_held.wait();
                assert!(receiver.recv().is_err());
            });
            is_held.wait();
            scope.spawn(|| drop(lock.lock()));
            until_told();
            drop(sender);
        });
    }
    let mut child = start(test, &[("LOCKDEP_EXIT", "1")]);
    let text = lines_until(&mut child, "or longer");
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let expected = "` waits for no checked lock, it is asleep until another thread wakes it (futex, no \
                    time limit); there is no circle of locks, but if ";
    assert!(text.contains(expected), "{text}");
    assert!(text.contains("(futex, no time limit), for 1s or longer"), "{text}");
    // Told to go on, it ends, and says so again.
    drop(child.stdin.take());
    let mut rest = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut rest).unwrap();
    assert!(child.wait().unwrap().success(), "{rest}");
    let line = "lockdep: the watchdog has reported a wait that lasted too long, see above";
    assert!(rest.trim_end().ends_with(line), "{rest}");
}

/// A long wait and idle threads: only the first is reported.
#[test]
fn the_watchdog_tells_a_long_wait_from_idle_threads() {
    if is_child() {
        let (idle, bell) = (Mutex::new(false), Condvar::new());
        return thread::scope(|scope| {
            scope.spawn(|| drop(bell.wait_while(idle.lock().unwrap(), |ready| !*ready)));
            while !lockdep::held().to_string().contains("waits to be notified") {
                thread::yield_now();
            }
            lockdep::watchdog(Duration::from_millis(20));
            thread::sleep(Duration::from_millis(60)); // in which it would bark at the idle one
            hold_and_wait();
            *idle.lock().unwrap() = true;
            bell.notify_one();
        });
    }
    let mut child = start(the_watchdog_tells_a_long_wait_from_idle_threads, &[]);
    let first = lines_until(&mut child, "(read)");
    assert!(first.starts_with("warning[lockdep::watchdog]: thread `<unnamed>"), "{first}");
    assert!(first.contains("waits for `wanted` at tests/"), "{first}");
    assert!(first.contains("for more than 20ms\n"), "{first}");
    let note = first.split_once("\nnote: thread `<unnamed>").expect("there is a note").1;
    let note = note.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(note.contains("` waits for `wanted`, which thread `"), "{note}");
    assert!(note.contains("` has held since tests/it/diagnostic_threads.rs:"), "{note}");
    assert!(note.contains("` waits for no checked lock, it is reading (read)"), "{note}");
    // Repeated at doubling intervals.
    lines_until(&mut child, "for more than 40ms\n");
    lines_until(&mut child, "for more than 80ms\n");
    end(child);
}

/// A wait for a busy main loop.
#[test]
fn the_watchdog_says_who_owes_what_is_waited_for() {
    if is_child() {
        use lockdep::external::Event;

        let (event, is_answered) = (Event::new("wanted event"), AtomicBool::new(false));
        lockdep::watchdog(Duration::from_millis(20));
        return thread::scope(|scope| {
            let _owes = event.owe();
            scope.spawn(|| {
                event.wait(|| {
                    while !is_answered.load(Relaxed) {
                        thread::sleep(Duration::from_millis(1));
                    }
                });
            });
            until_told();
            is_answered.store(true, Relaxed);
        });
    }
    let mut child = start(the_watchdog_says_who_owes_what_is_waited_for, &[]);
    let text = lines_until(&mut child, "waits for  `wanted event`");
    assert!(text.contains("waits for `wanted event` at tests/"), "{text}");
    let text = text.replace("\n      ", " ");
    assert!(text.contains("` has owed since tests/it/diagnostic_threads.rs:"), "{text}");
    assert!(text.contains("` waits for no checked lock, it is reading"), "{text}");
    end(child);
}

#[test]
fn the_watchdog_knows_a_deadlock() {
    if is_child() {
        use std::sync::Barrier;

        // No thread panics: they hang.
        lockdep::watchdog(Duration::from_millis(20));
        let (a, b, both_hold) =
            (Mutex::new(()), Mutex::new(()), &*Box::leak(Box::new(Barrier::new(2))));
        let (a, b) = (&*Box::leak(Box::new(a)), &*Box::leak(Box::new(b)));
        let hang = |first: &'static Mutex<()>, second: &'static Mutex<()>| {
            thread::spawn(move || {
                let _first = first.lock();
                both_hold.wait();
                drop(second.lock());
            })
        };
        hang(a, b);
        hang(b, a);
        return until_told();
    }
    let mut child = start(the_watchdog_knows_a_deadlock, &[("LOCKDEP", "allow")]);
    let text = lines_until(&mut child, "waits for the next: `<unnamed>");
    assert!(text.contains("; this is a deadlock, each of"), "{text}");
    end(child);
}

/// Waits until the watchdog has installed its handlers and has looked again.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn until_signals_are_answered() {
    // Three seconds after the first lock, and up to one until the next look.
    thread::sleep(Duration::from_millis(4500));
}

#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn kill(child: &Child, signal: &str) {
    let kill = Command::new("kill").args([signal, &child.id().to_string()]).status();
    assert!(kill.expect("kill is there").success());
}

/// After the answer, the process ends as it would have without it.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_signal_that_ends_it_is_answered() {
    use std::os::unix::process::ExitStatusExt;

    if is_child() {
        heed_interrupts();
        let (state, log) = (Mutex::new(()), Mutex::new(()));
        lockdep::name(&state, "state");
        lockdep::name(&log, "log");
        let guard = state.lock();
        let worker = || {
            let _log = log.lock();
            drop(state.lock());
        };
        return thread::scope(|scope| {
            scope.spawn(worker);
            while !lockdep::held().to_string().contains("waits for  `state`") {
                thread::yield_now();
            }
            let waits = thread::Builder::new().name("waits".into());
            waits.spawn_scoped(scope, || drop(log.lock())).unwrap();
            until_signals_are_answered();
            scope.spawn(|| {
                while !lockdep::held().to_string().contains("is         reading (read)") {
                    thread::yield_now();
                }
                eprintln!("ready");
            });
            until_told();
            drop(guard);
        });
    }
    for (signal, number) in [("-INT", libc::SIGINT), ("-TERM", libc::SIGTERM)] {
        let environment = [("LOCKDEP_SIGNAL", "INT,TERM")];
        let mut child = start(a_signal_that_ends_it_is_answered, &environment);
        lines_until(&mut child, "ready");
        kill(&child, signal);
        let mut text = String::new();
        child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(number), "{text}");
        let name = signal.replace('-', "SIG");
        assert!(text.starts_with(&format!("lockdep: {name} ends this process.")), "{text}");
        assert!(text.contains("holds      `state` (exclusive)  since tests/"), "{text}");
        let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
        // One sentence for all of them, starting at the end of the longest chain.
        assert_eq!(text.matches("note: ").count(), 1, "{text}");
        assert!(text.contains("note: thread `waits` has waited "), "{text}");
        assert!(text.contains(" for `log`, which thread `<unnamed>"), "{text}");
        assert!(text.ends_with("waits for no checked lock, it is reading (read)"), "{text}");
    }
}

/// A shell ignores SIGINT in background jobs, and so would the test.
#[allow(unsafe_code, reason = "`signal` is")]
fn heed_interrupts() {
    // SAFETY: no other thread of this test sets a handler.
    unsafe { libc::signal(libc::SIGINT, libc::SIG_DFL) };
}

/// An earlier handler stays in place, and so does a later one, which calls the previous one.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_programs_own_handlers_come_first() {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    };

    use signal_hook::{
        consts::{SIGINT, SIGTERM},
        flag,
    };

    if is_child() {
        let received = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
        flag::register(SIGINT, Arc::clone(&received[0])).unwrap();
        thread::scope(|scope| _ = scope.spawn(|| drop(Mutex::new(()).lock())));
        until_signals_are_answered();
        flag::register(SIGTERM, Arc::clone(&received[1])).unwrap();
        eprintln!("ready");
        while !received.iter().all(|it| it.load(SeqCst)) {
            thread::yield_now();
        }
        // Our handler would have ended the process by now.
        thread::sleep(Duration::from_millis(1500));
        eprintln!("both received");
        return until_told();
    }
    let environment = [("LOCKDEP_SIGNAL", "INT,TERM"), ("LOCKDEP_WATCHDOG", "16ms")];
    let mut child = start(a_programs_own_handlers_come_first, &environment);
    lines_until(&mut child, "ready");
    kill(&child, "-INT");
    kill(&child, "-TERM");
    let text = lines_until(&mut child, "both received");
    assert!(!text.contains("lockdep:"), "{text}");
    end(child);
}

/// A forked process has the handler, but no watchdog.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn a_fork_ends_by_a_signal_as_ever() {
    if is_child() {
        thread::scope(|scope| _ = scope.spawn(|| drop(Mutex::new(()).lock())));
        until_signals_are_answered();
        // SAFETY: the fork only sleeps.
        let status = unsafe {
            let fork = libc::fork();
            if fork == 0 {
                libc::sleep(60);
                libc::_exit(0);
            }
            libc::kill(fork, libc::SIGTERM);
            let mut status = 0;
            assert_eq!(libc::waitpid(fork, &raw mut status, 0), fork);
            status
        };
        assert!(libc::WIFSIGNALED(status) && libc::WTERMSIG(status) == libc::SIGTERM);
        eprintln!("it has ended");
        return until_told();
    }
    let mut child = start(a_fork_ends_by_a_signal_as_ever, &[("LOCKDEP_SIGNAL", "TERM")]);
    let text = lines_until(&mut child, "it has ended");
    assert!(!text.contains("lockdep:"), "{text}");
    end(child);
}

/// `off` in the environment overrides the program.
#[test]
fn the_watchdog_can_be_turned_off() {
    if is_child() {
        lockdep::watchdog(Duration::from_millis(1));
        return hold_and_wait();
    }
    let mut child = start(the_watchdog_can_be_turned_off, &[("LOCKDEP_WATCHDOG", "off")]);
    thread::sleep(Duration::from_millis(300)); // in which it would bark
    drop(child.stdin.take());
    let mut text = String::new();
    child.stderr.as_mut().unwrap().read_to_string(&mut text).unwrap();
    assert!(!text.contains("lockdep"), "{text}");
    assert!(child.wait().unwrap().success());
}
