//! Our exit status.

use std::process::ExitCode;

use crate::report::Report;

/// If something was found that is denied.
const DENIED: u8 = 100;
/// If we could not do our work.
pub(crate) const OUR_ERROR: u8 = 101;

/// What a report comes to. Who has not read all cannot say that nothing is wrong.
pub(crate) fn verdict(report: &Report) -> ExitCode {
    if report.is_denied() {
        ExitCode::from(DENIED)
    } else if report.unread > 0 {
        ExitCode::from(OUR_ERROR)
    } else {
        ExitCode::SUCCESS
    }
}
