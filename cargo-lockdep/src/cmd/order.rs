//! `cargo lockdep order`: the lock order that the nestings in records on disk propose.

use std::process::ExitCode;

use super::report::Records;
use crate::{
    Result, exit_code,
    report::formats::{Wanted, human, order::Format},
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    records: Records,
    #[command(flatten)]
    wanted: Wanted<Format>,
}

/// Findings do not change the exit status: this is a proposal, and `cargo lockdep report` has the verdict.
pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let plan = options.wanted.alone()?;
    let report = options.records.read()?;
    plan.write(&report)?;
    if !plan.tells_people() {
        eprint!("{}", human::summary(&report));
    }
    Ok(exit_code::of_reading(&report))
}
