//! Helpers that several test crates need.
#![allow(dead_code, reason = "not every test crate needs all of it")]

pub(crate) mod child;
pub(crate) mod ring;

use std::{
    panic::{AssertUnwindSafe, Location, catch_unwind},
    process::{Command, Output},
    thread,
};

use lockdep::{Finding, FindingKind};

/// Returns the report that a closure panics with, without the panic's prefix. `None` if it returns
/// normally.
pub(crate) fn denied<R>(body: impl FnOnce() -> R) -> Option<String> {
    let panic = catch_unwind(AssertUnwindSafe(body)).err()?;
    let message = panic.downcast_ref::<String>().expect("a panic of ours");
    let message = without_colors(message);
    assert!(message.starts_with("error[lockdep::"), "{message}");
    Some(message)
}

/// Returns a report as it is printed where standard error is not a terminal.
pub(crate) fn without_colors(text: &str) -> String {
    let mut parts = text.split("\x1b[");
    let first = parts.next().into_iter();
    first.chain(parts.filter_map(|part| Some(part.split_once('m')?.1))).collect()
}

/// Runs a closure to its end, on a separate thread.
pub(crate) fn on_a_thread<R: Send>(body: impl FnOnce() -> R + Send) -> R {
    thread::scope(|scope| scope.spawn(body).join().unwrap())
}

/// Returns the findings about locks with one of these names of which some acquisition is in the
/// caller's file. Other tests of the process use other names or are in other files.
#[track_caller]
pub(crate) fn findings_about(names: &[&str]) -> Vec<Finding> {
    let file = Location::caller().file();
    let is_ours = |finding: &Finding| {
        let cycle = finding.cycle();
        let mut locks = cycle.iter().flat_map(|edge| [edge.held(), edge.wanted()]);
        locks.any(|lock| lock.name().is_some_and(|name| names.contains(&name)))
            && cycle
                .iter()
                .any(|edge| [edge.held_at(), edge.acquired_at()].iter().any(|at| at.file() == file))
    };
    lockdep::findings().into_iter().filter(is_ours).collect()
}

const CHILD: &str = "LOCKDEP_TEST_CHILD";

/// Returns `true` in a process that was started by [`child_command`].
pub(crate) fn is_child() -> bool {
    std::env::var_os(CHILD).is_some()
}

/// Returns the name by which the test harness knows a test: its path without the crate's name.
pub(crate) fn name_of<T: Fn()>(_test: T) -> &'static str {
    let path = std::any::type_name::<T>();
    path.split_once("::").expect("a function is in a crate").1
}

/// Runs only this test again, in a separate process.
pub(crate) fn child_command<T: Fn()>(test: T) -> Command {
    let mut command = captured_child_command(test);
    command.arg("--nocapture");
    command
}

/// As above, but the harness captures what a passing test prints.
pub(crate) fn captured_child_command<T: Fn()>(test: T) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this test is a file"));
    command.args(["--exact", name_of(test), "--test-threads=1"]).env(CHILD, "1");
    for variable in
        ["LOCKDEP", "LOCKDEP_BACKTRACE", "LOCKDEP_OUT", "LOCKDEP_SIGNAL", "LOCKDEP_WATCHDOG"]
    {
        command.env_remove(variable);
    }
    command
}

/// Runs the body of a test in a separate process, and returns its output. In that process, only
/// runs the body.
pub(crate) fn in_a_child<T: Fn()>(test: T, body: impl FnOnce()) -> Option<Output> {
    if is_child() {
        body();
        return None;
    }
    Some(child_command(test).output().expect("it runs"))
}

pub(crate) fn kinds(findings: &[Finding]) -> Vec<FindingKind> {
    findings.iter().map(Finding::kind).collect()
}
