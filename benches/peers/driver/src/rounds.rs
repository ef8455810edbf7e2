//! Runs all peers at one measurement, alternating: each round has one process of each peer,
//! including the raw locks.

use std::{
    io::{Read, Seek},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context, Result};
use wait_timeout::ChildExt;

use crate::{
    plan::{self, Peer},
    results::Rounds,
};

/// A process that takes longer is killed and reported as stuck.
const TOO_LONG: Duration = Duration::from_secs(15);
/// A peer that has taken this long in total is left out of further rounds.
const ENOUGH: Duration = Duration::from_secs(8);

/// A peer, and its program.
pub(crate) struct Runner<'a> {
    pub(crate) peer: &'static Peer,
    pub(crate) program: &'a Path,
}

/// Runs `rounds` rounds of a measurement.
pub(crate) fn run(
    measurement: &str,
    rounds: usize,
    runners: &[Runner<'_>],
) -> Result<Vec<(&'static str, Rounds)>> {
    let mut states: Vec<_> =
        runners.iter().map(|runner| (runner, Rounds::default(), Duration::ZERO)).collect();
    for _ in 0..rounds {
        for (runner, done, spent) in &mut states {
            if done.trouble.is_some() || *spent > ENOUGH {
                continue;
            }
            let start = Instant::now();
            match once(runner.program, measurement)? {
                Ok(result) => done.results.push(result),
                Err(trouble) => done.trouble = Some(trouble),
            }
            *spent += start.elapsed();
        }
    }
    Ok(states.into_iter().map(|(runner, done, _)| (runner.peer.package, done)).collect())
}

/// Runs one process. Returns its result, or what went wrong in it.
fn once(program: &Path, measurement: &str) -> Result<Result<f64, String>> {
    // Files, because the output is read only after the process has ended; a pipe could fill up.
    let (mut output, mut errors) = (tempfile::tempfile()?, tempfile::tempfile()?);
    let mut child = in_environment(Command::new(program), measurement)
        .arg(measurement)
        .stdin(Stdio::null())
        .stdout(output.try_clone()?)
        .stderr(errors.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {}", program.display()))?;
    let Some(status) = child.wait_timeout(TOO_LONG)? else {
        child.kill()?;
        child.wait()?;
        return Ok(Err(format!("> {} s", TOO_LONG.as_secs())));
    };
    let text = |file: &mut std::fs::File| -> Result<String> {
        let mut bytes = Vec::new();
        file.rewind()?;
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let said = text(&mut errors)?;
    if !status.success() {
        let first = said.lines().find(|line| !line.is_empty()).unwrap_or_default();
        return Ok(Err(format!("{status}: {first}")));
    }
    let result = text(&mut output)?;
    let result = result.lines().last().unwrap_or_default();
    // No clock is more precise, and this keeps the file short.
    let round = |result: f64| (result * 100.0).round() / 100.0;
    Ok(result.parse().map(round).map_err(|_| format!("no result: {result}")))
}

/// Sets the environment of a measurement, independent of the caller's.
pub(crate) fn in_environment(mut command: Command, measurement: &str) -> Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("LOCKDEP") || name_text.ends_with("BACKTRACE") {
            command.env_remove(&name);
        }
    }
    match measurement {
        plan::WITH_BACKTRACES => command.env("RUST_LIB_BACKTRACE", "1"),
        plan::WITHOUT_BACKTRACES => command.env("LOCKDEP_BACKTRACE", "0"),
        _ => &mut command,
    };
    command
}
