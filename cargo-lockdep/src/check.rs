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
    Result,
    arguments::{Action, take_option},
    cannot, cannot_start,
    formats::human,
    levels::{self, Levels},
    notes,
    project::Project,
    report::Report,
    runtime::{self, BUILD, NOTES},
    sources::Sources,
    wrapper,
};

/// The exit status if something was found that is denied.
const DENIED: u8 = 100;
/// The exit status if we could not do our work.
pub(crate) const OUR_ERROR: u8 = 101;

pub(crate) fn run(action: Action, after: Vec<OsString>) -> Result<ExitCode> {
    let (subcommand, mut options) = action.into_parts();
    if let Some(config) = &mut options.config {
        let name = config.display().to_string();
        *config = config.canonicalize().map_err(cannot(format!("read {name}")))?;
    }
    let sources = match take_option(&mut options.cargo.clone(), "--manifest-path")? {
        Some(manifest) => Sources::of(Path::new(&manifest).parent().unwrap_or(Path::new("."))),
        None => Sources::here(),
    };
    let project = Project::find(&mut options.cargo)?;
    let plan = options.wanted.beside_a_run(&project.target_folder.join("lockdep"))?;
    let folder = runtime::prepare(&project)?;
    let records = new_folder(options.records.as_deref().unwrap_or(&folder.join("records")))?;

    let mut cargo = Command::new(&project.cargo);
    cargo
        .arg(subcommand)
        .arg("--target")
        .arg(&project.target)
        // The user's own build stays as it is.
        .arg("--target-dir")
        .arg(folder.join(BUILD))
        .args(&options.cargo)
        .args(after);
    set_wrapper(&mut cargo, &folder)?;
    cargo
        .env("LOCKDEP", levels::OF_PROCESSES)
        .env("LOCKDEP_OUT", &records)
        .env("CARGO_LOCKDEP_COUNTS", &records)
        // The verdict is ours.
        .env("LOCKDEP_EXIT", "0");
    if let Some(config) = options.config {
        cargo.env("LOCKDEP_CONFIG", config);
    }
    let status = cargo.status().map_err(cannot_start(&cargo))?;

    let notes = notes::read(&folder.join(NOTES));
    let levels = Levels::new(options.levels);
    let report = Report::read(std::slice::from_ref(&records), &levels, notes, sources)?;
    eprint!("{}", human::text(&report));
    plan.write(&report)?;
    if options.records.is_none() {
        // What it says is told.
        let _ = fs::remove_dir_all(&records);
    }
    Ok(if status.success() { verdict(&report) } else { wrapper::code(status) })
}

/// Our exit status. Who has not read all cannot say that nothing is wrong.
pub(crate) fn verdict(report: &Report) -> ExitCode {
    if report.is_denied() {
        ExitCode::from(DENIED)
    } else if report.unread > 0 {
        ExitCode::from(OUR_ERROR)
    } else {
        ExitCode::SUCCESS
    }
}

/// Puts this program in rustc's and rustdoc's place, before those that are there already.
fn set_wrapper(cargo: &mut Command, folder: &Path) -> Result<()> {
    let this = env::current_exe().map_err(cannot("find this program's own file"))?;
    cargo.env(wrapper::FOLDER, folder);
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
    let cannot_write = || cannot(format!("write to {}", folder.display()));
    fs::create_dir_all(&folder).map_err(cannot_write())?;
    // The processes look for it from where they start.
    std::path::absolute(&folder).map_err(cannot_write())
}
