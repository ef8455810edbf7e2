//! Counts the instructions of one operation, which do not depend on the load of the machine: a peer
//! runs under callgrind, with few repetitions and with more, and the difference is divided.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use crate::rounds::in_environment;

/// Returns the instructions of one operation, if valgrind is installed and the peer ends.
pub(crate) fn count(program: &Path, measurement: &str) -> Option<u64> {
    let (few, more) = (1_000, 6_000);
    let difference = callgrind(program, measurement, more)?.checked_sub(callgrind(
        program,
        measurement,
        few,
    )?)?;
    Some(difference / (more - few))
}

fn callgrind(program: &Path, measurement: &str, times: u64) -> Option<u64> {
    let output = in_environment(Command::new("valgrind"), measurement)
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(program)
        .args([measurement, &times.to_string()])
        .stdout(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    text.lines().find_map(|line| line.split_once("Collected : ")?.1.trim().parse().ok())
}
