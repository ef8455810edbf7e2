//! What cargo would call without us: rustc or rustdoc.

use std::{
    ffi::OsString,
    process::{Command, ExitCode, ExitStatus},
};

use crate::{Result, cannot_start};

/// The program, and what it is called by.
pub(crate) struct Real {
    pub(crate) program: OsString,
    /// The wrapper that was set before us.
    pub(crate) inner: Option<OsString>,
}

impl Real {
    pub(crate) fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(self.inner.as_ref().unwrap_or(&self.program));
        command.args(self.inner.is_some().then_some(&self.program)).args(arguments);
        command
    }
}

pub(crate) fn through(mut command: Command) -> Result<ExitCode> {
    command.status().map(code).map_err(cannot_start(&command))
}

/// The same status as another process. One that was killed by a signal has that which shells give it.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    #[cfg(unix)]
    let by_signal = std::os::unix::process::ExitStatusExt::signal(&status).map(|it| 128 + it);
    #[cfg(not(unix))]
    let by_signal = None;
    let code = status.code().or(by_signal).and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::process::ExitStatusExt;

    use super::*;

    #[test]
    fn a_status_is_handed_on_as_shells_have_it() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (11, 139)] {
            let code = code(ExitStatus::from_raw(raw));
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(expected)));
        }
    }
}
