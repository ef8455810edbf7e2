//! The command line: our options, and those that are passed to cargo.

use std::{
    ffi::OsString,
    mem,
    path::{Path, PathBuf},
};

use clap::{Args, Parser, Subcommand};

use crate::{
    Result, cannot,
    cmd::{explain::Explanation, order, records, report},
    report::{formats::Wanted, levels::Change},
    selection::Locks,
};

/// Checks the locks of a whole program, dependencies included, without touching its source
#[derive(Debug, Parser)]
#[command(name = "cargo lockdep", bin_name = "cargo lockdep", version, after_help = AFTER)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER: &str = "\
Exit status: that of the tests or the program if it is not 0; otherwise 100 if a finding is denied,
101 for an error of cargo lockdep itself, and 0 if there is neither.";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Check(Action),
    /// Reports the findings of records on disk
    Report(report::Options),
    /// Proposes a lock order, from records on disk, and shows which acquisitions contradict it
    Order(order::Options),
    /// Writes the nestings in records on disk as rows, a JSON object for each, for databases
    Records(records::Options),
    /// Explains a kind of finding: an example, and how to fix it
    Explain {
        /// The kind of finding; without it, all are listed
        #[arg(value_enum)]
        kind: Option<Explanation>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    #[command(flatten)]
    Check(Check),
    /// Lists which packages use which locks, and whether these will be checked
    Doctor {
        /// Options of `cargo metadata`
        #[arg(
            trailing_var_arg = true,
            allow_hyphen_values = true,
            value_name = "CARGO'S ARGUMENTS"
        )]
        cargo: Vec<OsString>,
    },
}

/// The cargo subcommand that builds and runs the program.
#[derive(Debug, Subcommand)]
pub(crate) enum Check {
    /// Runs `cargo test` with checked locks and reports what it finds
    Test(Options),
    /// Runs `cargo run` with checked locks and reports what it finds
    Run(Options),
    /// Runs `cargo bench` with checked locks and reports what it finds
    Bench(Options),
    /// Runs `cargo nextest run` with checked locks and reports what it finds
    Nextest(Options),
}

impl Options {
    /// Returns the `lockdep.toml` that `--config` names. Hands what else it says to cargo, which has an option of this
    /// name: `KEY=VALUE`, unless there is such a file.
    pub(crate) fn take_config(&mut self) -> Result<Option<PathBuf>> {
        let mut ours = None;
        let mut cargos = Vec::new();
        for config in mem::take(&mut self.configs) {
            let path = Path::new(&config);
            if !path.exists() && config.to_string_lossy().contains('=') {
                cargos.extend(["--config".into(), config]);
                continue;
            }
            let name = path.display();
            let path = path.canonicalize().map_err(cannot(format!("read {name}")))?;
            if ours.replace(path).is_some() {
                return Err("`--config` names more than one `lockdep.toml`".to_owned());
            }
        }
        self.cargo.splice(..0, cargos);
        Ok(ours)
    }
}

impl Check {
    /// Returns cargo's subcommand and our options.
    pub(crate) fn into_parts(self) -> (&'static [&'static str], Options) {
        match self {
            Self::Test(options) => (&["test"], options),
            Self::Run(options) => (&["run"], options),
            Self::Bench(options) => (&["bench"], options),
            Self::Nextest(mut options) => {
                // `cargo lockdep nextest run` means the same as `cargo lockdep nextest`.
                if options.cargo.first().is_some_and(|first| first == "run") {
                    options.cargo.remove(0);
                }
                (&NEXTEST, options)
            }
        }
    }
}

pub(crate) const NEXTEST: [&str; 2] = ["nextest", "run"];

#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Sets the level of a kind of finding (`inversion=warn`, `wait_while_holding.recv=warn`) or of
    /// all kinds (`deny`)
    #[arg(long = "level", value_name = "[KIND=]LEVEL", value_delimiter = ',')]
    pub(crate) levels: Vec<Change>,
    /// The `lockdep.toml` with the findings to silence. With `KEY=VALUE`, it is cargo's option
    #[arg(long = "config", value_name = "FILE")]
    configs: Vec<OsString>,
    #[command(flatten)]
    pub(crate) wanted: Wanted,
    /// Keeps the records for `cargo lockdep report`, in a new folder below this one
    #[arg(long, value_name = "DIR")]
    pub(crate) records: Option<PathBuf>,
    /// Checks only the locks of these crates
    #[arg(long, value_name = "LOCKS", value_delimiter = ',')]
    pub(crate) only: Vec<Locks>,
    /// Checks only the locks of these packages
    #[arg(long, value_name = "PACKAGES", value_delimiter = ',')]
    pub(crate) crates: Option<Vec<String>>,
    /// Checks only the locks of the workspace's own packages
    #[arg(long, conflicts_with = "crates")]
    pub(crate) no_deps: bool,
    /// Cargo's own arguments; our options go before them. With `--message-format json`, findings
    /// are messages as well, so that editors show them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "CARGO'S ARGUMENTS")]
    pub(crate) cargo: Vec<OsString>,
}

/// Parses the command line. For subcommands that run something, `--` and the arguments after it are
/// split off first, because they go to the tests or the program unchanged and clap would swallow
/// the `--`.
pub(crate) fn parse(mut arguments: Vec<OsString>) -> (Arguments, Vec<OsString>) {
    let runs =
        arguments.first().is_some_and(|command| Check::has_subcommand(&command.to_string_lossy()));
    let end = arguments.iter().position(|argument| runs && argument == "--");
    let after = arguments.split_off(end.unwrap_or(arguments.len()));
    let name = OsString::from("cargo lockdep");
    (Arguments::parse_from(std::iter::once(name).chain(arguments)), after)
}

/// Returns the first of our options among cargo's arguments. Such an argument may belong to the
/// program instead. `--config` is an option of cargo as well.
pub(crate) fn ours_among(cargo: &[OsString]) -> Option<&str> {
    let ours = Options::augment_args(clap::Command::new("cargo lockdep"));
    let is_ours = |name: &str| {
        let mut names = ours.get_arguments().filter_map(clap::Arg::get_long);
        name != "config" && names.any(|ours| ours == name)
    };
    let options = cargo.iter().filter_map(|argument| argument.to_str()?.split('=').next());
    options.into_iter().find(|option| option.strip_prefix("--").is_some_and(is_ours))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<OsString> {
        text.split_whitespace().map(OsString::from).collect()
    }

    fn parts(text: &str) -> (&'static [&'static str], Options, Vec<OsString>) {
        let (arguments, after) = parse(words(text));
        let Command::Check(Action::Check(check)) = arguments.command else {
            panic!("{text} checks nothing")
        };
        let (command, options) = check.into_parts();
        (command, options, after)
    }

    #[test]
    fn unknown_arguments_are_passed_to_cargo() {
        let (command, options, after) =
            parts("test --level inversion=warn --workspace -p x --config k=v -- --nocapture");
        assert_eq!(command, ["test"]);
        assert_eq!(options.levels.len(), 1);
        assert_eq!(options.cargo, words("--workspace -p x --config k=v"));
        assert_eq!(after, words("-- --nocapture"));
    }

    /// Cargo has an option of the same name.
    #[test]
    fn a_config_is_ours_if_it_is_a_file() {
        let take = |text: &str| {
            let (_, mut options, _) = parts(text);
            (options.take_config(), options.cargo)
        };
        let (ours, cargo) =
            take("test --config profile.dev.opt-level=1 --config Cargo.toml --config a.b=c -p x");
        assert!(ours.unwrap().is_some_and(|path| path.ends_with("cargo-lockdep/Cargo.toml")));
        assert_eq!(cargo, words("--config profile.dev.opt-level=1 --config a.b=c -p x"));
        let (ours, cargo) = take("test -p x --config Cargo.toml");
        assert_eq!((ours, cargo), (Ok(None), words("-p x --config Cargo.toml")));
        let (missing, _) = take("test --config no.toml");
        assert!(missing.is_err_and(|error| error.starts_with("cannot read no.toml: ")));
        let (two, _) = take("test --config Cargo.toml --config build.rs");
        assert_eq!(two, Err("`--config` names more than one `lockdep.toml`".to_owned()));
    }

    #[test]
    fn what_is_the_programs_stays_the_programs() {
        let (command, options, after) = parts("run -- --level 3 -- x");
        assert_eq!((command[0], options.levels.len(), options.cargo.len()), ("run", 0, 0));
        assert_eq!(after, words("-- --level 3 -- x"));
    }

    #[test]
    fn nothing_is_lost_where_no_program_is_run() {
        let (arguments, after) = parse(words("report a -- --format"));
        let Command::Report(options) = arguments.command else { panic!("it is a report") };
        assert!(format!("{options:?}").contains(r#"["a", "--format"]"#), "{options:?}");
        assert!(after.is_empty());
    }

    #[test]
    fn ours_is_known_behind_cargos() {
        for (text, expected) in [
            ("-p x --level=warn", Some("--level")),
            ("x --format json", Some("--format")),
            ("--message-format json --levels", None),
        ] {
            assert_eq!(ours_among(&words(text)), expected);
        }
    }

    /// Our options go first, also in the documentation.
    #[test]
    fn commands_of_the_documentation_are_understood() {
        let docs = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs");
        let mut count = 0;
        for page in ["ci.md", "cargo-lockdep.md", "editors.md"] {
            let text = std::fs::read_to_string(docs.join(page)).unwrap();
            let lines = text.lines().map(|line| line.trim_start_matches([' ', '-']));
            let commands = lines.filter_map(|line| {
                line.strip_prefix("run: ").unwrap_or(line).strip_prefix("cargo lockdep ")
            });
            for command in commands.filter(|it| !it.contains('[')) {
                let command = command.split(" #").next().unwrap();
                let (arguments, _) = parse(words(command));
                if let Command::Check(Action::Check(check)) = arguments.command {
                    let (_, options) = check.into_parts();
                    assert_eq!(ours_among(&options.cargo), None, "{page}: {command}");
                    count += 1;
                }
            }
        }
        assert!(count > 4, "{count} commands");
    }

    #[test]
    fn nextest_run_is_nextest() {
        for text in ["nextest -p x", "nextest run -p x"] {
            let (command, options, _) = parts(text);
            assert_eq!((command, options.cargo), (&NEXTEST[..], words("-p x")));
        }
    }

    #[test]
    fn locks_and_crates_are_selected() {
        let (_, options, _) = parts("test --only std,parking_lot --crates a,b --release");
        assert_eq!(options.only, [Locks::Std, Locks::ParkingLot]);
        assert_eq!(options.crates.unwrap(), ["a", "b"]);
        assert_eq!(options.cargo, words("--release"));
    }
}
