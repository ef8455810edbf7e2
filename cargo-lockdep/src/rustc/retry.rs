//! A compilation that may be done again, in another way, without anybody having heard of it.

use std::{
    io::{self, BufRead, BufReader, Write},
    process::{Command, ExitStatus, Output, Stdio},
};

use super::diagnostics::{is_metadata_notice, is_notice};
use crate::{Result, cannot, cannot_start};

/// How a compilation went that may be done again.
pub(crate) enum Attempt {
    /// It has succeeded, or was too far to be taken back.
    Ended(ExitStatus),
    /// It has failed, and nobody has seen these messages.
    Failed(ExitStatus, Vec<u8>),
}

/// Compiles, and keeps rustc's messages until it is clear that it goes well: with the notice that
/// lets cargo go on, or at the end.
pub(crate) fn attempt(mut command: Command) -> Result<Attempt> {
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

pub(crate) fn pass_on(output: &[u8]) -> Result<()> {
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

/// Compiles what cargo does not know of, and tells it of no file.
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
