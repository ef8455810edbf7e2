//! The exit status of this program.

use std::process::ExitCode;

use crate::report::Report;

/// At least one finding is denied.
const DENIED: u8 = 100;
/// An error of `cargo lockdep` itself.
pub(crate) const OUR_ERROR: u8 = 101;

/// Returns the exit status for a report. A report with unreadable records never counts as success.
pub(crate) fn verdict(report: &Report) -> ExitCode {
    if report.is_denied() {
        ExitCode::from(DENIED)
    } else if report.unread > 0 {
        ExitCode::from(OUR_ERROR)
    } else {
        ExitCode::SUCCESS
    }
}
