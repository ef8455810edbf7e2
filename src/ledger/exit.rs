//! What the end of the process has to say about the unhandled findings, and what becomes
//! of its exit status.
//!
//! A handler of `exit`, registered with the first finding that is to be told. Other threads still
//! run by then: it waits for none of them longer than a moment, and what it prints goes past the
//! test harness and past the lock around standard error.

#![cfg_attr(not(unix), allow(dead_code, reason = "there is no handler of `exit`"))]

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use crate::finding::{Finding, FindingKind, Level};

/// The status of a process that had a finding at [`Level::Deny`]: that of a panic.
#[cfg(unix)]
const STATUS: libc::c_int = 101;

/// The most findings that are listed.
const MAX_LINES: usize = 16;
/// The most reports that are shown.
const MAX_REPORTS: usize = 3;

/// There is something to tell at the end.
#[cfg(unix)]
pub(super) fn watch() {
    static WATCHES: AtomicBool = AtomicBool::new(false);
    if super::settings().exit && !WATCHES.swap(true, Relaxed) {
        #[allow(unsafe_code, reason = "std has no handlers of its own")]
        // SAFETY: `atexit` takes any function; this one returns, or calls `exit` (see there),
        // and does not unwind.
        unsafe {
            libc::atexit(at_exit);
        }
    }
}

/// Elsewhere the panic is all.
#[cfg(not(unix))]
pub(super) fn watch() {}

/// Has the file that silences read at the end of the process, if nothing has read it before. Returns `false`
/// if that cannot be done.
#[cfg(unix)]
pub(super) fn read_config_at_exit() -> bool {
    PROCESS.store(super::this_process(), Relaxed);
    #[allow(unsafe_code, reason = "std has no handlers of its own")]
    // SAFETY: `atexit` takes any function; this one returns and does not unwind.
    unsafe {
        libc::atexit(read_config) == 0
    }
}

#[cfg(not(unix))]
pub(super) fn read_config_at_exit() -> bool {
    false
}

/// The process that is to read the file at its end: its forks do not.
#[cfg(unix)]
static PROCESS: AtomicU32 = AtomicU32::new(0);

#[cfg(unix)]
extern "C" fn read_config() {
    let is_ours = PROCESS.load(Relaxed) == super::this_process();
    let loads = || is_ours && super::suppress::load(write_to_stderr) && super::settings().exit;
    if std::panic::catch_unwind(loads).unwrap_or(false) {
        at_exit();
    }
}

/// Writes past the stream of std, whose lock may be held for ever.
#[cfg(unix)]
pub(super) fn write_to_stderr(text: &str) {
    use std::{io::Write, os::fd::AsFd};

    if let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() {
        let _ = std::fs::File::from(stderr).write_all(format!("{}\n", text.trim_end()).as_bytes());
    }
}

#[cfg(unix)]
extern "C" fn at_exit() {
    use std::{panic::catch_unwind, time::Duration};

    let has_failed = catch_unwind(|| {
        // A thread that was stopped with the list locked will not let go of it any more.
        let findings = super::unhandled(Duration::from_millis(500)).unwrap_or_default();
        let (text, has_failed) =
            summary(&findings, &super::suppress::unused(), super::cut_short())?;
        write_to_stderr(&text);
        Some(has_failed)
    });
    if let Ok(Some(true)) = has_failed {
        end_with(STATUS);
    }
}

/// Ends the process, which is about to end, with another status.
#[cfg(unix)]
#[allow(unsafe_code, reason = "std's `exit` takes its own second call for a bug")]
fn end_with(status: libc::c_int) -> ! {
    // POSIX leaves open what a second call of `exit` does. Those of glibc, of Apple and of the
    // BSDs go on with the handlers that remain, so that nothing these write is lost (coverage
    // data, for one). Musl's may crash.
    if cfg!(any(target_env = "gnu", target_vendor = "apple", target_os = "freebsd")) {
        // SAFETY: called by the thread that runs the handlers, see above.
        unsafe { libc::exit(status) }
    }
    // SAFETY: all streams are flushed, as `exit` would do last; then the process is gone.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(status)
    }
}

/// Returns the summary of findings, unused entries and searches that were cut short, and whether the
/// process has failed. `None` if there are no findings and no unused entries.
fn summary(findings: &[Finding], unused: &[&str], cut_short: u64) -> Option<(String, bool)> {
    let of = |level| move |finding: &&Finding| finding.level == level;
    let denied: Vec<_> = findings.iter().filter(of(Level::Deny)).collect();
    let warned = findings.iter().filter(of(Level::Warn));
    let told: Vec<_> = denied.iter().copied().chain(warned).collect();
    if told.is_empty() && unused.is_empty() {
        return None;
    }
    let mut lines = Vec::new();
    let mut reports = Vec::new();
    if denied.is_empty() && !told.is_empty() {
        lines.push(format!(
            "lockdep: {}; the exit status is unchanged",
            count(&told, "unhandled warning")
        ));
    }
    if !denied.is_empty() {
        let count = count(&denied, "unhandled finding");
        lines.push(format!("lockdep: {count}; exiting with status 101"));
        lines.push(match super::record_writer::path() {
            Some(path) => format!("lockdep: reports are in {}", path.display()),
            None if harness_captures() => {
                reports.extend(denied.iter().take(MAX_REPORTS).map(|finding| format!("\n{finding}")));
                "lockdep: reports are repeated below, because the test harness discards the output of \
                 passing tests"
                    .to_owned()
            }
            None => "lockdep: reports are above".to_owned(),
        });
    }
    lines.extend(told.iter().take(MAX_LINES).map(|finding| crate::render::headline(finding)));
    if told.len() > MAX_LINES {
        lines.push(format!("lockdep: and {} more", told.len() - MAX_LINES));
    }
    if !unused.is_empty() {
        lines.push(format!("lockdep: unused entry: {} matched no finding", unused.join(", ")));
    }
    lines.extend(crate::render::cut_short(cut_short));
    lines.extend(reports);
    lines.push(String::new());
    Some((lines.join("\n"), !denied.is_empty()))
}

/// Whether this looks like a test program whose harness keeps what tests print, and throws it
/// away if they pass. If not, a report is shown once too often.
fn harness_captures() -> bool {
    let program = std::env::current_exe().unwrap_or_default();
    let shows = |argument: std::ffi::OsString| {
        ["--nocapture", "--no-capture", "--show-output"].iter().any(|&option| argument == option)
    };
    program.parent().is_some_and(|folder| folder.ends_with("deps"))
        && std::env::var_os("RUST_TEST_NOCAPTURE").is_none_or(|value| value == "0")
        && !std::env::args_os().any(shows)
}

/// `3 findings (2 inversion, 1 self_deadlock)`
fn count(findings: &[&Finding], noun: &str) -> String {
    let of_kind = |kind: FindingKind| {
        let count = findings.iter().filter(|finding| finding.kind == kind).count();
        (count > 0).then(|| format!("{count} {}", kind.name()))
    };
    let kinds: Vec<_> = FindingKind::ALL.into_iter().filter_map(of_kind).collect();
    let plural = if findings.len() == 1 { "" } else { "s" };
    format!("{} {noun}{plural} ({})", findings.len(), kinds.join(", "))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn searches_that_were_cut_short_are_mentioned_beside_something_else() {
        assert!(summary(&[], &[], 3).is_none());
        let text = |cut_short| summary(&[], &["lockdep.toml:3"], cut_short).unwrap().0;
        assert!(!text(0).contains("cut short"), "{}", text(0));
        assert!(text(1).contains("\nlockdep: 1 search for cycles was cut short: "), "{}", text(1));
        assert!(text(3).contains("\nlockdep: 3 searches for cycles were cut short: "));
    }
}
