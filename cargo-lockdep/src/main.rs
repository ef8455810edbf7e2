//! `cargo lockdep`: checks the locks of a whole program, its dependencies included, without
//! touching its source.
//!
//! It builds a replacement for `std` that has checked locks ([`runtime`]), makes cargo build the
//! program with it ([`rustc`]: cargo calls this same program in place of rustc), and reports what
//! the processes recorded ([`report`], [`formats`]). It also reports from [existing
//! records](report), proposes a [lock order](report::order) from them and [explains](explain) each kind of finding.

mod arguments;
mod cargo_options;
mod cmd;
mod environment;
mod exit_code;
mod outcomes;
mod project;
mod report;
mod rustc;
mod selection;

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    io,
    path::Path,
    process::{self, ExitCode},
};

use arguments::{Action, Command};

/// The error is a complete message for the user.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    // Cargo passes the name of the subcommand first.
    let by_cargo = arguments.first().is_some_and(|first| first == "lockdep");
    let result = match env::var_os(environment::FOLDER) {
        Some(folder) if !by_cargo => rustc::run(Path::new(&folder), &arguments),
        _ => {
            if by_cargo {
                arguments.remove(0);
            }
            ours(arguments)
        }
    };
    result.unwrap_or_else(|message| {
        if !message.is_empty() {
            eprintln!("error: {message}");
        }
        ExitCode::from(exit_code::OUR_ERROR)
    })
}

fn ours(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (ours, after) = arguments::parse(arguments);
    match ours.command {
        Command::Check(Action::Check(check)) => cmd::run::run(check, &after),
        Command::Check(Action::Doctor { cargo }) => cmd::doctor::run(cargo),
        Command::Report(options) => cmd::report::run(options),
        Command::Order(options) => cmd::order::run(options),
        Command::Records(options) => cmd::records::run(options),
        Command::Explain { kind } => {
            report::formats::print(&cmd::explain::text(kind.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// Returns an error message that says what failed and why.
fn cannot<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

/// Returns an error message for a program that did not start.
fn cannot_start(command: &process::Command) -> impl FnOnce(io::Error) -> String {
    cannot(format!("start `{}`", command.get_program().display()))
}
