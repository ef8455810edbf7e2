//! Compiles a crate of the program with checked locks. A crate that does not compile with them is
//! compiled with the real ones.

use std::{
    env,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::{Command, ExitCode},
};

use super::{
    classify::Treatment,
    diagnostics::first_error,
    real::{Real, code, through},
    replacement::{CHECKED, Calls, REAL, Replacement, with_aside},
    retry::{Attempt, attempt, pass_on, quietly},
    runtime::{Runtime, Std},
};
use crate::{
    Result, cannot, cannot_start,
    environment::COUNTS,
    outcomes::{self, Note, Outcome, UnknownTasks},
};

pub(crate) struct Unit<'a> {
    pub(crate) real: Real,
    /// Cargo's arguments for rustc or rustdoc.
    pub(crate) arguments: &'a [OsString],
    pub(crate) runtime: Runtime,
    /// The version of its package.
    pub(crate) version: String,
    /// The folder of all notes.
    pub(crate) notes: PathBuf,
    /// The file name of its note.
    pub(crate) name: String,
    pub(crate) note: Note,
}

impl Unit<'_> {
    pub(crate) fn compile(&self, treatment: Treatment) -> Result<ExitCode> {
        match treatment {
            Treatment::Check { std } => self.check(std),
            Treatment::Replace { by, std } => {
                match by.calls(self.arguments, &self.version, &self.runtime) {
                    Some(calls) if by.is_aside => self.accompany(&calls),
                    Some(calls) => self.replace(by, &calls, std),
                    None => self.check(true),
                }
            }
            Treatment::Unchosen => {
                self.note(Outcome::Unchosen)?;
                through(self.unchecked())
            }
            Treatment::FindRuntime | Treatment::Leave => {
                self.note(Outcome::NoStd)?;
                through(self.checked(self.arguments, None))
            }
        }
    }

    /// Compiles and runs doc examples. They use the crate as it was built.
    pub(crate) fn test_examples(&self, treatment: Treatment) -> Result<ExitCode> {
        if let Some(records) = env::var_os(COUNTS) {
            outcomes::has_run(Path::new(&records), &self.name).map_err(cannot("write a record"))?;
        }
        let note = outcomes::read_one(&self.notes.join(&self.name));
        if note
            .as_ref()
            .is_some_and(|it| matches!(it.outcome, Outcome::FellBack(_) | Outcome::Unchosen))
        {
            return through(self.unchecked());
        }
        let facades = self.facades(treatment == Treatment::Check { std: true });
        let lacks_streams = note.is_some_and(|note| note.lacks_streams);
        let std = if lacks_streams { facades.last() } else { facades.first() };
        through(self.checked(self.arguments, std.copied().flatten()))
    }

    /// Returns the versions of std to try, best first, or only the real one if `std` is false.
    fn facades(&self, std: bool) -> Vec<Option<Std>> {
        if std { self.runtime.facades().into_iter().map(Some).collect() } else { vec![None] }
    }

    /// Tries checked locks and streams, then checked locks, then the real ones.
    fn check(&self, std: bool) -> Result<ExitCode> {
        let facades = self.facades(std);
        let with_parts = with_aside(self.arguments, CHECKED, Path::exists);
        let with_parts =
            (with_parts != self.arguments).then_some((&*with_parts, Outcome::CheckedParts));
        let mut error = String::new();
        for (arguments, outcome) in
            with_parts.into_iter().chain([(self.arguments, Outcome::Checked)])
        {
            for &std in &facades {
                match attempt(self.checked(arguments, std))? {
                    Attempt::Ended(status) => {
                        let lacks_streams = std != facades[0];
                        self.write(&Note { outcome, lacks_streams, ..self.note.clone() })?;
                        return Ok(code(status));
                    }
                    Attempt::Failed(_, output) => error = first_error(&output),
                }
            }
        }
        match attempt(self.unchecked())? {
            Attempt::Ended(status) => {
                self.note(Outcome::FellBack(error))?;
                Ok(code(status))
            }
            Attempt::Failed(status, output) => {
                pass_on(&output)?;
                if first_error(&output) != error {
                    eprintln!("lockdep: the first error with checked locks was: {error}");
                }
                Ok(code(status))
            }
        }
    }

    /// Compiles the real crate and a checked one next to it, which may fail. Cargo sees the notices
    /// only after both, so that dependents find both.
    fn accompany(&self, Calls { real, replacement, files, .. }: &Calls) -> Result<ExitCode> {
        let output = |mut command: Command| command.output().map_err(cannot_start(&command));
        let real = output(self.command(real))?;
        if real.status.success() && !output(self.command(replacement))?.status.success() {
            remove(files)?;
        }
        pass_on(&real.stderr)?;
        self.note(Outcome::NoStd)?;
        Ok(code(real.status))
    }

    /// Compiles the real crate, then its replacement.
    fn replace(&self, by: &Replacement, calls: &Calls, std: bool) -> Result<ExitCode> {
        let Some(note) = self.step_aside(by, calls, std)? else {
            // This reports the error.
            return self.check(std);
        };
        match attempt(self.command(&calls.replacement))? {
            Attempt::Ended(status) => {
                self.write(&note)?;
                Ok(code(status))
            }
            Attempt::Failed(_, output) => {
                // From now on every crate must use the same one, also those that fall back.
                remove(&calls.files)?;
                let ended =
                    if std { self.check(std)? } else { through(self.command(self.arguments))? };
                self.note(Outcome::FellBack(first_error(&output)))?;
                Ok(ended)
            }
        }
    }

    /// Compiles the real crate under another name; if it has tasks, so that it reports them, if
    /// that compiles. Returns its note, or `None` if it does not compile.
    fn step_aside(&self, by: &Replacement, calls: &Calls, std: bool) -> Result<Option<Note>> {
        let facades = self.facades(std);
        let reporting = calls.reporting.as_ref().map(|added| [&*calls.real, added].concat());
        let mut unknown_tasks = calls.has_tracing.then_some(UnknownTasks::OwnTracing);
        for (real, reports) in reporting.iter().map(|it| (it, true)).chain([(&calls.real, false)]) {
            for &std in &facades {
                match quietly(self.checked(real, std))? {
                    Attempt::Ended(_) => {
                        return Ok(Some(Note {
                            outcome: Outcome::Replaced,
                            lacks_streams: std != facades[0],
                            has_tasks: by.has_tasks,
                            unknown_tasks: unknown_tasks.filter(|_| !reports),
                            ..self.note.clone()
                        }));
                    }
                    Attempt::Failed(_, output) if reports => {
                        unknown_tasks = Some(UnknownTasks::Incompatible(first_error(&output)));
                    }
                    Attempt::Failed(..) => {}
                }
            }
        }
        Ok(None)
    }

    fn checked(&self, arguments: &[OsString], std: Option<Std>) -> Command {
        let mut command = self.command(arguments);
        if let Some(std) = std {
            self.runtime.add_std(&mut command, std);
        }
        command
    }

    fn unchecked(&self) -> Command {
        self.command(&with_aside(self.arguments, REAL, Path::exists))
    }

    fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = self.real.command(arguments);
        self.runtime.add_search(&mut command);
        command
    }

    fn note(&self, outcome: Outcome) -> Result<()> {
        self.write(&Note { outcome, ..self.note.clone() })
    }

    fn write(&self, note: &Note) -> Result<()> {
        outcomes::write(&self.notes, &self.name, note).map_err(cannot("write a note on the crate"))
    }
}

fn remove(files: &[PathBuf]) -> Result<()> {
    for file in files.iter().filter(|file| file.exists()) {
        fs::remove_file(file).map_err(cannot("fall back"))?;
    }
    Ok(())
}
