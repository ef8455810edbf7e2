//! Measures the time of a command.

use std::{
    process::{Command, Stdio},
    time::Instant,
};

use anyhow::{Context, Result, ensure};
use nix::sys::{
    resource::{UsageWho, getrusage},
    time::TimeValLike,
};

/// Returns the wall time and the CPU time of a command and all its children, in seconds.
pub(crate) fn time(command: &mut Command) -> Result<(f64, f64)> {
    let (start, before) = (Instant::now(), used()?);
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("cannot run {command:?}"))?;
    let (wall, cpu) = (start.elapsed().as_secs_f64(), used()? - before);
    ensure!(
        output.status.success(),
        "{command:?} fails:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok((wall, cpu))
}

/// Returns the CPU seconds of all children that have ended.
fn used() -> Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok([usage.user_time(), usage.system_time()]
        .iter()
        .map(|time| time.num_microseconds() as f64 / 1e6)
        .sum())
}
