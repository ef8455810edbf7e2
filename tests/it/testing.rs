//! Scopes of `lockdep::testing`: each has only its own findings, whatever other tests do at the
//! same time.
#![cfg(all(debug_assertions, unix))]

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    process::Command,
    sync::Arc,
    thread,
};

use crate::support::{denied, findings_about, is_child, kinds, name_of};
use lockdep::{
    FindingKind, Level,
    sync::{Condvar, Mutex, RwLock},
    testing::{self, Scope},
};

/// Returns two locks with these names, acquired once in this order.
fn ordered(names: [&str; 2]) -> Arc<[Mutex<()>; 2]> {
    let locks = [Mutex::new(()), Mutex::new(())];
    locks.iter().zip(names).for_each(|(lock, name)| lockdep::name(lock, name));
    take(&locks, [0, 1]);
    Arc::new(locks)
}

fn take(locks: &[Mutex<()>; 2], order: [usize; 2]) {
    let [first, second] = order.map(|at| &locks[at]);
    drop((first.lock().unwrap(), second.lock().unwrap()));
}

/// Returns the message that an assertion panics with.
fn failure(assertion: impl FnOnce()) -> String {
    let panic = catch_unwind(AssertUnwindSafe(assertion)).expect_err("it fails");
    panic.downcast_ref::<String>().expect("a message").clone()
}

#[test]
fn findings_go_to_their_scope_alone() {
    let locks = ordered(["own 1", "own 2"]);
    let findings = testing::collect(|| take(&locks, [1, 0]));
    assert_eq!(kinds(&findings), [FindingKind::SingleThreadInversion]);
    assert!(findings_about(&["own 1"]).is_empty());
    // The finding was taken: if found again, it is new, and belongs to the process.
    assert!(denied(|| take(&locks, [1, 0])).is_some());
    assert_eq!(findings_about(&["own 1"]).len(), 1);
}

#[test]
fn the_innermost_scope_has_it() {
    let locks = ordered(["inner 1", "inner 2"]);
    let outer = Scope::new();
    assert_eq!(testing::collect(|| take(&locks, [1, 0])).len(), 1);
    assert!(outer.findings().is_empty());
    assert!(denied(|| take(&locks, [1, 0])).is_some());
    assert_eq!(outer.take_findings().len(), 1);
}

/// The worker causes the finding, about an order from the scope.
#[test]
fn a_thread_that_knows_of_no_scope() {
    let scope = Scope::new();
    let locks = ordered(["stranger 1", "stranger 2"]);
    let worker = thread::spawn(move || take(&locks, [1, 0]));
    assert!(worker.join().is_err());
    scope.expect(FindingKind::Inversion, &["stranger 1", "stranger 2"]);
    scope.assert_no_findings();
}

#[test]
fn threads_that_are_told() {
    let scope = Scope::new();
    let locks = [Mutex::new(()), Mutex::new(())];
    locks.iter().zip(["told 1", "told 2"]).for_each(|(lock, name)| lockdep::name(lock, name));
    let locks = Arc::new(locks);
    for order in [[0, 1], [1, 0]] {
        let locks = locks.clone();
        drop(thread::spawn(scope.inside(move || take(&locks, order))).join());
    }
    scope.expect(FindingKind::Inversion, &["told 2", "told 1"]);
    scope.assert_no_findings();
    assert!(findings_about(&["told 1"]).is_empty());
}

#[test]
fn a_handle_brings_a_thread_in_and_out() {
    let scope = Scope::new();
    let handle = scope.handle();
    let thread = thread::spawn(move || {
        let lock = Mutex::new(());
        lockdep::name(&lock, "in and out");
        let _guard = lock.lock();
        let entered = handle.enter();
        assert!(denied(|| lock.lock()).is_some());
        drop(entered);
        assert!(denied(|| lock.lock()).is_some());
    });
    thread.join().unwrap();
    assert_eq!(scope.take_findings().len(), 1);
    assert_eq!(findings_about(&["in and out"]).len(), 1);
}

#[test]
fn what_is_not_taken_is_left_to_the_process() {
    let locks = ordered(["left 1", "left 2"]);
    let scope = Scope::new();
    assert!(denied(|| take(&locks, [1, 0])).is_some());
    assert!(findings_about(&["left 1"]).is_empty());
    drop(scope);
    assert_eq!(findings_about(&["left 1"]).len(), 1);
}

#[test]
fn failures_say_what_was_found() {
    let scope = Scope::new();
    let nothing = failure(|| scope.expect(FindingKind::Inversion, &["b", "a"]));
    assert_eq!(nothing, "`inversion` about `a`, `b` was expected, but there are no findings");

    let locks = ordered(["failed 1", "failed 2"]);
    let other = failure(|| {
        testing::expect(FindingKind::SingleThreadInversion, &["failed 1", "other"], || {
            take(&locks, [1, 0]);
        });
    });
    let expected = "`single_thread_inversion` about `failed 1`, `other` was expected, but there is one:\n\n\
                    error[lockdep::single_thread_inversion]: `failed 2` and `failed 1` are acquired in both";
    assert!(other.starts_with(expected), "{other}");

    let any = failure(|| testing::assert_no_findings(|| take(&locks, [1, 0])));
    let expected =
        "no findings were expected, but there is one:\n\nerror[lockdep::single_thread_inversion]: ";
    assert!(any.starts_with(expected), "{any}");
}

#[test]
fn a_panic_that_is_not_a_findings_goes_on() {
    let locks = ordered(["gone 1", "gone 2"]);
    let panic = failure(|| {
        testing::expect(FindingKind::Inversion, &["gone 1", "gone 2"], || {
            assert!(denied(|| take(&locks, [1, 0])).is_some());
            panic!("{}", "of another kind");
        });
    });
    assert_eq!(panic, "of another kind");
    assert_eq!(findings_about(&["gone 1"]).len(), 1);
}

#[test]
fn a_scoped_thread_that_is_denied() {
    testing::expect(FindingKind::Inversion, &["scoped 1", "scoped 2"], || {
        let locks = ordered(["scoped 1", "scoped 2"]);
        thread::scope(|threads| {
            threads.spawn(|| take(&locks, [1, 0]));
        });
    });
}

#[test]
fn a_scope_that_has_ended_takes_nothing() {
    let handle = Scope::new().handle();
    let locks = ordered(["ended 1", "ended 2"]);
    let entered = handle.enter();
    assert!(denied(|| take(&locks, [1, 0])).is_some());
    drop(entered);
    assert_eq!(findings_about(&["ended 1"]).len(), 1);
}

#[test]
fn allowed_findings_fail_no_assertion_and_warnings_do() {
    let scope = Scope::new();
    let (outer, flag, changed) = (Mutex::new(()), Mutex::new(false), Condvar::new());
    lockdep::name(&outer, "outer of a scope");
    lockdep::name(&flag, "flag of a scope");
    thread::scope(|threads| {
        let _outer = outer.lock();
        let flag_guard = flag.lock().unwrap();
        threads.spawn(|| {
            *flag.lock().unwrap() = true;
            changed.notify_all();
        });
        drop(changed.wait_while(flag_guard, |flag| !*flag));
    });
    assert_eq!(scope.findings()[0].level(), Level::Warn);
    assert!(failure(|| scope.assert_no_findings()).contains("warning[lockdep::wait_while"));
    scope.expect(FindingKind::WaitWhileHolding, &["flag of a scope", "outer of a scope"]);
    scope.assert_no_findings();
}

/// Sixteen tests at once, each with its own expectation.
#[test]
fn many_scopes_at_once() {
    thread::scope(|threads| {
        for number in 0..16 {
            threads.spawn(move || {
                let names = [format!("many {number} a"), format!("many {number} b")];
                let names = [names[0].as_str(), names[1].as_str()];
                for _ in 0..20 {
                    let locks = ordered(names);
                    testing::assert_no_findings(|| take(&locks, [0, 1]));
                    testing::expect(FindingKind::SingleThreadInversion, &names, || {
                        take(&locks, [1, 0]);
                    });
                }
            });
        }
    });
}

#[test]
fn what_was_expected_does_not_change_the_exit_status() {
    let test = what_was_expected_does_not_change_the_exit_status;
    if is_child() {
        let locks = ordered(["expected 1", "expected 2"]);
        let names = ["expected 1", "expected 2"];
        return testing::expect(FindingKind::SingleThreadInversion, &names, || {
            take(&locks, [1, 0]);
        });
    }
    for threads in ["1", "16"] {
        let mut child = Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", name_of(test)]).env("LOCKDEP_TEST_CHILD", "1");
        child.env("RUST_TEST_THREADS", threads).env_remove("LOCKDEP_EXIT");
        let output = child.output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !text.contains("lockdep: "), "{text}");
    }
}

/// As in a terminal, where the panic of a finding starts with a colour.
#[cfg(feature = "excerpts")]
#[test]
fn a_finding_is_expected_in_colour_as_well() {
    let test = a_finding_is_expected_in_colour_as_well;
    if is_child() {
        let locks = ordered(["coloured 1", "coloured 2"]);
        let names = ["coloured 1", "coloured 2"];
        return testing::expect(FindingKind::SingleThreadInversion, &names, || {
            take(&locks, [1, 0]);
        });
    }
    let output = crate::support::child_command(test).env("CLICOLOR_FORCE", "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("\x1b["), "{text}");
}

/// The text of a report is not enough: a program may panic with what it has read somewhere.
#[test]
fn a_panic_of_a_finding_is_recognised_by_its_payload() {
    let rates = RwLock::new(());
    let reads_twice = || drop((rates.read(), rates.read()));
    let scope = testing::Scope::new();
    let thrown = catch_unwind(AssertUnwindSafe(reads_twice)).unwrap_err();
    let finding = lockdep::finding_of_panic(&*thrown).unwrap();
    assert_eq!(finding.kind(), FindingKind::RecursiveRead);
    let report = thrown.downcast_ref::<String>().unwrap().clone();

    // It passes through a thread.
    let joined = thread::spawn(move || resume_unwind(thrown)).join().unwrap_err();
    assert!(lockdep::finding_of_panic(&*joined).is_some());

    let copied = catch_unwind(|| panic!("{report}")).unwrap_err();
    assert!(lockdep::finding_of_panic(&*copied).is_none());
    // A scope with findings passes it on.
    let passed_on = catch_unwind(AssertUnwindSafe(|| {
        testing::collect(|| {
            let again = RwLock::new(());
            drop(catch_unwind(AssertUnwindSafe(|| drop((again.read(), again.read())))));
            panic!("{report}");
        })
    }));
    assert_eq!(passed_on.unwrap_err().downcast_ref::<String>(), Some(&report));
    assert_eq!(kinds(&scope.take_findings()), [FindingKind::RecursiveRead]);
}
