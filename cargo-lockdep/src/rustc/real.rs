//! The real rustc or rustdoc.

use std::{
    ffi::OsString,
    process::{Command, ExitCode, ExitStatus},
};

use crate::{Result, cannot_start};

/// The program, and the wrapper that runs it.
pub(crate) struct Real {
    pub(crate) program: OsString,
    /// The wrapper that was configured before us.
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

/// Returns the same exit status as another process. For one killed by a signal, returns 128 +
/// signal as shells do.
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
    fn signals_become_exit_codes_as_in_shells() {
        for (raw, expected) in [(0, 0), (3 << 8, 3), (11, 139)] {
            let code = code(ExitStatus::from_raw(raw));
            assert_eq!(format!("{code:?}"), format!("{:?}", ExitCode::from(expected)));
        }
    }
}
