//! Runs rustc with buffered diagnostics, so that a failed attempt can be retried silently with
//! other flags.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Command, ExitStatus, Output, Stdio},
};

use super::diagnostics::{is_metadata_notice, is_notice};
use crate::{Result, cannot, cannot_start};

/// The result of a compilation that can be retried.
pub(crate) enum Attempt {
    /// It succeeded, or failed too late for a retry.
    Ended(ExitStatus),
    /// It failed, and its messages were not printed.
    Failed(ExitStatus, Vec<u8>),
}

/// Compiles. Buffers rustc's messages until it is too late for a retry: at its notice that the
/// metadata is written, at which cargo starts the dependents, or at the end.
pub(crate) fn attempt(mut command: Command) -> Result<Attempt> {
    let mut rustc = command.stderr(Stdio::piped()).spawn().map_err(cannot_start(&command))?;
    let output = rustc.stderr.take().expect("it is piped");
    let (kept, noticed) = forward(BufReader::new(output), io::stderr().lock())
        .map_err(cannot("pass rustc's messages on"))?;
    let status = rustc.wait().map_err(cannot("wait for rustc"))?;
    if noticed || status.success() {
        pass_on(&kept)?;
        return Ok(Attempt::Ended(status));
    }
    Ok(Attempt::Failed(status, kept))
}

pub(crate) fn pass_on(output: &[u8]) -> Result<()> {
    io::stderr().write_all(output).map_err(cannot("pass rustc's messages on"))
}

/// Buffers lines until the notice, then passes them and all later lines on. Returns the lines that were not
/// passed on, and `true` if the notice came.
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

/// Compiles a crate that cargo does not know about, and hides rustc's notices about the files that
/// it wrote.
pub(crate) fn quietly(mut command: Command) -> Result<Attempt> {
    let Output { status, stderr, .. } =
        command.stderr(Stdio::piped()).output().map_err(cannot_start(&command))?;
    if !status.success() {
        return Ok(Attempt::Failed(status, stderr));
    }
    for line in stderr.split_inclusive(|&byte| byte == b'\n').filter(|line| !is_notice(line)) {
        pass_on(line)?;
    }
    Ok(Attempt::Ended(status))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_buffered_until_the_notice() {
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
