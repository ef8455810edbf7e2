//! A run: cargo builds and runs the program with checked locks, and the findings are reported.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
    process::{self, Command, ExitCode},
    time::{SystemTime, UNIX_EPOCH},
};

use clap::ValueEnum;

use super::{
    interrupt::Interrupts,
    messages::{self, Messages},
};
use crate::{
    Result,
    arguments::{self, Check, NEXTEST, Options},
    cannot, cannot_start,
    cargo_options::packages,
    environment,
    exit_code::verdict,
    outcomes::{self, Note, Outcome},
    project::Project,
    report::{
        Report,
        formats::{human, print},
        inputs::Inputs,
        levels::{self, Levels},
    },
    rustc::{runtime, sources::Sources},
    selection::Selection,
};

/// Cargo's exit status for an unknown option.
const CARGOS_USAGE: i32 = 1;

/// How long a wait for a lock may last before the process reports it, unless `LOCKDEP_WATCHDOG` is
/// set.
const WATCHDOG: &str = "30s";

/// Returns the signals on which the processes report what their threads wait for: those of Ctrl-C, of
/// timeouts in CI and nextest, and of a terminal that is closed, and those that the environment names.
fn signals(named: Option<&str>) -> String {
    const ENDINGS: &str = "INT,TERM,HUP";
    named
        .filter(|named| !named.trim().is_empty())
        .map_or_else(|| ENDINGS.to_owned(), |named| format!("{named},{ENDINGS}"))
}

/// Runs cargo and reports what was found. `after` goes to the tests or the program.
pub(crate) fn run(check: Check, after: &[OsString]) -> Result<ExitCode> {
    let (subcommand, mut options) = check.into_parts();
    let config = options.take_config()?;
    let project = Project::find(&mut options.cargo)?;
    let sources = Sources::of(&project.workspace.root);
    if subcommand == NEXTEST {
        look_for_nextest(&project)?;
    }
    let mut selection = selection(&project, &options)?;
    let plan = options.wanted.beside_a_run(&project.target_folder.join("lockdep"))?;
    let messages = Messages::wanted(&options.cargo).filter(|_| subcommand != NEXTEST);
    if messages.is_some() && plan.prints() {
        return Err(
            "`--output -` and `--message-format json` both write to standard output".to_owned()
        );
    }
    let folder = runtime::prepare(&project)?;
    let records = Records::new(options.records.as_deref(), &folder, project.last_run())?;

    let interrupts = Interrupts::new()?;
    let ended = loop {
        let mut cargo = cargo(&project, subcommand, config.as_deref(), &records.path);
        let build_folder = runtime::build_folder(&folder, &selection);
        // Leaves the user's own build untouched.
        cargo.arg("--target-dir").arg(&build_folder);
        project.keep_out_of_build_folder(&mut cargo, &build_folder);
        set_wrapper(&mut cargo, &project, &folder, &selection)?;
        cargo.args(&options.cargo).args(after);
        let run =
            |cargo: &mut Command| interrupts.status(cargo, subcommand == NEXTEST, &records.path);
        let (ended, failed) = match messages {
            Some(_) => messages::separate(cargo, run)?,
            None => (run(&mut cargo)?, Vec::new()),
        };
        let notes = runtime::notes(&folder, &selection);
        let failures = outcomes::take_failures(&records.path);
        if ended.signal.is_some() || !exclude(&mut selection, &failures, &notes) {
            print(&String::from_utf8_lossy(&failed))?;
            break ended;
        }
    };

    let named = packages(&options.cargo);
    let packages = if named.is_empty() { &project.members } else { &named };
    let notes = outcomes::of_run(&runtime::notes(&folder, &selection), &records.path, packages);
    let levels = Levels::new(options.levels.clone());
    let inputs =
        Inputs::of_folder(&records.path).map_err(cannot("read the records of this run"))?;
    let mut report = Report::read(&inputs, &levels, notes, sources)?;
    report.ended_by = ended.signal_name();
    report.workspace = Some(project.workspace);
    if report.counts.processes == 0
        && let Some(why) = &mut report.nothing
    {
        *why = why_nothing_ran(&options).unwrap_or_else(|| why.clone());
    }
    // If nothing was built, cargo has reported why.
    if ended.status.success() || ended.signal.is_some() || !is_empty(&records.path) {
        eprint!("{}", human::text(&report));
        plan.write(&report)?;
        messages.map_or(Ok(()), |messages| messages.write(&report))?;
    } else if let (Some(CARGOS_USAGE), Some(option)) =
        (ended.status.code(), arguments::ours_among(&options.cargo))
    {
        eprintln!(
            "lockdep: `{option}` is an option of cargo lockdep; place it before cargo's arguments"
        );
    }
    Ok(if ended.status.success() { verdict(&report) } else { ended.code() })
}

/// Returns the call of cargo, without cargo's own arguments, and with the settings of the processes.
fn cargo(project: &Project, subcommand: &[&str], config: Option<&Path>, records: &Path) -> Command {
    let mut cargo = Command::new(&project.cargo);
    cargo.args(subcommand).arg("--target").arg(&project.target);
    let named = |name: &str| env::var(name).ok().filter(|value| !value.trim().is_empty());
    let mut set = |name: &str, value: &OsStr| {
        cargo.env(format!("{}{name}", environment::OF_RUNTIME), value);
    };
    set("LOCKDEP", levels::of_processes().as_ref());
    set("LOCKDEP_OUT", records.as_ref());
    // This program decides on the exit status.
    set("LOCKDEP_EXIT", "0".as_ref());
    set("LOCKDEP_SIGNAL", signals(named("LOCKDEP_SIGNAL").as_deref()).as_ref());
    let watchdog = named("LOCKDEP_WATCHDOG");
    set("LOCKDEP_WATCHDOG", watchdog.as_deref().unwrap_or(WATCHDOG).as_ref());
    for name in ["LOCKDEP_BACKTRACE", "LOCKDEP_CONFIG", "LOCKDEP_SERVICE"] {
        if let Some(value) = env::var_os(name) {
            set(name, &value);
        }
    }
    let root = &project.workspace.root;
    set("LOCKDEP_SOURCE", root.as_ref());
    let of_project = || config_elsewhere(root).filter(|_| env::var_os("LOCKDEP_CONFIG").is_none());
    if let Some(config) = config.map(Path::to_owned).or_else(of_project) {
        set("LOCKDEP_CONFIG", config.as_ref());
        cargo.env("LOCKDEP_CONFIG", config);
    }
    // A lockdep on which the program depends itself keeps its settings, and records what it finds.
    cargo.env("LOCKDEP_OUT", records).env("LOCKDEP_SOURCE", root);
    cargo.env(environment::COUNTS, records);
    cargo
}

/// Returns the `lockdep.toml` of the workspace, which a program that runs elsewhere does not find.
fn config_elsewhere(root: &Path) -> Option<PathBuf> {
    let is_elsewhere = env::current_dir().is_ok_and(|folder| !folder.starts_with(root));
    let config = root.join("lockdep.toml");
    (is_elsewhere && config.exists()).then_some(config)
}

/// Chooses the real locks for crates that did not compile next to checked ones, and for all crates below them. Returns
/// `true` if that is a reason to build again.
fn exclude(selection: &mut Selection, failures: &[Note], notes: &Path) -> bool {
    let mut are_new = false;
    for failure in failures {
        let is_new = selection.exclude(failure.package_name(), failure.outcome.clone());
        let mut count = 0;
        for note in outcomes::below(notes, &failure.needs).values() {
            let why = Outcome::FellBackFor(failure.package.clone());
            count += u64::from(selection.exclude(note.package_name(), why));
        }
        if is_new || count > 0 {
            eprintln!(
                "lockdep: building again, with the real locks in {} and the {} that it depends on",
                failure.package,
                human::count(count, "package", "packages")
            );
            are_new = true;
        }
    }
    are_new
}

/// Returns the option because of which no process has run with checked locks.
fn why_nothing_ran(options: &Options) -> Option<String> {
    if options.cargo.iter().any(|argument| argument == "--no-run") {
        return Some("`--no-run` runs no program".to_owned());
    }
    if !options.only.is_empty() {
        let names = options
            .only
            .iter()
            .filter_map(|locks| Some(locks.to_possible_value()?.get_name().to_owned()));
        let names = names.collect::<Vec<_>>().join(",");
        return Some(format!("no program has the locks of `--only {names}`"));
    }
    let chosen = options.crates.as_ref().map(|crates| format!("--crates {}", crates.join(",")));
    let chosen = chosen.or_else(|| options.no_deps.then(|| "--no-deps".to_owned()))?;
    Some(format!("no program has the packages of `{chosen}`"))
}

/// The folder for the records of this run.
struct Records {
    path: PathBuf,
    /// Where they go in the end, if they are not kept as they are.
    last_run: Option<PathBuf>,
}

impl Records {
    /// Creates a new folder in the one that is named, where it is kept, or in the runtime's.
    fn new(named: Option<&Path>, runtime: &Path, last_run: PathBuf) -> Result<Self> {
        let path = new_folder(named.unwrap_or(&runtime.join("records")))?;
        Ok(Self { path, last_run: named.is_none().then_some(last_run) })
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        let Some(last_run) = &self.last_run else { return };
        // A run that built nothing leaves those of the last one. An error costs no more than the records: the report
        // contains all of them.
        if !is_empty(&self.path) {
            let _ = fs::remove_dir_all(last_run);
            let _ = fs::rename(&self.path, last_run);
        }
        let _ = fs::remove_dir_all(&self.path);
    }
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
/// configured. Not through `RUSTC_WRAPPER`, which tests that call cargo would inherit.
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
    // A JSON string is also a TOML string.
    let this = serde_json::Value::from(this.to_string_lossy());
    for (key, variable, ours, theirs) in [
        ("build.rustc-wrapper", "RUSTC_WRAPPER", environment::INNER, &project.rustc_wrapper),
        ("build.rustdoc", "RUSTDOC", environment::RUSTDOC, &project.rustdoc),
    ] {
        if let Some(theirs) = theirs {
            cargo.env(ours, theirs);
        }
        cargo.env_remove(variable).arg("--config").arg(format!("{key}={this}"));
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
        assert_eq!(signals(None), "INT,TERM,HUP");
        assert_eq!(signals(Some(" ")), "INT,TERM,HUP");
        assert_eq!(signals(Some("USR1")), "USR1,INT,TERM,HUP");
    }
}
