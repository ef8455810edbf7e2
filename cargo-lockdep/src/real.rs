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

/// The same status as another process.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}
