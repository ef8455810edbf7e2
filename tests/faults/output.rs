//! Closed or full streams.

use std::{
    fs::OpenOptions,
    os::unix::process::CommandExt,
    process::{Command, Stdio},
};

use lockdep::{
    FindingKind, Level,
    sync::{Condvar, Mutex},
};

use crate::{Ended, child, invert, support::is_child};

/// Everything that prints: a denied finding, a warning, and an invalid setting.
fn tell() {
    invert();
    lockdep::set_level(FindingKind::SingleThreadInversion, Level::Warn);
    let (a, b) = (Mutex::new(()), Mutex::new(()));
    drop((a.lock(), b.lock()));
    drop((b.lock(), a.lock()));
    let (_outer, flag, changed) = (a.lock(), Mutex::new(()), Condvar::new());
    let wait = std::time::Duration::from_millis(1);
    drop(changed.wait_timeout(flag.lock().unwrap(), wait));
    assert_eq!(lockdep::findings().len(), 3);
}

fn check(test: impl Fn(), stderr: impl FnOnce(&mut Command)) {
    if is_child() {
        return tell();
    }
    let mut child = child(test);
    child.env("LOCKDEP", "nonsense");
    stderr(&mut child);
    Ended::of(&mut child).assert_success();
}

#[test]
fn standard_error_is_full() {
    check(standard_error_is_full, |child| {
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        child.stderr(full);
    });
}

#[test]
fn standard_error_is_closed() {
    check(standard_error_is_closed, |child| {
        // SAFETY: `close` may be called between `fork` and `exec`.
        unsafe {
            child.pre_exec(|| {
                libc::close(2);
                Ok(())
            });
        }
    });
}

#[test]
fn nobody_reads_standard_error() {
    check(nobody_reads_standard_error, |child| {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        child.stderr(Stdio::from(writer));
    });
}
