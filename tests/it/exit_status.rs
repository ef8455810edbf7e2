//! A process with unhandled findings exits with status 101 and says why, even if all tests pass.
//! Each test runs in a separate process.
#![cfg(all(debug_assertions, unix))]

use std::{
    process::{Command, Output},
    thread,
};

use crate::support::{child_command, denied, is_child, name_of};
use lockdep::{
    FindingKind, Level,
    sync::{Condvar, Mutex, RwLock},
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

/// The summary lists a readable number of them; the reports are repeated unless the harness has
/// shown them.
#[test]
fn many_findings_are_summed_up() {
    if is_child() {
        let count = std::env::var("TEST_FINDINGS").unwrap().parse().unwrap();
        return (0..count).for_each(|_| invert_on_a_worker());
    }
    let run_many = |count: u32, arguments: &[&str], nocapture: Option<&str>| {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name_of(many_findings_are_summed_up)]).args(arguments);
        child.env("LOCKDEP_TEST_CHILD", "1").env("TEST_FINDINGS", count.to_string());
        child.env_remove("LOCKDEP_EXIT");
        child.env_remove("RUST_TEST_NOCAPTURE");
        child.envs(nocapture.map(|value| ("RUST_TEST_NOCAPTURE", value)));
        run(child)
    };
    let run = |arguments: &[&str], nocapture| run_many(20, arguments, nocapture);
    let summary = "lockdep: 20 unhandled findings (20 inversion); exiting with status 101\n\
                   lockdep: ";
    for nocapture in [None, Some("0")] {
        let (status, text) = run(&[], nocapture);
        assert_eq!(status, 101, "{text}");
        assert!(text.contains(&format!("{summary}reports are repeated below, ")), "{text}");
        assert_eq!(text.matches("` are acquired in both orders, at ").count(), 16, "{text}");
        assert!(text.contains("\nlockdep: and 4 more\n"), "{text}");
        assert!(!text.contains("the exit status is unchanged"), "{text}");
        assert_eq!(text.matches("\nhelp: ").count(), 3, "{text}");
    }
    let (_, text) = run_many(16, &[], None);
    assert!(!text.contains("lockdep: and "), "{text}");
    let shown = [(&["--nocapture"][..], None), (&["--show-output"], None), (&[], Some("1"))];
    for (arguments, nocapture) in shown {
        let (status, text) = run(arguments, nocapture);
        assert_eq!(status, 101, "{text}");
        assert!(text.contains(&format!("{summary}reports are above\n")), "{text}");
        assert_eq!(text.matches("\nhelp: ").count(), 20, "{text}");
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
