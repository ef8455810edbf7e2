//! The exit status of this program.

use std::process::ExitCode;

use crate::report::Report;

/// At least one finding is denied.
const DENIED: u8 = 100;
/// Nothing was checked; or not all that checks itself. nextest ends with the same status if there are no tests.
const NOTHING_CHECKED: u8 = 4;
/// An error of `cargo lockdep` itself.
pub(crate) const OUR_ERROR: u8 = 101;

/// Returns the exit status for a report. One with unreadable records, or of nothing, never counts as success.
pub(crate) fn verdict(report: &Report) -> ExitCode {
    if report.is_denied() { ExitCode::from(DENIED) } else { of_reading(report) }
}

/// Returns the exit status of a command that reads records, of which this many could not be read.
pub(crate) fn of_parts(unread: usize) -> ExitCode {
    if unread > 0 { ExitCode::from(OUR_ERROR) } else { ExitCode::SUCCESS }
}

/// Returns the exit status for a report, apart from its findings.
pub(crate) fn of_reading(report: &Report) -> ExitCode {
    if report.unread > 0 {
        ExitCode::from(OUR_ERROR)
    } else if report.nothing.is_some() || report.lacks_findings() {
        ExitCode::from(NOTHING_CHECKED)
    } else {
        ExitCode::SUCCESS
    }
}
