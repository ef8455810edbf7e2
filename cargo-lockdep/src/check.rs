//! One run: cargo builds and runs the program with the checked std, and we say what was found.

use std::{
    env,
    ffi::OsString,
    fs,
    path::Path,
    process::{self, Command, ExitCode},
    time::{SystemTime, UNIX_EPOCH},
};

use crate::{
    Result, arguments, cannot, cannot_start,
    choice::Choice,
    levels::{self, Levels},
    notes,
    project::Project,
    report::Report,
    runtime, wrapper,
};

/// In the environment, the folder of records: where processes write how much they have seen.
pub(crate) const COUNTS: &str = "CARGO_LOCKDEP_COUNTS";

/// The exit status if something was found that is denied.
const DENIED: u8 = 100;
/// The exit status if we could not do our work.
pub(crate) const OUR_ERROR: u8 = 101;

pub(crate) fn run(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (ours, after) = arguments::parse(arguments);
    let (subcommand, mut options) = ours.command.into_parts();
    if let Some(config) = &mut options.config {
        let name = config.display().to_string();
        *config = config.canonicalize().map_err(cannot(format!("read {name}")))?;
    }
    let choice = Choice::new(&options.only, options.crates);
    let project = Project::find(&mut options.cargo)?;
    let folder = runtime::prepare(&project)?;
    let records = new_folder(&folder.join("records"))?;

    let mut cargo = Command::new(&project.cargo);
    cargo
        .arg(subcommand)
        .arg("--target")
        .arg(&project.target)
        // The user's own build stays as it is.
        .arg("--target-dir")
        .arg(runtime::build_folder(&folder, &choice))
        .args(&options.cargo)
        .args(after);
    set_wrapper(&mut cargo, &folder, &choice)?;
    cargo
        .env("LOCKDEP", levels::OF_PROCESSES)
        .env("LOCKDEP_OUT", &records)
        .env(COUNTS, &records)
        // The verdict is ours.
        .env("LOCKDEP_EXIT", "0");
    if let Some(config) = options.config {
        cargo.env("LOCKDEP_CONFIG", config);
    }
    let status = cargo.status().map_err(cannot_start(&cargo))?;

    let report = Report::read(&records, &Levels::new(options.levels))?;
    eprint!("{}", report.text(&notes::of_run(&runtime::notes(&folder, &choice), &records)));
    // What it says is told.
    let _ = fs::remove_dir_all(&records);
    Ok(if !status.success() {
        wrapper::code(status)
    } else if report.is_denied() {
        ExitCode::from(DENIED)
    } else {
        ExitCode::SUCCESS
    })
}

/// Puts this program in rustc's and rustdoc's place, before those that are there already.
fn set_wrapper(cargo: &mut Command, folder: &Path, choice: &Choice) -> Result<()> {
    let this = env::current_exe().map_err(cannot("find this program's own file"))?;
    cargo.env(wrapper::FOLDER, folder);
    cargo.env(wrapper::CHOICE, choice.to_text().map_err(cannot("say what is to be checked"))?);
    for (variable, ours) in [("RUSTC_WRAPPER", wrapper::INNER), ("RUSTDOC", wrapper::RUSTDOC)] {
        if let Some(theirs) = env::var_os(variable).filter(|theirs| !theirs.is_empty()) {
            cargo.env(ours, theirs);
        }
        cargo.env(variable, &this);
    }
    Ok(())
}

/// A folder for the records of this run alone.
fn new_folder(parent: &Path) -> Result<std::path::PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let folder = parent.join(format!("{now}-{}", process::id()));
    fs::create_dir_all(&folder).map_err(cannot(format!("write to {}", folder.display())))?;
    Ok(folder)
}
