//! `cargo lockdep report`: a report from records on disk, such as those of programs that check
//! their own locks, of other machines, or of CI shards.

use std::{
    collections::BTreeSet,
    fs, io,
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
    /// The folders with the records, searched recursively; if there are none, the last run is read
    #[arg(value_name = "DIR")]
    folders: Vec<PathBuf>,
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
    /// Merges the records. A folder without any is an error.
    pub(crate) fn read(mut self) -> Result<Report> {
        if self.folders.is_empty() {
            let last_run = project::last_run_here()?;
            if !last_run.is_dir() {
                return Err("no run has left records here: run `cargo lockdep test`, or name a folder with \
                            records"
                    .to_owned());
            }
            self.folders.push(last_run);
        }
        let mut folders = BTreeSet::new();
        for folder in &self.folders {
            let name = folder.display();
            let before = folders.len();
            let folder = folder.canonicalize().map_err(cannot(format!("read {name}")))?;
            find(&folder, &mut folders).map_err(cannot(format!("read {name}")))?;
            if folders.len() == before && !folders.iter().any(|it| it.starts_with(&folder)) {
                return Err(format!("there is no record in {name}: no file ends in `.jsonl`"));
            }
        }
        let folders: Vec<_> = folders.into_iter().collect();
        let levels = Levels::new(self.levels);
        Report::read(&folders, &levels, BTreeSet::new(), Sources::here())
    }
}

/// Collects the folders with records, recursively.
fn find(folder: &Path, found: &mut BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        // Links are not followed, because they may form a cycle.
        if entry.file_type()?.is_dir() {
            find(&entry.path(), found)?;
        } else if entry.path().extension().is_some_and(|kind| kind == "jsonl" || kind == "counts") {
            // A program that acquires no lock writes no record, only its counts.
            found.insert(folder.to_owned());
        }
    }
    Ok(())
}
