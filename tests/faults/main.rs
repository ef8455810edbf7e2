//! Adverse conditions: failing allocations, small stacks, thousands of threads, forks, closed
//! streams, misbehaving hooks. Each test runs in a separate process, which must neither hang nor
//! end differently than without lockdep.
#![cfg(all(any(debug_assertions, feature = "enforce"), unix))]
#![allow(unsafe_code, reason = "a global allocator, forks and handlers of exit are unsafe")]

mod allocator;
mod end;
mod forks;
mod growth;
mod hooks;
mod memory;
mod orphans;
mod output;
mod stacks;
#[path = "../support/mod.rs"]
mod support;

use std::{
    os::unix::process::ExitStatusExt,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use lockdep::sync::Mutex;
use support::{child_command, denied};

/// How long a child may take before it counts as hanging.
const PATIENCE: Duration = Duration::from_mins(5);

/// Acquires two locks in both orders. Returns the report.
fn invert() -> String {
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    lockdep::name(&a, "accounts");
    drop((a.lock(), b.lock()));
    denied(|| drop((b.lock(), a.lock()))).expect("it is an inversion")
}

/// The output of a child, also as text. A child that hangs is killed.
struct Ended {
    output: Output,
    text: String,
}

impl Ended {
    fn of(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::null()).spawn().expect("it runs");
        let pid = child.id();
        let begun = Instant::now();
        // `wait_with_output` reads the pipes, so another thread kills a child that hangs.
        let (ended, watch) = std::sync::mpsc::channel::<()>();
        let watcher = thread::spawn(move || {
            if watch.recv_timeout(PATIENCE).is_err() {
                let pid = libc::pid_t::try_from(pid).expect("a process");
                // SAFETY: the child has not been waited for, so its id is still valid.
                unsafe { libc::kill(pid, libc::SIGKILL) };
            }
        });
        drop(child.stdin.take());
        let output = child.wait_with_output().expect("it ends");
        let _ = ended.send(());
        watcher.join().expect("it only waits");
        assert!(begun.elapsed() < PATIENCE, "it hangs");
        let text = [&output.stderr, &output.stdout].map(|it| String::from_utf8_lossy(it)).concat();
        Self { output, text }
    }

    fn signal(&self) -> Option<i32> {
        self.output.status.signal()
    }

    #[track_caller]
    fn assert_success(&self) {
        assert!(self.output.status.success(), "{}: {}", self.output.status, self.text);
    }
}

/// Returns a command that runs a test of this crate in a separate process.
fn child(test: impl Fn()) -> Command {
    let mut child = child_command(test);
    child
        .env("LOCKDEP_EXIT", "0")
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    child
}

/// Returns the number of findings that are not allowed: these locks are of one class, so nesting them is one.
fn reported() -> usize {
    lockdep::findings().iter().filter(|it| it.level() > lockdep::Level::Allow).count()
}

/// Runs the body of a test in a separate process, which must succeed.
fn alone(test: impl Fn(), body: impl FnOnce()) {
    if support::is_child() {
        return body();
    }
    Ended::of(&mut child(test)).assert_success();
}
