//! Standard output of a run whose reader expects only JSON: cargo's messages, and those about findings.

use std::{
    ffi::OsString,
    io::{self, BufRead, BufReader, Write},
    process::Command,
    sync::mpsc,
    thread,
    time::Duration,
};

use serde::Deserialize;

use crate::{
    Result, cannot,
    cargo_options::values,
    report::{
        Report,
        formats::{print, rustc, rustc::Rendered},
    },
};

/// How long after cargo's end its standard output is read. A process that a test has left behind may keep it open.
const LINGER: Duration = Duration::from_secs(2);

/// The messages that cargo's `--message-format` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Messages {
    /// `None` if cargo renders rustc's diagnostics itself, as we do with ours.
    diagnostics: Option<Rendered>,
}

impl Messages {
    /// Returns `None` if cargo writes text.
    pub(crate) fn wanted(cargo: &[OsString]) -> Option<Self> {
        let formats = values(cargo, "--message-format");
        let formats: Vec<_> =
            formats.iter().flat_map(|it| it.split(',')).map(str::to_ascii_lowercase).collect();
        let has = |name: &str| formats.iter().any(|it| it == name);
        let rendered =
            if has("json-diagnostic-short") { Rendered::Short } else { Rendered::Report };
        let is_json = formats.iter().any(|it| it == "json" || it.starts_with("json-"));
        is_json
            .then_some(Self { diagnostics: (!has("json-render-diagnostics")).then_some(rendered) })
    }

    /// Writes the findings.
    pub(crate) fn write(self, report: &Report) -> Result<()> {
        self.diagnostics.map_or(Ok(()), |rendered| print(&rustc::text(report, rendered)?))
    }
}

/// Calls `run` with cargo, and separates what it writes to standard output: its own messages go to ours, and what the
/// program writes there to standard error. Returns the messages of a build that has failed, which are not written:
/// the next one may succeed.
pub(crate) fn separate<T>(
    mut cargo: Command,
    run: impl FnOnce(&mut Command) -> Result<T>,
) -> Result<(T, Vec<u8>)> {
    let (reader, writer) = io::pipe().map_err(cannot("read cargo's messages"))?;
    cargo.stdout(writer);
    let (sender, sorted) = mpsc::channel();
    thread::spawn(move || {
        // Without a receiver, the run has ended without it.
        let _ = sender.send(sort(BufReader::new(reader), io::stdout(), io::stderr()));
    });
    let ended = run(&mut cargo)?;
    // This process must not keep it open.
    drop(cargo);
    let failed = sorted.recv_timeout(LINGER).unwrap_or_else(|_| Ok(Vec::new()));
    Ok((ended, failed.map_err(cannot("pass cargo's messages on"))?))
}

/// One of cargo's messages.
#[derive(Deserialize)]
struct Message {
    reason: String,
    success: Option<bool>,
}

/// Passes on messages of a build that succeeds, and everything else to `others`. Returns the messages of one that does
/// not.
fn sort(
    mut input: impl BufRead,
    mut output: impl Write,
    mut others: impl Write,
) -> io::Result<Vec<u8>> {
    let mut messages = Vec::new();
    loop {
        let start = messages.len();
        if input.read_until(b'\n', &mut messages)? == 0 {
            return Ok(messages);
        }
        let line = &messages[start..];
        let Some(Message { reason, success }) = serde_json::from_slice(line).ok() else {
            others.write_all(line)?;
            messages.truncate(start);
            continue;
        };
        if reason == "build-finished" {
            if success == Some(true) {
                output.write_all(&messages)?;
                output.flush()?;
                messages.clear();
            }
            // Cargo writes no more. The rest is the program's.
            io::copy(&mut input, &mut others)?;
            return Ok(messages);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_wanted_as_cargo_writes_them() {
        let report = Messages { diagnostics: Some(Rendered::Report) };
        let short = Messages { diagnostics: Some(Rendered::Short) };
        for (arguments, expected) in [
            ("-p x", None),
            ("--message-format human", None),
            ("--message-format short", None),
            ("--message-format json", Some(report)),
            ("--message-format=JSON --release", Some(report)),
            ("--message-format json-diagnostic-rendered-ansi", Some(report)),
            ("--message-format json --message-format=json-diagnostic-short", Some(short)),
            ("--message-format json,json-diagnostic-short", Some(short)),
            ("--message-format json-render-diagnostics", Some(Messages { diagnostics: None })),
        ] {
            let arguments: Vec<_> = arguments.split_whitespace().map(OsString::from).collect();
            assert_eq!(Messages::wanted(&arguments), expected, "{arguments:?}");
        }
    }

    /// Returns what is written to standard output, to standard error, and kept.
    fn sorted(input: &str) -> [String; 3] {
        let (mut output, mut others) = (Vec::new(), Vec::new());
        let kept = sort(input.as_bytes(), &mut output, &mut others).unwrap();
        [output, others, kept].map(|bytes| String::from_utf8(bytes).unwrap())
    }

    #[test]
    fn what_the_program_prints_is_no_message() {
        let artifact = "{\"reason\":\"compiler-artifact\"}\n";
        let [success, failure] =
            [true, false].map(|it| format!("{{\"reason\":\"build-finished\",\"success\":{it}}}\n"));
        let program = "running 1 test\n{\"reason\":\"mine\"}\n{\"reason\": no\nlast";
        assert_eq!(
            sorted(&format!("odd\n{artifact}{success}{program}")),
            [format!("{artifact}{success}"), format!("odd\n{program}"), String::new()]
        );
        let failed = format!("{artifact}{failure}");
        assert_eq!(sorted(&failed), [String::new(), String::new(), failed]);
        assert_eq!(sorted(artifact), ["", "", artifact]);
    }
}
