//! A crate of the program, compiled with checked locks. One that does not compile with them is
//! compiled without.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use crate::{
    Result,
    attempt::{Attempt, attempt, pass_on, quietly},
    cannot,
    check::COUNTS,
    diagnostics::first_error,
    notes::{self, Fate, Note},
    runtime::Runtime,
    stand_in::{Calls, StandIn, with_real},
    treatment::Treatment,
    wrapper::{Real, code, through},
};

pub(crate) struct Unit<'a> {
    pub(crate) real: Real,
    /// cargo's, for rustc or rustdoc.
    pub(crate) arguments: &'a [OsString],
    pub(crate) runtime: Runtime,
    /// The folder of all notes.
    pub(crate) notes: PathBuf,
    /// Under this name.
    pub(crate) name: String,
    pub(crate) note: Note,
}

impl Unit<'_> {
    pub(crate) fn compile(&self, treatment: Treatment) -> Result<ExitCode> {
        match treatment {
            Treatment::Check { std } => self.check(self.checked(std)),
            Treatment::Replace(stand_in) => self.replace(stand_in),
            Treatment::Unchosen => {
                self.note(Fate::Unchosen)?;
                through(self.unchecked())
            }
            Treatment::FindRuntime | Treatment::Leave => {
                self.note(Fate::NoStd)?;
                through(self.checked(false))
            }
        }
    }

    /// They use their crate as it was built.
    pub(crate) fn test_examples(&self, treatment: Treatment) -> Result<ExitCode> {
        if let Some(records) = env::var_os(COUNTS) {
            notes::has_run(Path::new(&records), &self.name).map_err(cannot("write a record"))?;
        }
        let is_unchecked = notes::read_one(&self.notes.join(&self.name))
            .is_some_and(|note| matches!(note.fate, Fate::FellBack(_) | Fate::Unchosen));
        let std = treatment == Treatment::Check { std: true };
        through(if is_unchecked { self.unchecked() } else { self.checked(std) })
    }

    /// With checked locks, or else without.
    fn check(&self, checked: Command) -> Result<ExitCode> {
        let error = match attempt(checked)? {
            Attempt::Ended(status) => {
                self.note(Fate::Checked)?;
                return Ok(code(status));
            }
            Attempt::Failed(_, output) => first_error(&output),
        };
        match attempt(self.unchecked())? {
            Attempt::Ended(status) => {
                self.note(Fate::FellBack(error))?;
                Ok(code(status))
            }
            Attempt::Failed(status, output) => {
                pass_on(&output)?;
                if first_error(&output) != error {
                    eprintln!("lockdep: with checked locks, the first error is: {error}");
                }
                Ok(code(status))
            }
        }
    }

    /// The real crate, and then the one that is put in its place.
    fn replace(&self, stand_in: &StandIn) -> Result<ExitCode> {
        let calls = stand_in.calls(self.arguments, &self.runtime);
        let Some(Calls { real, stand_in, files }) = calls else {
            return self.check(self.checked(true));
        };
        let status = quietly(self.command(&real))?;
        if !status.success() {
            return Ok(code(status));
        }
        match attempt(self.command(&stand_in))? {
            Attempt::Ended(status) => {
                self.note(Fate::Replaced)?;
                Ok(code(status))
            }
            Attempt::Failed(_, output) => {
                // All are to have the same one now, also those that fall back.
                for file in files.iter().filter(|file| file.exists()) {
                    fs::remove_file(file).map_err(cannot("fall back"))?;
                }
                self.note(Fate::FellBack(first_error(&output)))?;
                through(self.command(self.arguments))
            }
        }
    }

    fn checked(&self, std: bool) -> Command {
        let mut command = self.command(self.arguments);
        if std {
            self.runtime.add_std(&mut command);
        }
        command
    }

    fn unchecked(&self) -> Command {
        self.command(&with_real(self.arguments, Path::exists))
    }

    fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = self.real.command(arguments);
        self.runtime.add_search(&mut command);
        command
    }

    fn note(&self, fate: Fate) -> Result<()> {
        let note = Note { fate, ..self.note.clone() };
        notes::write(&self.notes, &self.name, &note).map_err(cannot("write down what was done"))
    }
}
