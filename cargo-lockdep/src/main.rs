//! `cargo lockdep`: checks the locks of a whole program, its dependencies included, without
//! touching its source.
//!
//! It builds a crate that goes by the name of `std` and has checked locks ([`runtime`]), has
//! cargo build the program with it ([`wrapper`], which is this same program when cargo calls it
//! in rustc's place), and reports what the processes wrote down ([`report`], [`formats`]). Records that are on disk already
//! are [collected](collect), and each kind of finding is [explained](explain).

mod arguments;
mod attempt;
mod cargo_options;
mod check;
mod choice;
mod collect;
mod diagnostics;
mod doctor;
mod environment;
mod explain;
mod formats;
mod levels;
mod line_tables;
mod lock_types;
mod notes;
mod project;
mod real;
mod report;
mod runtime;
mod sources;
mod stand_in;
mod treatment;
mod unit;
mod unseen;
mod verdict;
mod wrapper;

use std::{
    env,
    ffi::OsString,
    fmt::Display,
    io,
    path::Path,
    process::{self, ExitCode},
};

use arguments::{Action, Command};

/// A message for people, complete.
type Result<T> = std::result::Result<T, String>;

fn main() -> ExitCode {
    let mut arguments: Vec<_> = env::args_os().skip(1).collect();
    // As cargo calls its subcommands.
    let by_cargo = arguments.first().is_some_and(|first| first == "lockdep");
    let result = match env::var_os(environment::FOLDER) {
        Some(folder) if !by_cargo => wrapper::run(Path::new(&folder), &arguments),
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
        ExitCode::from(verdict::OUR_ERROR)
    })
}

fn ours(arguments: Vec<OsString>) -> Result<ExitCode> {
    let (ours, after) = arguments::parse(arguments);
    match ours.command {
        Command::Check(Action::Check(check)) => check::run(check, after),
        Command::Check(Action::Doctor { cargo }) => doctor::run(cargo),
        Command::Report(options) => collect::run(options),
        Command::Explain { kind } => {
            formats::print(&explain::text(kind.as_ref()))?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// A message of what we could not do, and why.
fn cannot<E: Display>(what: impl Display) -> impl FnOnce(E) -> String {
    move |error| format!("cannot {what}: {error}")
}

/// A message for a program that did not start.
fn cannot_start(command: &process::Command) -> impl FnOnce(io::Error) -> String {
    cannot(format!("start `{}`", command.get_program().display()))
}
