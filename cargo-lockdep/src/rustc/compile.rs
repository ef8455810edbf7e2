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
    diagnostics::{concern_types, error_line, first_error},
    real::{Real, code, through},
    replacement::{CHECKED, Calls, REAL, Replacement, recording, with_aside},
    retry::{Attempt, attempt, pass_on, quietly},
    runtime::{Runtime, Std},
};
use crate::{
    Result, cannot, cannot_start,
    environment::COUNTS,
    outcomes::{self, Note, Outcome, UnknownTasks, WhyUnknown},
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
    /// The outcome if its locks are not to be checked.
    pub(crate) unchosen: Outcome,
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
            Treatment::Record { std } => self.record(std),
            Treatment::Unchosen => self.compile_real(self.unchosen.clone(), None),
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
        if note.as_ref().is_some_and(|it| it.outcome.has_real_locks()) {
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
        self.compile_real(Outcome::FellBack(error.clone()), Some(&error))
    }

    /// Compiles with the real locks, the last resort. `error` is rustc's first one with checked locks.
    ///
    /// If the crate does not compile either way, crates below may be to blame that have checked locks: their types
    /// differ from the real ones, and their implementations of traits are visible here. Only a build without those
    /// can tell, so the run is asked for one.
    fn compile_real(&self, outcome: Outcome, error: Option<&str>) -> Result<ExitCode> {
        match attempt(self.unchecked())? {
            Attempt::Ended(status) => {
                self.note(outcome)?;
                Ok(code(status))
            }
            Attempt::Failed(status, output) => {
                let real = first_error(&output);
                if self.may_be_due_to_others(&output)
                    && let Some(records) = env::var_os(COUNTS)
                {
                    let note = Note {
                        outcome: Outcome::FellBack(error.unwrap_or(&real).to_owned()),
                        ..self.note.clone()
                    };
                    outcomes::write_failure(Path::new(&records), &self.name, &note)
                        .map_err(cannot("write a note on the crate"))?;
                    pass_on(
                        error_line(&format!(
                            "{} (`{}`) does not compile next to checked locks: {real}",
                            note.package, note.crate_name
                        ))
                        .as_bytes(),
                    )?;
                    return Ok(code(status));
                }
                pass_on(&output)?;
                if let Some(error) = error.filter(|&error| error != real) {
                    eprintln!("lockdep: the first error with checked locks was: {error}");
                }
                Ok(code(status))
            }
        }
    }

    /// Returns `true` if errors with the real locks may be due to crates below that have checked ones. Not if the
    /// crate has compiled next to them before: it was edited since.
    fn may_be_due_to_others(&self, output: &[u8]) -> bool {
        let has_compiled = self.notes.join(&self.name).exists();
        !has_compiled
            && concern_types(output)
            && outcomes::below(&self.notes, &self.note.needs)
                .values()
                .any(|note| note.outcome.has_checked_locks())
    }

    /// Compiles the program's own lockdep with the half of its feature `records` that writes. Like other crates, it
    /// gets our std; the locks in its own data structures are the real ones.
    fn record(&self, std: bool) -> Result<ExitCode> {
        let arguments = with_aside(self.arguments, REAL, Path::exists);
        let Some(added) = recording(&arguments, &self.runtime) else {
            let code = self.check(std)?;
            self.note(Outcome::Unrecorded("it is too old".to_owned()))?;
            return Ok(code);
        };
        let arguments = [arguments, added].concat();
        let mut error = String::new();
        for std in self.facades(std) {
            match attempt(self.checked(&arguments, std))? {
                Attempt::Ended(status) => {
                    self.note(Outcome::Records)?;
                    return Ok(code(status));
                }
                Attempt::Failed(_, output) => error = first_error(&output),
            }
        }
        let code = self.check(std)?;
        self.note(Outcome::Unrecorded(error))?;
        Ok(code)
    }

    /// Compiles the real crate and a checked one next to it, which may fail. Cargo sees the notices
    /// only after both, so that dependents find both.
    fn accompany(&self, Calls { real, replacement, files, .. }: &Calls) -> Result<ExitCode> {
        let output = |mut command: Command| command.output().map_err(cannot_start(&command));
        let real = output(self.command(real))?;
        let mut outcome = Outcome::Replaced;
        if real.status.success() && !output(self.command(replacement))?.status.success() {
            remove(files)?;
            outcome = Outcome::NoStd;
        }
        pass_on(&real.stderr)?;
        self.note(outcome)?;
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
        let mut why = calls.has_tracing.then_some(WhyUnknown::OwnTracing);
        for (real, reports) in reporting.iter().map(|it| (it, true)).chain([(&calls.real, false)]) {
            for &std in &facades {
                match quietly(self.checked(real, std))? {
                    Attempt::Ended(_) => {
                        return Ok(Some(Note {
                            outcome: Outcome::Replaced,
                            lacks_streams: std != facades[0],
                            is_awaited: by.is_awaited,
                            unknown_tasks: why.filter(|_| !reports).map(UnknownTasks::Of),
                            ..self.note.clone()
                        }));
                    }
                    Attempt::Failed(_, output) if reports => {
                        why = Some(WhyUnknown::Incompatible(first_error(&output)));
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
