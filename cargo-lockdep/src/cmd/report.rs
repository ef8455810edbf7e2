//! `cargo lockdep report`: a report from records on disk, such as those of programs that check
//! their own locks, of other machines, or of CI shards.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    process::ExitCode,
};

use crate::{
    Result, cannot,
    exit_code::verdict,
    project::{self, Workspace},
    report::{
        Report,
        formats::{Format, Wanted, human},
        inputs::Inputs,
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
    /// The folders with the records, searched recursively, or files: records, or logs with their lines; `-` is standard
    /// input. If there are none, the last run is read
    #[arg(value_name = "DIR|FILE")]
    paths: Vec<PathBuf>,
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
    /// Merges the records. A folder or file without any is an error.
    pub(crate) fn read(mut self) -> Result<Report> {
        if self.paths.is_empty() {
            let last_run = project::last_run_here()?;
            if !last_run.is_dir() {
                return Err("no run has left records here: run `cargo lockdep test`, or name a folder with \
                            records"
                    .to_owned());
            }
            self.paths.push(last_run);
        }
        let mut inputs = Inputs::default();
        for path in &self.paths {
            let name = path.display();
            if path == Path::new("-") {
                inputs.add_standard_input();
                continue;
            }
            if !path.metadata().map_err(cannot(format!("read {name}")))?.is_dir() {
                inputs.add_file(path);
                continue;
            }
            // It may be named twice, as a part of another one.
            let folder = path.canonicalize().map_err(cannot(format!("read {name}")))?;
            if !inputs.add_folder(&folder).map_err(cannot(format!("read {name}")))? {
                return Err(format!("there is no record in {name}: no file ends in `.jsonl`"));
            }
        }
        let levels = Levels::new(self.levels);
        Report::read(&inputs, &levels, BTreeSet::new(), Sources::here())
    }
}
