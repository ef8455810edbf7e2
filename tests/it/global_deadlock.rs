//! Global deadlocks through various primitives are found, and none is reported while any thread can
//! still be woken. Each test runs in a separate process.
#![allow(unsafe_code, reason = "signals, forks and futexes are")]
#![cfg(all(debug_assertions, target_os = "linux", target_pointer_width = "64"))]

use std::{
    ffi::c_int,
    io::Read,
    process::{Command, Stdio},
    ptr,
    sync::{
        Arc, Barrier, Condvar, Mutex,
        atomic::{AtomicU32, Ordering::SeqCst},
        mpsc,
    },
    thread,
    time::Duration,
};

use crate::support::{child_command, is_child};
use lockdep::sync::Mutex as Checked;

/// The beginning of a report.
const FOUND: &str = "error[lockdep::deadlock]: ";
/// Printed when nothing keeps the process alive any more.
const GONE: &str = "from here on, nothing wakes it";

/// Runs a closure in a forked process, then lets all of its threads sleep. Forks because the test
/// harness has a thread that waits with a timeout during the first minute of a test.
fn alone(body: impl FnOnce()) -> ! {
    // SAFETY: the forked process has only this thread, and std's locks are free.
    unsafe {
        match libc::fork() {
            0 => {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                lockdep::watchdog(Duration::from_millis(1));
                body();
                loop {
                    thread::park();
                }
            }
            fork => {
                let mut status = 0;
                libc::waitpid(fork, &raw mut status, 0);
                libc::_exit(i32::from(libc::WIFSIGNALED(status)));
            }
        }
    }
}

/// In the parent, returns the child's output up to some text, then kills the child.
fn output_until(command: &mut Command, text: &str) -> String {
    output_up_to(command, |output| output.contains(text))
}

fn output_up_to(command: &mut Command, is_all: impl Fn(&str) -> bool) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut output = Vec::new();
    let mut byte = [0];
    let mut stderr = child.stderr.take().unwrap();
    while !is_all(&String::from_utf8_lossy(&output)) {
        let read = stderr.read(&mut byte).unwrap();
        assert_ne!(read, 0, "the child ended: {}", String::from_utf8_lossy(&output));
        output.push(byte[0]);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    String::from_utf8(output).unwrap()
}

/// Returns the report of a test that deadlocks; in the child, runs into the deadlock.
fn report_of(test: impl Fn(), body: impl FnOnce()) -> String {
    if is_child() {
        alone(body);
    }
    // The last line of the table.
    let is_all = |text: &str| {
        text.split_once(FOUND).is_some_and(|(_, report)| report.contains("thread `table's end`"))
    };
    output_up_to(&mut child_command(test), is_all)
}

/// Starts a thread that sleeps for ever and comes last in the table.
fn end_of_table() {
    let name = "table's end".to_owned();
    thread::Builder::new().name(name).spawn(thread::park).unwrap();
}

/// Asserts that nothing is found while something can still wake a thread, which lasts until the
/// body returns. Afterwards the deadlock is found.
fn is_silent_until_gone(test: impl Fn(), keeps_alive: impl FnOnce()) {
    if is_child() {
        alone(|| {
            keeps_alive();
            eprintln!("{GONE}");
        });
    }
    let text = output_until(&mut child_command(test), FOUND);
    let (before, _) = text.split_once(GONE).unwrap_or_else(|| panic!("found too early: {text}"));
    assert!(!before.contains("lockdep::"), "{text}");
}

/// How long something keeps a process alive: some 100 looks of the watchdog.
const WHILE: Duration = Duration::from_micros(WHILE_MICROS.cast_unsigned() as u64);
const WHILE_MICROS: c_int = 300_000;

#[test]
fn two_unchecked_mutexes() {
    let text = report_of(two_unchecked_mutexes, || {
        static LOCKS: [Mutex<()>; 2] = [const { Mutex::new(()) }; 2];
        static BOTH_HOLD: Barrier = Barrier::new(2);
        for own in 0..2 {
            thread::spawn(move || {
                let _first = LOCKS[own].lock();
                BOTH_HOLD.wait();
                drop(LOCKS[1 - own].lock());
            });
        }
        end_of_table();
    });
    assert!(text.contains("all 4 threads sleep, and nothing can wake them"), "{text}");
    assert!(
        text.contains("is         asleep until another thread wakes it (futex, no time limit)")
    );
}

#[test]
fn a_mutex_of_c_taken_twice() {
    report_of(a_mutex_of_c_taken_twice, || {
        thread::spawn(|| {
            let mutex = Box::leak(Box::new(libc::PTHREAD_MUTEX_INITIALIZER));
            // SAFETY: it is initialized, and lives for ever.
            unsafe {
                libc::pthread_mutex_lock(mutex);
                libc::pthread_mutex_lock(mutex);
            }
        });
        end_of_table();
    });
}

/// A join under a lock that the joined thread acquires: the report shows both.
#[test]
fn a_join_under_a_checked_lock() {
    let text = report_of(a_join_under_a_checked_lock, || {
        static STATE: Checked<()> = Checked::new(());
        end_of_table();
        let _state = STATE.lock();
        let worker = thread::Builder::new().name("worker".into());
        worker.spawn(|| drop(STATE.lock())).unwrap().join().unwrap();
    });
    let waits = "thread `worker` waits here for `STATE`, which thread `global_deadlock::";
    assert!(text.contains(waits), "{text}");
    assert!(text.contains("is         joining thread `worker` ("), "{text}");
    assert!(
        text.contains("waits for  `STATE` (exclusive)  at tests/it/global_deadlock.rs:"),
        "{text}"
    );
}

#[test]
fn a_channel_whose_senders_all_wait() {
    report_of(a_channel_whose_senders_all_wait, || {
        let (asks, questions) = mpsc::channel();
        let (answers, answered) = mpsc::channel::<()>();
        thread::spawn(move || {
            let _keeps = asks.clone();
            let _ = answered.recv();
            asks.send(()).unwrap();
        });
        thread::spawn(move || {
            let _: Result<(), _> = questions.recv();
            answers.send(()).unwrap();
        });
        end_of_table();
    });
}

/// Handlers of faults, which std installs, and our own handlers do not count.
#[test]
#[cfg_attr(not(feature = "signals"), ignore = "needs the feature")]
fn handlers_that_wake_nobody() {
    if is_child() {
        alone(|| {
            drop(Checked::new(()).lock());
            // SAFETY: the handler does nothing.
            unsafe { set_handler(libc::SIGFPE, nothing) };
        });
    }
    let mut command = child_command(handlers_that_wake_nobody);
    output_until(command.env("LOCKDEP_SIGNAL", "USR1"), FOUND);
}

#[test]
fn abort_ends_it() {
    if is_child() {
        alone(|| ());
    }
    let output = child_command(abort_ends_it).env("LOCKDEP", "abort").output().unwrap();
    // The parent reports that a signal has ended the forked process.
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains(FOUND));
}

#[test]
fn what_is_allowed_is_not_printed() {
    if is_child() {
        alone(|| {
            lockdep::on_finding(|finding| {
                assert!(finding.cycle().is_empty() && finding.level() == lockdep::Level::Allow);
                eprintln!("only a hook is told: {:?}", finding.kind());
            });
        });
    }
    let mut command = child_command(what_is_allowed_is_not_printed);
    let text = output_until(command.env("LOCKDEP", "deadlock=allow"), "is told: Deadlock");
    assert!(!text.contains("lockdep::"), "{text}");
}

/// A hook may block for ever.
#[test]
fn it_is_printed_before_a_hook_can_hang() {
    if is_child() {
        alone(|| {
            lockdep::on_finding(|_| {
                loop {
                    thread::park();
                }
            });
        });
    }
    output_until(&mut child_command(it_is_printed_before_a_hook_can_hang), FOUND);
}

#[cfg(feature = "records")]
#[test]
fn it_is_in_the_record() {
    let folder = std::env::temp_dir().join(format!("lockdep-asleep-{}", std::process::id()));
    if is_child() {
        alone(|| drop(Checked::new(()).lock()));
    }
    let mut command = child_command(it_is_in_the_record);
    output_until(command.env("LOCKDEP_OUT", &folder), "hangs until it is killed");
    let mut merge = lockdep::record::Merge::default();
    assert!(merge.read_folder(&folder).unwrap().is_empty());
    let findings = merge.findings();
    assert_eq!(findings.len(), 1);
    assert_eq!(
        (findings[0].kind, findings[0].level),
        (lockdep::FindingKind::Deadlock, lockdep::Level::Deny)
    );
    assert!(findings[0].report.starts_with(FOUND), "{}", findings[0].report);
    std::fs::remove_dir_all(folder).unwrap();
}

#[test]
fn a_thread_that_sleeps_keeps_it_alive() {
    is_silent_until_gone(a_thread_that_sleeps_keeps_it_alive, || {
        thread::spawn(|| thread::sleep(WHILE)).join().unwrap();
    });
}

#[test]
fn a_thread_that_waits_with_a_limit_keeps_it_alive() {
    is_silent_until_gone(a_thread_that_waits_with_a_limit_keeps_it_alive, || {
        let (lock, bell) = (Mutex::new(()), Condvar::new());
        drop(bell.wait_timeout_while(lock.lock().unwrap(), WHILE, |()| true).unwrap());
    });
}

#[test]
fn a_thread_that_polls_keeps_it_alive() {
    is_silent_until_gone(a_thread_that_polls_keeps_it_alive, || {
        // SAFETY: there is nothing to poll.
        unsafe { libc::poll(ptr::null_mut(), 0, WHILE_MICROS / 1000) };
    });
}

#[test]
fn a_thread_that_reads_keeps_it_alive() {
    is_silent_until_gone(a_thread_that_reads_keeps_it_alive, || {
        let (mut from, to) = std::io::pipe().unwrap();
        let writes = thread::spawn(move || {
            thread::sleep(WHILE);
            drop(to);
        });
        from.read_to_end(&mut Vec::new()).unwrap();
        writes.join().unwrap();
    });
}

/// The signal of a timer, with a handler.
#[test]
fn a_handler_may_wake_somebody() {
    static SEMAPHORE: AtomicU32 = AtomicU32::new(0);
    extern "C" fn wake(_: c_int) {
        SEMAPHORE.store(1, SeqCst);
        // SAFETY: the futex is a static, and `errno` is restored.
        unsafe {
            let errno = *libc::__errno_location();
            libc::syscall(libc::SYS_futex, SEMAPHORE.as_ptr(), libc::FUTEX_WAKE | 128, 1);
            *libc::__errno_location() = errno;
        }
    }
    is_silent_until_gone(a_handler_may_wake_somebody, || {
        // SAFETY: the handler is async-signal-safe; the timer has valid times.
        unsafe {
            set_handler(libc::SIGALRM, wake);
            let mut times: libc::itimerval = std::mem::zeroed();
            times.it_value.tv_usec = WHILE_MICROS.into();
            libc::setitimer(libc::ITIMER_REAL, &raw const times, ptr::null_mut());
            while SEMAPHORE.load(SeqCst) == 0 {
                libc::syscall(libc::SYS_futex, SEMAPHORE.as_ptr(), libc::FUTEX_WAIT | 128, 0, 0);
            }
            libc::signal(libc::SIGALRM, libc::SIG_DFL);
        }
    });
}

/// Memory shared with another process.
#[test]
fn another_process_may_wake_somebody() {
    is_silent_until_gone(another_process_may_wake_somebody, || {
        // SAFETY: the page is new and never unmapped; the forked process sleeps, wakes and exits.
        unsafe {
            let [access, shared] =
                [libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS];
            let page = libc::mmap(ptr::null_mut(), 4096, access, shared, -1, 0);
            let futex = &*page.cast::<AtomicU32>();
            let fork = libc::fork();
            if fork == 0 {
                libc::usleep(WHILE_MICROS.cast_unsigned());
                futex.store(1, SeqCst);
                libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAKE, 1);
                libc::_exit(0);
            }
            while futex.load(SeqCst) == 0 {
                libc::syscall(libc::SYS_futex, futex.as_ptr(), libc::FUTEX_WAIT, 0, 0);
            }
            libc::waitpid(fork, ptr::null_mut(), 0);
        }
    });
}

/// Two threads that wake each other alternately.
#[test]
fn a_thread_that_is_about_to_wake() {
    is_silent_until_gone(a_thread_that_is_about_to_wake, || {
        let turn = Arc::new((Mutex::new(0_u32), Condvar::new()));
        let take_turns = |own: u32| {
            let turn = Arc::clone(&turn);
            move || {
                let (number, bell) = &*turn;
                for _ in 0..10_000 {
                    let number = number.lock().unwrap();
                    *bell.wait_while(number, |number| *number % 2 != own).unwrap() += 1;
                    bell.notify_all();
                }
            }
        };
        let other = thread::spawn(take_turns(1));
        take_turns(0)();
        other.join().unwrap();
    });
}

extern "C" fn nothing(_: c_int) {}

/// # Safety
///
/// The handler must be async-signal-safe.
unsafe fn set_handler(signal: c_int, handler: extern "C" fn(c_int)) {
    // SAFETY: a zeroed `sigaction` is valid.
    unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as libc::sighandler_t;
        libc::sigaction(signal, &raw const action, ptr::null_mut());
    }
}
