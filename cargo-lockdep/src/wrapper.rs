//! This program in rustc's or rustdoc's place: cargo calls it, and it calls the real one, with
//! our `std` where that is wanted. A crate that does not compile with it is compiled without.

use std::{
    env,
    ffi::OsString,
    fs,
    io::{self, BufRead, BufReader, Write},
    path::Path,
    process::{Command, ExitCode, ExitStatus, Stdio},
};

use crate::{
    Result, cannot, cannot_start,
    diagnostics::{first_error, is_metadata_notice},
    notes::{self, Fate, Note},
    runtime::{NOTES, Runtime},
    treatment::{Call, Tool, Treatment},
};

/// In the environment, the folder of the runtime: this program is a wrapper then.
pub(crate) const FOLDER: &str = "CARGO_LOCKDEP_WRAP";
/// The wrapper that was set before us.
pub(crate) const INNER: &str = "CARGO_LOCKDEP_RUSTC_WRAPPER";
/// The rustdoc that was set before us.
pub(crate) const RUSTDOC: &str = "CARGO_LOCKDEP_RUSTDOC";

/// Runs what cargo wants to be run. As a wrapper of rustc, the first argument is rustc itself; in
/// rustdoc's place it is an option.
pub(crate) fn run(folder: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    let is_rustc = arguments.first().is_some_and(|first| !first.to_string_lossy().starts_with('-'));
    let (tool, program, arguments) = if is_rustc {
        (Tool::Rustc, arguments[0].clone(), &arguments[1..])
    } else {
        let rustdoc = env::var_os(RUSTDOC).unwrap_or_else(|| "rustdoc".into());
        (Tool::Rustdoc, rustdoc, arguments)
    };
    let plain = || {
        let inner = env::var_os(INNER).filter(|_| is_rustc);
        let mut command = Command::new(inner.as_ref().unwrap_or(&program));
        command.args(inner.is_some().then_some(&program)).args(arguments);
        command
    };

    let call = Call::parse(arguments);
    let compiling = env::var("CARGO_CRATE_NAME").ok();
    let treatment =
        call.treatment(tool, compiling.as_deref(), |path| fs::read_to_string(path).ok());
    if treatment == Treatment::Leave {
        return through(plain());
    }

    let runtime = Runtime::load(folder)?;
    let (notes, unit) = (folder.join(NOTES), call.unit(tool).unwrap_or_default());
    let with_search = || {
        let mut command = plain();
        runtime.add_search(&mut command);
        command
    };
    let with_std = || {
        let mut command = with_search();
        runtime.add_std(&mut command);
        command
    };
    let note = |fate| {
        let variable = |name| env::var(name).unwrap_or_default();
        let package = format!("{} {}", variable("CARGO_PKG_NAME"), variable("CARGO_PKG_VERSION"));
        let note = Note { package, crate_name: call.crate_name.clone().unwrap_or_default(), fate };
        notes::write(&notes, &unit, &note).map_err(cannot("write down what was done"))
    };
    match (tool, treatment) {
        // Its examples use it as it was built.
        (Tool::Rustdoc, Treatment::Check) if !notes::fell_back(&notes, &unit) => {
            through(with_std())
        }
        (Tool::Rustdoc, _) => through(with_search()),
        (Tool::Rustc, Treatment::Check) => {
            let error = match attempt(with_std())? {
                Attempt::Ended(status) => {
                    note(Fate::Checked)?;
                    return Ok(code(status));
                }
                Attempt::Failed(_, output) => first_error(&output),
            };
            match attempt(with_search())? {
                Attempt::Ended(status) => {
                    note(Fate::FellBack(error))?;
                    Ok(code(status))
                }
                Attempt::Failed(status, output) => {
                    pass_on(&output)?;
                    if first_error(&output) != error {
                        eprintln!("lockdep: with checked locks, the first error is: {error}");
                    }
                    Ok(code(status))
                }
            }
        }
        (Tool::Rustc, _) => {
            note(Fate::NoStd)?;
            through(with_search())
        }
    }
}

/// How a compilation went that may be done again.
enum Attempt {
    /// It has succeeded, or was too far to be taken back.
    Ended(ExitStatus),
    /// It has failed, and nobody has seen these messages.
    Failed(ExitStatus, Vec<u8>),
}

/// Compiles, and keeps rustc's messages until it is clear that it goes well: with the notice that
/// lets cargo go on, or at the end.
fn attempt(mut command: Command) -> Result<Attempt> {
    let mut rustc = command.stderr(Stdio::piped()).spawn().map_err(cannot_start(&command))?;
    let output = rustc.stderr.take().expect("it is piped");
    let (kept, ended) = forward(BufReader::new(output), io::stderr().lock())
        .map_err(cannot("pass rustc's messages on"))?;
    let status = rustc.wait().map_err(cannot("wait for rustc"))?;
    if ended || status.success() {
        pass_on(&kept)?;
        return Ok(Attempt::Ended(status));
    }
    Ok(Attempt::Failed(status, kept))
}

fn pass_on(output: &[u8]) -> Result<()> {
    io::stderr().write_all(output).map_err(cannot("pass rustc's messages on"))
}

/// Passes lines on from the notice on; what stands before goes with it. Gives back what was not
/// passed on, and whether the notice came.
fn forward(mut input: impl BufRead, mut output: impl Write) -> io::Result<(Vec<u8>, bool)> {
    let (mut kept, mut noticed) = (Vec::new(), false);
    loop {
        let start = kept.len();
        if input.read_until(b'\n', &mut kept)? == 0 {
            return Ok((kept, noticed));
        }
        noticed |= is_metadata_notice(&kept[start..]);
        if noticed {
            output.write_all(&kept)?;
            kept.clear();
        }
    }
}

fn through(mut command: Command) -> Result<ExitCode> {
    command.status().map(code).map_err(cannot_start(&command))
}

/// The same status as another process.
pub(crate) fn code(status: ExitStatus) -> ExitCode {
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    code.map_or(ExitCode::FAILURE, ExitCode::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_kept_until_it_goes_well() {
        let error = b"{\"message\":\"no\",\"level\":\"error\"}\n";
        let notice = b"{\"emit\":\"metadata\"}\n";
        let mut passed = Vec::new();
        let (kept, noticed) = forward(&error[..], &mut passed).unwrap();
        assert_eq!((kept.as_slice(), noticed, passed.len()), (&error[..], false, 0));

        let all = [&error[..], notice, error].concat();
        let (kept, noticed) = forward(&all[..], &mut passed).unwrap();
        assert_eq!((kept.len(), noticed, passed), (0, true, all));
    }
}
