//! A program that is built with `panic = "abort"`: a finding aborts it, with its report, but
//! nothing else in the library does.
#![cfg(all(debug_assertions, unix))]

use std::{fs::OpenOptions, os::unix::process::ExitStatusExt, path::Path, process::Command};

/// Builds an example with `panic = "abort"`.
fn example(name: &str, arguments: &[&str]) -> Command {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).join("panic_abort");
    let built = Command::new(env!("CARGO"))
        .args(["build", "--offline", "--example", name, "--target-dir"])
        .arg(&target)
        .env("CARGO_PROFILE_DEV_PANIC", "abort")
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    let mut program = Command::new(target.join("debug/examples").join(name));
    program.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR"));
    for variable in ["LOCKDEP", "LOCKDEP_OUT", "LOCKDEP_WATCHDOG", "RUST_BACKTRACE"] {
        program.env_remove(variable);
    }
    program
}

#[test]
fn a_finding_ends_it_with_its_report() {
    let output = example("two_lock_deadlock", &[]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.signal(), Some(libc::SIGABRT), "{text}");
    assert!(text.contains("error[lockdep::inversion]"), "{text}");
}

/// A warning that cannot be written must not abort the program.
#[test]
fn a_warning_that_cannot_be_written_does_not_end_it() {
    let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
    let output =
        example("two_lock_ordered", &[]).env("LOCKDEP", "nonsense").stderr(full).output().unwrap();
    assert!(output.status.success(), "{}", output.status);
}
