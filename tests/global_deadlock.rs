//! All threads sleep, and nothing can wake them: found, by whatever primitive. And not found where
//! anything can. Each in a process of its own.
#![cfg(all(debug_assertions, target_os = "linux", target_pointer_width = "64"))]

mod support;

use std::{
    io::{BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    sync::{Barrier, Condvar, Mutex, mpsc},
    thread,
    time::Duration,
};

use support::{child_command, is_child};

/// What the report begins with.
const FOUND: &str = "error[lockdep::deadlock]: all ";

/// The environment in which the test harness is not there: it waits with a time limit for the first
/// minute of a test, as something might come of that.
const WITHOUT_HARNESS: &str = "LOCKDEP_TEST_WITHOUT_HARNESS";

/// Runs a body in a process whose other threads all sleep for good: the one of the harness joins this one.
fn hangs(body: impl FnOnce()) {
    lockdep::watchdog(Duration::from_millis(1));
    body();
}

fn start(test: &str) -> Child {
    let mut command = child_command(test);
    command.env(WITHOUT_HARNESS, "1").stdin(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it runs")
}
