//! The wrapper of rustc and rustdoc: cargo calls this program, which calls the real tool with the
//! arguments for checked locks.

pub(crate) mod classify;
mod compile;
pub(crate) mod diagnostics;
mod line_tables;
pub(crate) mod lock_types;
pub(crate) mod real;
pub(crate) mod replacement;
mod retry;
pub(crate) mod runtime;
pub(crate) mod sources;

use std::{env, ffi::OsString, fs, path::Path, process::ExitCode};

use self::{
    classify::{Call, Compiling, Tool, Treatment},
    compile::Unit,
    line_tables::with_line_tables,
    lock_types::sources,
    real::{Real, through},
    runtime::Runtime,
};
use crate::{
    Result, cannot,
    environment::{CHOICE, INNER, RUSTDOC},
    outcomes::{Note, Outcome},
    selection::Selection,
};

/// Runs a call of cargo. For rustc, the first argument is rustc itself; for rustdoc, it is an
/// option.
pub(crate) fn run(folder: &Path, arguments: &[OsString]) -> Result<ExitCode> {
    let is_rustc = arguments.first().is_some_and(|first| !first.to_string_lossy().starts_with('-'));
    let (tool, real, arguments) = if is_rustc {
        let real = Real { inner: env::var_os(INNER), program: arguments[0].clone() };
        (Tool::Rustc, real, &arguments[1..])
    } else {
        let program = env::var_os(RUSTDOC).unwrap_or_else(|| "rustdoc".into());
        (Tool::Rustdoc, Real { inner: None, program }, arguments)
    };

    let call = Call::parse(arguments);
    let compiling = compiling();
    let selection = env::var(CHOICE).unwrap_or_default();
    let selection =
        Selection::from_text(&selection).map_err(cannot("read the selection of locks"))?;
    let source = |path: &Path| fs::read_to_string(path).ok();
    let treatment = call.treatment(tool, &compiling, &selection, source, takes_std);
    if treatment == Treatment::Leave {
        return through(real.command(arguments));
    }
    let arguments = match tool {
        Tool::Rustc => with_line_tables(arguments),
        Tool::Rustdoc => arguments.to_vec(),
    };
    let unit = Unit {
        real,
        arguments: &arguments,
        runtime: Runtime::load(folder)?,
        notes: runtime::notes(folder, &selection),
        name: call.unit(tool).unwrap_or_default(),
        note: Note {
            package: format!("{} {}", compiling.package, compiling.version),
            needs: call.needs().map(str::to_owned).collect(),
            brings_locks: call.brings_locks(&compiling),
            crate_name: call.crate_name.unwrap_or_default(),
            outcome: Outcome::Checked,
            lacks_streams: false,
            is_awaited: false,
            unknown_tasks: None,
        },
        unchosen: selection.why_real(&compiling.package),
        version: compiling.version,
    };
    match tool {
        Tool::Rustc => unit.compile(treatment),
        Tool::Rustdoc => unit.test_examples(treatment),
    }
}

/// Reads cargo's environment variables.
fn compiling() -> Compiling {
    let variable = |name| env::var(name).unwrap_or_default();
    Compiling {
        crate_name: env::var("CARGO_CRATE_NAME").ok(),
        package: variable("CARGO_PKG_NAME"),
        version: variable("CARGO_PKG_VERSION"),
    }
}

fn takes_std(folder: &Path) -> bool {
    sources(folder).any(|source| source.contains("extern crate std"))
}
