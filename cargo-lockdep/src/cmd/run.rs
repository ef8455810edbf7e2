//! A run: cargo builds and runs the program with checked locks, and the findings are reported.

#[cfg(unix)]
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};
use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode, ExitStatus},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

#[cfg(unix)]
use signal_hook::{consts::SIGINT, flag};

use crate::{
    Result,
    arguments::{self, Check, NEXTEST, Options},
    cannot, cannot_start,
    cargo_options::take_option,
    environment,
    exit_code::verdict,
    outcomes,
    project::Project,
    report::{
        Report,
        formats::human,
        levels::{self, Levels},
    },
    rustc::{real, runtime, sources::Sources},
    selection::Selection,
};

/// Cargo's exit status for an unknown option.
const CARGOS_USAGE: i32 = 1;

/// How long a wait for a lock may last before the process reports it, unless `LOCKDEP_WATCHDOG` is
/// set.
const WATCHDOG: &str = "30s";

/// Returns the signals on which the processes report what their threads wait for: those of Ctrl-C
/// and of timeouts in CI and nextest, and those that the environment names.
fn signals(named: Option<&str>) -> String {
    const ENDINGS: &str = "INT,TERM";
    named
        .filter(|named| !named.trim().is_empty())
        .map_or_else(|| ENDINGS.to_owned(), |named| format!("{named},{ENDINGS}"))
}

/// How long the processes may take to report what their threads wait for, after a signal has ended
/// cargo and them.
const ANSWERS: Duration = Duration::from_secs(2);

/// Waits for the processes that have a record: they may outlive cargo for a moment. Does nothing on
/// systems without `/proc`.
fn wait_for_answers(records: &Path) {
    let begin = Instant::now();
    let runs = |process: &str| Path::new("/proc").join(process).exists();
    while begin.elapsed() < ANSWERS && processes(records).iter().any(|process| runs(process)) {
        thread::sleep(Duration::from_millis(10));
    }
}

/// Returns the ids of the processes that have a record.
fn processes(records: &Path) -> Vec<String> {
    let files = fs::read_dir(records).into_iter().flatten().flatten();
    let number = |name: OsString| {
        let name = name.into_string().ok()?;
        let mut parts = name.strip_suffix(".jsonl")?.rsplit('-');
        Some(parts.nth(1)?.to_owned()).filter(|it| it.bytes().all(|it| it.is_ascii_digit()))
    };
    files.filter_map(|file| number(file.file_name())).collect()
}

/// Runs cargo and reports what was found. `after` goes to the tests or the program.
pub(crate) fn run(check: Check, after: Vec<OsString>) -> Result<ExitCode> {
    let (subcommand, mut options) = check.into_parts();
    if let Some(config) = &mut options.config {
        let name = config.display().to_string();
        *config = config.canonicalize().map_err(cannot(format!("read {name}")))?;
    }
    let sources = match take_option(&mut options.cargo.clone(), "--manifest-path")? {
        Some(manifest) => Sources::of(Path::new(&manifest).parent().unwrap_or(Path::new("."))),
        None => Sources::here(),
    };
    let project = Project::find(&mut options.cargo)?;
    if subcommand == NEXTEST {
        look_for_nextest(&project)?;
    }
    let selection = selection(&project, &options)?;
    let plan = options.wanted.beside_a_run(&project.target_folder.join("lockdep"))?;
    let folder = runtime::prepare(&project)?;
    let records = new_folder(options.records.as_deref().unwrap_or(&folder.join("records")))?;

    let build_folder = runtime::build_folder(&folder, &selection);
    let mut cargo = Command::new(&project.cargo);
    cargo
        .args(subcommand)
        .arg("--target")
        .arg(&project.target)
        // Leaves the user's own build untouched.
        .arg("--target-dir")
        .arg(&build_folder);
    project.keep_out_of_build_folder(&mut cargo, &build_folder);
    cargo.args(&options.cargo).args(after);
    set_wrapper(&mut cargo, &project, &folder, &selection)?;
    cargo
        .env("LOCKDEP", levels::of_processes())
        .env("LOCKDEP_OUT", &records)
        .env(environment::COUNTS, &records)
        // This program decides on the exit status.
        .env("LOCKDEP_EXIT", "0")
        .env("LOCKDEP_SIGNAL", signals(env::var("LOCKDEP_SIGNAL").ok().as_deref()));
    if env::var_os("LOCKDEP_WATCHDOG").is_none_or(|limit| limit.is_empty()) {
        cargo.env("LOCKDEP_WATCHDOG", WATCHDOG);
    }
    if let Some(config) = options.config {
        cargo.env("LOCKDEP_CONFIG", config);
    }
    let status = status(&mut cargo)?;
    // A signal has ended cargo.
    if status.code().is_none() {
        wait_for_answers(&records);
    }

    let notes = outcomes::of_run(&runtime::notes(&folder, &selection), &records);
    let levels = Levels::new(options.levels);
    let report = Report::read(std::slice::from_ref(&records), &levels, notes, sources)?;
    // If nothing was built, cargo has reported why.
    if status.success() || !is_empty(&records) {
        eprint!("{}", human::text(&report));
        plan.write(&report)?;
    } else if let (Some(CARGOS_USAGE), Some(option)) =
        (status.code(), arguments::ours_among(&options.cargo))
    {
        eprintln!(
            "lockdep: `{option}` is an option of cargo lockdep; place it before cargo's arguments"
        );
    }
    if options.records.is_none() {
        // The report contains all of it.
        let _ = fs::remove_dir_all(&records);
    }
    Ok(if status.success() { verdict(&report) } else { real::code(status) })
}

/// Runs cargo. Ctrl-C must still lead to a report, for example of a server. It reaches cargo and
/// the program as well, and we ignore it until both have ended.
#[cfg(unix)]
fn status(cargo: &mut Command) -> Result<ExitStatus> {
    let has_ended = Arc::new(AtomicBool::new(false));
    flag::register_conditional_default(SIGINT, has_ended.clone())
        .map_err(cannot("wait for Ctrl-C"))?;
    let status = cargo.status().map_err(cannot_start(cargo));
    has_ended.store(true, Relaxed);
    status
}

#[cfg(not(unix))]
fn status(cargo: &mut Command) -> Result<ExitStatus> {
    cargo.status().map_err(cannot_start(cargo))
}

/// Returns the selection of locks to check. Rejects names of unknown packages.
fn selection(project: &Project, options: &Options) -> Result<Selection> {
    if let Some(wanted) = &options.crates {
        let packages = project.packages(&options.cargo)?;
        if let Some(unknown) = wanted.iter().find(|name| !packages.contains(*name)) {
            return Err(format!("no package of this program is called `{unknown}`"));
        }
    }
    let members = || project.members.iter().cloned().collect();
    let packages = options.crates.clone().or_else(|| options.no_deps.then(members));
    Ok(Selection::new(&options.only, packages))
}

fn look_for_nextest(project: &Project) -> Result<()> {
    let mut cargo = Command::new(&project.cargo);
    let nextest = cargo.args(["nextest", "--version"]).output().map_err(cannot_start(&cargo))?;
    if nextest.status.success() {
        Ok(())
    } else {
        Err("cargo-nextest is not installed; see https://nexte.st".to_owned())
    }
}

/// Makes cargo call this program in place of rustc and rustdoc. It calls wrappers that are already
/// configured.
fn set_wrapper(
    cargo: &mut Command,
    project: &Project,
    folder: &Path,
    selection: &Selection,
) -> Result<()> {
    let this = env::current_exe().map_err(cannot("find this program's own file"))?;
    cargo.env(environment::FOLDER, folder);
    cargo.env(
        environment::CHOICE,
        selection.to_text().map_err(cannot("serialize the selection of locks"))?,
    );
    for (variable, ours, theirs) in [
        ("RUSTC_WRAPPER", environment::INNER, &project.rustc_wrapper),
        ("RUSTDOC", environment::RUSTDOC, &project.rustdoc),
    ] {
        if let Some(theirs) = theirs {
            cargo.env(ours, theirs);
        }
        cargo.env(variable, &this);
    }
    Ok(())
}

/// Creates a folder for the records of this run.
fn new_folder(parent: &Path) -> Result<PathBuf> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
    let folder = parent.join(format!("{now}-{}", process::id()));
    let cannot_write = || cannot(format!("write to {}", folder.display()));
    fs::create_dir_all(&folder).map_err(cannot_write())?;
    // An absolute path, because the processes run in other folders.
    std::path::absolute(&folder).map_err(cannot_write())
}

fn is_empty(folder: &Path) -> bool {
    fs::read_dir(folder).is_ok_and(|mut files| files.next().is_none())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_that_are_named_are_kept() {
        assert_eq!(signals(None), "INT,TERM");
        assert_eq!(signals(Some(" ")), "INT,TERM");
        assert_eq!(signals(Some("USR1")), "USR1,INT,TERM");
    }
}
