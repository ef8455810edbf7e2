//! The summary of unhandled findings at the end of the process, and the exit status.
//!
//! Implemented as an `atexit` handler, registered at the first finding to report. Other threads
//! still run at that time: the handler waits only briefly for a lock, and prints past the test
//! harness and past std's lock around standard error.

#![cfg_attr(not(unix), allow(dead_code, reason = "there is no handler of `exit`"))]

#[cfg(unix)]
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};

use super::store::Unhandled;
use crate::finding::{Finding, FindingKind, Level};

/// The exit status of a process with an unhandled finding at [`Level::Deny`]: the same as after a
/// panic.
#[cfg_attr(not(unix), allow(dead_code, reason = "for a handler of `exit`"))]
pub(super) const STATUS: i32 = 101;

/// The number of bugs listed in the summary.
const MAX_LINES: usize = 256;
/// The number of reports repeated after the summary.
const MAX_REPORTS: usize = 8;

/// Registers the handler, at the first call.
#[cfg(unix)]
pub(super) fn watch() {
    static WATCHES: AtomicBool = AtomicBool::new(false);
    if super::settings().exit && !WATCHES.swap(true, Relaxed) {
        #[allow(unsafe_code, reason = "std has no handlers of its own")]
        // SAFETY: both take any function. These do not unwind; they return or call `exit`, as
        // `end_with` explains.
        unsafe {
            #[cfg(target_env = "gnu")]
            on_exit(at_exit_with, std::ptr::null_mut());
            #[cfg(not(target_env = "gnu"))]
            libc::atexit(at_exit_with_any);
        }
    }
}

#[cfg(target_env = "gnu")]
#[allow(unsafe_code, reason = "libc has no declaration of it")]
unsafe extern "C" {
    /// As `atexit`, with the status. Only in glibc.
    fn on_exit(
        function: extern "C" fn(libc::c_int, *mut libc::c_void),
        argument: *mut libc::c_void,
    ) -> libc::c_int;
}

#[cfg(target_env = "gnu")]
extern "C" fn at_exit_with(status: libc::c_int, _argument: *mut libc::c_void) {
    at_exit(status != 0);
}

#[cfg(all(unix, not(target_env = "gnu")))]
extern "C" fn at_exit_with_any() {
    at_exit(false);
}

/// Without `atexit`, a denied finding only panics.
#[cfg(not(unix))]
pub(super) fn watch() {}

/// Registers a handler that reads the configuration at the end of the process if nothing has read
/// it before. Returns `false` if that fails.
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

/// The process that registered `read_config`. A fork inherits the handler but must not run it.
#[cfg(unix)]
static PROCESS: AtomicU32 = AtomicU32::new(0);

#[cfg(unix)]
extern "C" fn read_config() {
    let is_ours = PROCESS.load(Relaxed) == super::this_process();
    let loads = || is_ours && super::config_file::load(write_to_stderr) && super::settings().exit;
    if std::panic::catch_unwind(loads).unwrap_or(false) {
        at_exit(false);
    }
}

/// Writes past std's stream, whose lock may never be released.
#[cfg(unix)]
pub(super) fn write_to_stderr(text: &str) {
    use std::{io::Write, os::fd::AsFd};

    if let Ok(stderr) = std::io::stderr().as_fd().try_clone_to_owned() {
        let _ = std::fs::File::from(stderr).write_all(format!("{}\n", text.trim_end()).as_bytes());
    }
}

/// Writes the summary, if there is one, and ends the process with another status if it must. `has_failed`: the
/// process ends with a status that says so, as far as is known.
#[cfg(unix)]
fn at_exit(has_failed: bool) {
    use std::{panic::catch_unwind, time::Duration};

    let must_fail = catch_unwind(|| {
        // A thread that was stopped while it held the lock will never release it.
        let (bugs, lost) = super::unhandled(Duration::from_millis(500)).unwrap_or_default();
        let beside = Beside {
            lost,
            long_waits: super::LONG_WAITS.load(Relaxed),
            unused: super::suppress::unused(),
            cut_short: super::cut_short(),
            has_failed,
        };
        let (text, must_fail) = summary(&bugs, &beside)?;
        write_to_stderr(&text);
        Some(must_fail)
    });
    if let Ok(Some(true)) = must_fail {
        end_with(STATUS);
    }
}

/// Ends the process, which is already exiting, with another status.
#[cfg(unix)]
#[allow(unsafe_code, reason = "std's `exit` takes its own second call for a bug")]
fn end_with(status: libc::c_int) -> ! {
    // POSIX leaves a second call of `exit` undefined. Those of glibc, Apple and the BSDs run the
    // remaining handlers, so nothing that these write is lost (coverage data, for example). Musl's
    // may crash.
    if cfg!(any(target_env = "gnu", target_vendor = "apple", target_os = "freebsd")) {
        // SAFETY: the calling thread runs the `atexit` handlers, and this libc allows `exit` there.
        unsafe { libc::exit(status) }
    }
    // SAFETY: flushes all streams, the last thing that `exit` would do, and ends the process.
    unsafe {
        libc::fflush(std::ptr::null_mut());
        libc::_exit(status)
    }
}

/// What a summary mentions besides bugs.
#[derive(Default)]
struct Beside {
    /// The number of findings that were not kept.
    lost: u64,
    /// The number of waits that the watchdog has reported.
    long_waits: u64,
    /// The entries of the configuration that matched no finding.
    unused: Vec<&'static str>,
    /// The number of searches for cycles that were cut short. Not a reason for a summary.
    cut_short: u64,
    /// Some test has failed, if this is a test harness.
    has_failed: bool,
}

/// Returns the summary, with the bugs in their order, and whether the process has failed. `None` if
/// there is nothing to say.
fn summary(bugs: &[Unhandled], beside: &Beside) -> Option<(String, bool)> {
    let Beside { lost, long_waits, unused, cut_short, has_failed } = beside;
    let is_denied = |bug: &&Unhandled| bug.worst.level > Level::Warn;
    let reported: Vec<_> = bugs.iter().collect();
    let denied: Vec<_> = bugs.iter().filter(is_denied).collect();
    if reported.is_empty() && unused.is_empty() && *long_waits == 0 {
        return None;
    }
    let mut lines = Vec::new();
    let mut reports = Vec::new();
    if denied.is_empty() && !reported.is_empty() {
        lines.push(format!(
            "lockdep: {}; the exit status is unchanged",
            count(&reported, "unhandled warning")
        ));
    }
    if !denied.is_empty() {
        let count = count(&denied, "unhandled finding");
        lines.push(format!("lockdep: {count}; exiting with status {STATUS}"));
        lines.push(match super::record_writer::path() {
            Some(path) => format!("lockdep: reports are in {}", path.display()),
            None if harness_captures() => {
                let is_shown = |bug: &&&Unhandled| *has_failed && has_failed_a_test(&bug.worst);
                let hidden: Vec<_> = denied.iter().filter(|bug| !is_shown(bug)).collect();
                reports
                    .extend(hidden.iter().take(MAX_REPORTS).map(|bug| format!("\n{}", bug.worst)));
                where_reports_are(denied.len(), hidden.len())
            }
            None => "lockdep: reports are above".to_owned(),
        });
    }
    lines.extend(reported.iter().take(MAX_LINES).map(|bug| line(bug)));
    if reported.len() > MAX_LINES {
        lines.push(format!("lockdep: and {} more", reported.len() - MAX_LINES));
    }
    if *lost > 0 {
        lines.push(format!("lockdep: and {lost} times at further places, which were not kept"));
    }
    if *long_waits > 0 {
        let waits = if *long_waits == 1 { "a wait" } else { &format!("{long_waits} waits") };
        lines.push(format!(
            "lockdep: the watchdog has reported {waits} that lasted too long, see above"
        ));
    }
    if !unused.is_empty() {
        lines.push(format!("lockdep: unused entry: {} matched no finding", unused.join(", ")));
    }
    lines.extend(crate::render::cut_short(*cut_short));
    lines.extend(reports);
    lines.push(String::new());
    Some((lines.join("\n"), !denied.is_empty()))
}

/// Says where the reports of a test process are. `hidden` of them have failed no test.
fn where_reports_are(denied: usize, hidden: usize) -> String {
    let which = if hidden < denied { " that failed no test" } else { "" };
    let why = "because the test harness discards the output of passing tests";
    match hidden {
        0 => "lockdep: reports are above, with the tests that failed".to_owned(),
        1..=MAX_REPORTS => format!("lockdep: reports{which} are repeated below, {why}"),
        _ => format!(
            "lockdep: reports of the {MAX_REPORTS} worst{which} are repeated below, {why}; \
             `--nocapture` shows all {denied}"
        ),
    }
}

/// Returns `true` if the panic for a finding has reached the test harness, which prints it if the
/// test fails. A test that expects the panic passes: its author has asked for it.
fn has_failed_a_test(finding: &Finding) -> bool {
    finding.level == Level::Deny
        && finding
            .cycle
            .first()
            .is_some_and(|edge| crate::render::unwinds_to_harness(&edge.backtrace))
}

/// Returns the line of a bug: its headline, and how often it was found.
fn line(bug: &Unhandled) -> String {
    let headline = crate::render::headline(&bug.worst);
    match bug.count {
        1 => headline,
        count => format!("{headline} (seen {count} times)"),
    }
}

/// Returns `true` if this looks like a test program whose harness discards the output of passing
/// tests. A false positive only repeats a report.
fn harness_captures() -> bool {
    let program = std::env::current_exe().unwrap_or_default();
    let shows = |argument: std::ffi::OsString| {
        ["--nocapture", "--no-capture", "--show-output"].iter().any(|&option| argument == option)
    };
    program.parent().is_some_and(|folder| folder.ends_with("deps"))
        && std::env::var_os("RUST_TEST_NOCAPTURE").is_none_or(|value| value == "0")
        && !std::env::args_os().any(shows)
}

/// Formats `3 findings (2 inversion, 1 self_deadlock)`
fn count(bugs: &[&Unhandled], noun: &str) -> String {
    let of_kind = |kind: FindingKind| {
        let count = bugs.iter().filter(|bug| bug.worst.kind == kind).count();
        (count > 0).then(|| format!("{count} {}", kind.name()))
    };
    let kinds: Vec<_> = FindingKind::ALL.into_iter().filter_map(of_kind).collect();
    let plural = if bugs.len() == 1 { "" } else { "s" };
    format!("{} {noun}{plural} ({})", bugs.len(), kinds.join(", "))
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn searches_that_were_cut_short_are_mentioned_beside_something_else() {
        let of =
            |unused, cut_short| summary(&[], &Beside { unused, cut_short, ..Beside::default() });
        assert!(of(Vec::new(), 3).is_none());
        let text = |cut_short| of(vec!["lockdep.toml:3"], cut_short).unwrap().0;
        assert!(!text(0).contains("cut short"), "{}", text(0));
        assert!(text(1).contains("\nlockdep: 1 search for cycles was cut short: "), "{}", text(1));
        assert!(text(3).contains("\nlockdep: 3 searches for cycles were cut short: "));
    }

    #[test]
    fn long_waits_are_mentioned_and_do_not_fail_the_process() {
        let of = |long_waits| summary(&[], &Beside { long_waits, ..Beside::default() });
        assert!(of(0).is_none());
        for (waits, text) in [(1, "a wait"), (2, "2 waits")] {
            let expected = format!(
                "lockdep: the watchdog has reported {text} that lasted too long, see above\n"
            );
            assert_eq!(of(waits), Some((expected, false)));
        }
    }
}
