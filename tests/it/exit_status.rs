//! A process with unhandled findings exits with status 101 and says why, even if all tests pass.
//! Each test runs in a separate process.
#![cfg(all(debug_assertions, unix))]

use std::{
    process::{Command, Output},
    thread,
};

use crate::support::{
    captured_child_command, child_command, denied, is_child, kinds, name_of, on_a_thread,
};
use lockdep::{
    FindingKind, Level,
    sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock},
};

/// Runs a test of this program in another process. Returns its status and its output.
fn run(mut child: Command) -> (i32, String) {
    let Output { status, stdout, stderr } = child.output().expect("it runs");
    let text = [stderr, stdout].map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).concat();
    (status.code().unwrap_or_else(|| panic!("{status}: {text}")), text)
}

fn child(test: impl Fn()) -> Command {
    let mut child = child_command(test);
    child.env_remove("LOCKDEP_EXIT");
    child
}

/// Acquires two locks in both orders, the second time on a worker whose panic is not observed.
fn invert_on_a_worker() {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "accounts");
    lockdep::name(&b, "ledger");
    drop((a.lock(), b.lock()));
    let worker = thread::Builder::new().name("worker".into());
    let worker = worker.spawn(move || drop((b.lock(), a.lock()))).unwrap();
    drop(worker.join());
}

fn wait_while_holding() {
    let (outer, flag, changed) = (Mutex::new(()), Mutex::new(false), Condvar::new());
    lockdep::name(&outer, "outer");
    thread::scope(|scope| {
        let _outer = outer.lock();
        let flag_guard = flag.lock().unwrap();
        scope.spawn(|| {
            *flag.lock().unwrap() = true;
            changed.notify_all();
        });
        drop(changed.wait_while(flag_guard, |flag| !*flag));
    });
}

#[test]
fn a_worker_that_nobody_joined() {
    let test = a_worker_that_nobody_joined;
    if is_child() {
        return invert_on_a_worker();
    }
    let (status, text) = run(child(test));
    assert_eq!(status, 101, "{text}");
    // The harness noticed nothing.
    assert!(text.contains("test result: ok. 1 passed"), "{text}");
    assert!(
        text.contains(
            "\nlockdep: 1 unhandled finding (1 inversion); exiting with status 101\n\
             lockdep: reports are above"
        ),
        "{text}"
    );
    let line = "error[lockdep::inversion]: `ledger` and `accounts` are acquired in both orders, at \
                tests/it/exit_status.rs:";
    assert_eq!(text.matches(line).count(), 1, "{text}");
}

#[test]
fn the_environment_turns_it_off() {
    if is_child() {
        return invert_on_a_worker();
    }
    let mut child = child(the_environment_turns_it_off);
    child.env("LOCKDEP_EXIT", "0");
    let (status, text) = run(child);
    assert_eq!(status, 0, "{text}");
    assert!(!text.contains("lockdep: "), "{text}");
}

#[test]
fn findings_that_were_taken_do_not_count() {
    if is_child() {
        invert_on_a_worker();
        assert_eq!(lockdep::take_findings().len(), 1);
        invert_on_a_worker();
        return lockdep::reset();
    }
    let (status, text) = run(child(findings_that_were_taken_do_not_count));
    assert_eq!(status, 0, "{text}");
    assert!(!text.contains("lockdep: "), "{text}");
}

/// Catching a panic does not remove its finding.
#[test]
fn a_panic_that_was_caught_counts() {
    if is_child() {
        let lock = Mutex::new(());
        let _guard = lock.lock();
        assert!(denied(|| lock.lock()).is_some());
        return;
    }
    let (status, text) = run(child(a_panic_that_was_caught_counts));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("lockdep: 1 unhandled finding (1 self_deadlock)"), "{text}");
}

/// A finding that was first allowed and is later denied.
#[test]
fn a_finding_that_was_allowed_before_counts() {
    if is_child() {
        lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
        let rates = RwLock::new(());
        let read = || drop((rates.read(), rates.read()));
        read();
        lockdep::set_level(FindingKind::RecursiveRead, Level::Deny);
        assert!(denied(read).is_some());
        return;
    }
    let (status, text) = run(child(a_finding_that_was_allowed_before_counts));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("lockdep: 1 unhandled finding (1 recursive_read)"), "{text}");
}

/// Nor is it hidden by thousands of allowed findings.
#[test]
fn a_finding_after_thousands_counts() {
    if is_child() {
        lockdep::set_level(FindingKind::RecursiveRead, Level::Allow);
        for _ in 0..5_000 {
            let rates = RwLock::new(());
            drop((rates.read(), rates.read()));
        }
        let lock = Mutex::new(());
        let _guard = lock.lock();
        assert!(denied(|| lock.lock()).is_some());
        return;
    }
    let (status, text) = run(child(a_finding_after_thousands_counts));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("lockdep: 1 unhandled finding (1 self_deadlock)"), "{text}");
}

/// Also if the harness has captured and discarded what they printed.
#[test]
fn warnings_are_summed_up() {
    if is_child() {
        return wait_while_holding();
    }
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", name_of(warnings_are_summed_up)]).env("LOCKDEP_TEST_CHILD", "1");
    child.env_remove("LOCKDEP_EXIT");
    let (status, text) = run(child);
    assert_eq!(status, 0, "{text}");
    let summary = "lockdep: 1 unhandled warning (1 wait_while_holding); the exit status is unchanged\n\
                   warning[lockdep::wait_while_holding]: ";
    assert!(text.contains(summary), "{text}");
    assert_eq!(text.matches("warning[lockdep").count(), 1, "{text}");
}

/// Runs a captured test in another process, with an argument in its environment.
fn run_captured(
    test: impl Fn(),
    argument: u32,
    arguments: &[&str],
    nocapture: Option<&str>,
) -> (i32, String) {
    let mut child = captured_child_command(test);
    child.args(arguments).env("TEST_FINDINGS", argument.to_string());
    child.env_remove("LOCKDEP_EXIT").env_remove("RUST_TEST_NOCAPTURE");
    child.envs(nocapture.map(|value| ("RUST_TEST_NOCAPTURE", value)));
    run(child)
}

fn argument() -> usize {
    std::env::var("TEST_FINDINGS").unwrap().parse().unwrap()
}

/// Many findings of one bug are one line with their number, and one report.
#[test]
fn one_bug_does_not_hide_another() {
    let test = one_bug_does_not_hide_another;
    if is_child() {
        (0..argument()).for_each(|_| invert_on_a_worker());
        wait_while_holding();
        let lock = Mutex::new(());
        let _guard = lock.lock();
        assert!(denied(|| lock.lock()).is_some());
        return;
    }
    let (status, text) = run_captured(test, 31, &[], None);
    assert_eq!(status, 101, "{text}");
    let (_, summary) = text.split_once("lockdep: 2 unhandled findings ").expect(&text);
    let mut lines = summary.lines();
    let mut is_next = |start: &str, end: &str| {
        let line = lines.next().unwrap_or_default();
        assert!(line.starts_with(start) && line.ends_with(end), "{line}: {text}");
    };
    is_next("(1 inversion, 1 self_deadlock); exiting with status 101", "");
    is_next("lockdep: reports are repeated below, ", " passing tests");
    // Worst first.
    is_next("error[lockdep::self_deadlock]: ", "");
    is_next("error[lockdep::inversion]: ", " (seen 31 times)");
    is_next("warning[lockdep::wait_while_holding]: ", "");
    assert_eq!(lines.next(), Some(""), "{text}");
    assert_eq!(summary.matches("\nhelp: ").count(), 2, "{text}");
}

/// One helper acquires all locks, and one line makes them.
#[test]
fn one_bug_does_not_hide_another_of_the_same_helper() {
    fn lock<T>(lock: &Mutex<T>) -> MutexGuard<'_, T> {
        lock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    let test = one_bug_does_not_hide_another_of_the_same_helper;
    if is_child() {
        let pair = || [(); 2].map(|()| Mutex::new(()));
        for _ in 0..31 {
            let [a, b] = pair();
            drop((lock(&a), lock(&b)));
            on_a_thread(|| assert!(denied(|| drop((lock(&b), lock(&a)))).is_some()));
        }
        let [c, d] = pair();
        drop((lock(&c), lock(&d)));
        on_a_thread(|| assert!(denied(|| drop((lock(&d), lock(&c)))).is_some()));
        return;
    }
    let (status, text) = run_captured(test, 0, &[], None);
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("lockdep: 2 unhandled findings (2 inversion); exiting"), "{text}");
    assert_eq!(text.matches("(seen 31 times)").count(), 1, "{text}");
}

/// Every bug is listed; the reports are repeated, up to a readable number, unless the harness has
/// shown them.
#[test]
fn many_bugs_are_summed_up() {
    /// Returns a function that acquires a new lock twice: a bug at the place of this call.
    macro_rules! bug {
        () => {{
            fn bug() {
                let lock = Mutex::new(());
                let _guard = lock.lock();
                assert!(denied(|| lock.lock()).is_some());
            }
            bug as fn()
        }};
    }
    let test = many_bugs_are_summed_up;
    if is_child() {
        let some = [bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!()];
        let more = [bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!(), bug!()];
        return some.iter().chain(&more).take(argument()).for_each(|bug| bug());
    }
    let line = "\nerror[lockdep::self_deadlock]: ";
    for nocapture in [None, Some("0")] {
        let (status, text) = run_captured(test, 18, &[], nocapture);
        assert_eq!(status, 101, "{text}");
        let (_, summary) = text.split_once("lockdep: 18 unhandled findings ").expect(&text);
        let message = "\nlockdep: reports of the 8 worst are repeated below, because the test harness \
                       discards the output of passing tests; `--nocapture` shows all 18\n";
        assert!(summary.contains(message), "{text}");
        assert_eq!(summary.matches(line).count(), 18 + 8, "{text}");
        assert!(!text.contains("the exit status is unchanged"), "{text}");
        assert_eq!(text.matches("\nhelp: ").count(), 8, "{text}");
    }
    let (_, text) = run_captured(test, 8, &[], None);
    assert!(text.contains("lockdep: reports are repeated below, "), "{text}");
    let shown = [(&["--nocapture"][..], None), (&["--show-output"], None), (&[], Some("1"))];
    for (arguments, nocapture) in shown {
        let (status, text) = run_captured(test, 18, arguments, nocapture);
        assert_eq!(status, 101, "{text}");
        assert!(text.contains("status 101\nlockdep: reports are above\n"), "{text}");
        assert_eq!(text.matches("\nhelp: ").count(), 18, "{text}");
    }
}

/// The harness shows the output of a test that fails, and so its report. What another test, or a part of this one,
/// has caught would be lost.
#[test]
#[cfg(target_env = "gnu")]
fn a_report_that_failed_a_test_is_not_repeated() {
    let test = a_report_that_failed_a_test_is_not_repeated;
    if is_child() {
        if argument() > 0 {
            let lock = Mutex::new(());
            let _guard = lock.lock();
            assert!(denied(|| lock.lock()).is_some());
        }
        if argument() > 1 {
            let lock = Mutex::new(());
            let result = thread::spawn(move || drop((lock.lock(), lock.lock()))).join();
            assert!(result.is_err());
        }
        let lock = Mutex::new(());
        drop((lock.lock(), lock.lock()));
        return;
    }
    let (status, text) = run_captured(test, 0, &[], None);
    assert_eq!(status, 101, "{text}");
    assert!(
        text.contains("status 101\nlockdep: reports are above, with the tests that failed\n"),
        "{text}"
    );
    assert_eq!(text.matches("\nhelp: ").count(), 1, "{text}");
    for (caught, reports) in [(1, 3), (2, 5)] {
        let (status, text) = run_captured(test, caught, &[], None);
        assert_eq!(status, 101, "{text}");
        let message = "\nlockdep: reports that failed no test are repeated below, ";
        assert!(text.contains(message), "{text}");
        assert_eq!(text.matches("\nhelp: ").count(), reports, "{text}");
    }
}

/// A cycle that got worse is one line, in its worst form.
#[test]
fn a_cycle_that_got_worse_is_one_line() {
    if is_child() {
        lockdep::set_level(FindingKind::SingleThreadInversion, Level::Warn);
        let (a, b) = (Mutex::new(()), Mutex::new(()));
        let [forth, back] =
            [(&a, &b), (&b, &a)].map(|(outer, inner)| move || drop((outer.lock(), inner.lock())));
        forth();
        back();
        on_a_thread(|| assert!(denied(back).is_some()));
        let kinds = kinds(&lockdep::findings());
        assert_eq!(kinds, [FindingKind::SingleThreadInversion, FindingKind::Inversion]);
        return;
    }
    let (status, text) = run(child(a_cycle_that_got_worse_is_one_line));
    assert_eq!(status, 101, "{text}");
    let (_, summary) =
        text.split_once("\nlockdep: 1 unhandled finding (1 inversion); ").expect(&text);
    assert_eq!(summary.matches("[lockdep::").count(), 1, "{text}");
    assert!(summary.contains(" (seen 2 times)\n"), "{text}");
}

/// A program that makes an inverted pair of locks for each request does not hide other bugs.
#[test]
fn thousands_of_one_bug_do_not_hide_another() {
    if is_child() {
        lockdep::set_level(FindingKind::RecursiveRead, Level::Warn);
        for _ in 0..5_000 {
            let rates = RwLock::new(());
            drop((rates.read(), rates.read()));
        }
        for _ in 0..3 {
            let others = RwLock::new(());
            drop((others.read(), others.read()));
        }
        return;
    }
    let (status, text) = run(child(thousands_of_one_bug_do_not_hide_another));
    assert_eq!(status, 0, "{text}");
    assert!(text.contains("\nlockdep: 2 unhandled warnings (2 recursive_read); "), "{text}");
    for count in [3, 5_000] {
        assert_eq!(text.matches(&format!(" (seen {count} times)\n")).count(), 1, "{text}");
    }
}

#[test]
fn what_is_allowed_is_not_told() {
    if is_child() {
        lockdep::set_level(FindingKind::Inversion, Level::Allow);
        invert_on_a_worker();
        assert_eq!(lockdep::findings().len(), 1);
        return;
    }
    let (status, text) = run(child(what_is_allowed_is_not_told));
    assert_eq!(status, 0, "{text}");
    assert!(!text.contains("lockdep: "), "{text}");
}

#[test]
#[cfg(not(feature = "records"))]
fn a_record_needs_a_feature() {
    if is_child() {
        return invert_on_a_worker();
    }
    let mut child = child(a_record_needs_a_feature);
    child.env("LOCKDEP_OUT", "/nowhere").env("LOCKDEP_EXIT", "0");
    let (status, text) = run(child);
    assert_eq!(status, 0, "{text}");
    let message =
        "lockdep: LOCKDEP_OUT is ignored: this build lacks the feature `records` of lockdep\n";
    assert_eq!(text.matches(message).count(), 1, "{text}");
}

/// Handlers of `exit` that were registered before ours still run, after it.
#[test]
#[allow(unsafe_code, reason = "a handler of exit")]
fn no_other_handler_is_lost() {
    extern "C" fn say() {
        println!("an earlier handler runs");
    }
    if is_child() {
        // SAFETY: the function neither unwinds nor calls `exit`.
        unsafe { libc::atexit(say) };
        return invert_on_a_worker();
    }
    let (status, text) = run(child(no_other_handler_is_lost));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("an earlier handler runs"), "{text}");
}

/// A forked process exits with 101 only for its own findings.
#[test]
#[allow(unsafe_code, reason = "a fork")]
fn a_fork_does_not_answer_for_its_parent() {
    if is_child() {
        invert_on_a_worker();
        // SAFETY: no other thread runs except that of the harness, which waits for this one; the
        // child only exits.
        let status = unsafe {
            match libc::fork() {
                0 => libc::exit(7),
                pid => {
                    let mut status = 0;
                    assert_eq!(libc::waitpid(pid, &raw mut status, 0), pid);
                    libc::WEXITSTATUS(status)
                }
            }
        };
        return println!("the fork ends with {status}");
    }
    let (status, text) = run(child(a_fork_does_not_answer_for_its_parent));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("the fork ends with 7"), "{text}");
    assert_eq!(text.matches("unhandled finding").count(), 1, "{text}");
}

/// The process does not wait for threads that still run and have further findings.
#[test]
fn running_threads_do_not_keep_it_from_ending() {
    if is_child() {
        lockdep::set_level(FindingKind::Inversion, Level::Warn);
        invert_on_a_worker();
        lockdep::set_level(FindingKind::Inversion, Level::Deny);
        for _ in 0..4 {
            thread::spawn(|| {
                loop {
                    denied(invert_on_a_worker);
                }
            });
        }
        while lockdep::findings().len() < 4 {
            thread::yield_now();
        }
        return;
    }
    let (status, text) = run(child(running_threads_do_not_keep_it_from_ending));
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("; exiting with status 101\n"), "{text}");
}
