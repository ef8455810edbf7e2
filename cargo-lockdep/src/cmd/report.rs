//! `cargo lockdep report`: a report from records on disk, such as those of programs that check
//! their own locks, of other machines, or of CI shards.

use std::{collections::BTreeSet, process::ExitCode};

use crate::{
    Result,
    exit_code::verdict,
    project::Workspace,
    report::{
        Report,
        formats::{Format, Wanted, human},
        inputs::Paths,
        levels::{Change, Levels},
    },
    rustc::sources::Sources,
};

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    #[command(flatten)]
    records: Records,
    #[command(flatten)]
    wanted: Wanted,
}

/// The records to read.
#[derive(Debug, clap::Args)]
pub(crate) struct Records {
    #[command(flatten)]
    paths: Paths,
    /// Sets the level of a kind of finding (`inversion=warn`) or of all kinds (`deny`)
    #[arg(long = "level", value_name = "[KIND=]LEVEL", value_delimiter = ',')]
    levels: Vec<Change>,
}

pub(crate) fn run(options: Options) -> Result<ExitCode> {
    let plan = options.wanted.alone()?;
    let mut report = options.records.read()?;
    if plan.has(Format::Rustc) {
        report.workspace = Workspace::here();
    }
    plan.write(&report)?;
    if !plan.tells_people() {
        eprint!("{}", human::summary(&report));
    }
    Ok(verdict(&report))
}

impl Records {
    /// Merges the records.
    pub(crate) fn read(self) -> Result<Report> {
        let levels = Levels::new(self.levels);
        Report::read(&self.paths.inputs()?, &levels, BTreeSet::new(), Sources::here())
    }
}
