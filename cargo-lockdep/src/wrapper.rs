//! This program in rustc's or rustdoc's place: cargo calls it, and it calls the real one, with
//! our locks where they are wanted.

use std::{
    env,
    ffi::OsString,
    fs,
    path::Path,
    process::{Command, ExitCode, ExitStatus},
};

use crate::{
    Result, cannot, cannot_start,
    choice::Choice,
    lock_types::sources,
    notes::{Fate, Note},
    runtime::{self, Runtime},
    treatment::{Call, Compiling, Tool, Treatment},
    unit::Unit,
};

/// In the environment, the folder of the runtime: this program is a wrapper then.
pub(crate) const FOLDER: &str = "CARGO_LOCKDEP_WRAP";
/// What is to be checked.
pub(crate) const CHOICE: &str = "CARGO_LOCKDEP_CHOICE";
/// The wrapper that was set before us.
pub(crate) const INNER: &str = "CARGO_LOCKDEP_RUSTC_WRAPPER";
/// The rustdoc that was set before us.
pub(crate) const RUSTDOC: &str = "CARGO_LOCKDEP_RUSTDOC";

/// Runs what cargo wants to be run. As a wrapper of rustc, the first argument is rustc itself; in
/// rustdoc's place it is an option.
pub(crate) fn run(folder: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    let is_rustc = arguments.first().is_some_and(|first| !first.to_string_lossy().starts_with('-'));
    let (tool, real, arguments) = if is_rustc {
        let real = Real { inner: env::var_os(INNER), program: arguments[0].clone() };
        (Tool::Rustc, real, &arguments[1..])
    } else {
        let program = env::var_os(RUSTDOC).unwrap_or_else(|| "rustdoc".into());
        (Tool::Rustdoc, Real { inner: None, program }, arguments)
    };

    let call = Call::parse(arguments);
    let compiling = compiling();
    let choice = env::var(CHOICE).unwrap_or_default();
    let choice = Choice::from_text(&choice).map_err(cannot("read what is to be checked"))?;
    let source = |path: &Path| fs::read_to_string(path).ok();
    let treatment = call.treatment(tool, &compiling, &choice, source, takes_std);
    if treatment == Treatment::Leave {
        return through(real.command(arguments));
    }
    let unit = Unit {
        real,
        arguments,
        runtime: Runtime::load(folder)?,
        notes: runtime::notes(folder, &choice),
        name: call.unit(tool).unwrap_or_default(),
        note: Note {
            package: format!("{} {}", compiling.package, compiling.version),
            needs: call.needs().map(str::to_owned).collect(),
            crate_name: call.crate_name.unwrap_or_default(),
            fate: Fate::Checked,
        },
    };
    match tool {
        Tool::Rustc => unit.compile(treatment),
        Tool::Rustdoc => unit.test_examples(treatment),
    }
}

/// What cargo says in the environment.
fn compiling() -> Compiling {
    let variable = |name| env::var(name).unwrap_or_default();
    Compiling {
        crate_name: env::var("CARGO_CRATE_NAME").ok(),
        package: variable("CARGO_PKG_NAME"),
        version: variable("CARGO_PKG_VERSION"),
    }
}

fn takes_std(folder: &Path) -> bool {
    sources(folder).any(|source| source.contains("extern crate std"))
}

/// What would be called without us.
pub(crate) struct Real {
    program: OsString,
    inner: Option<OsString>,
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
