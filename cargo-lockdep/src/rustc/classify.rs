//! Decides what each call of rustc or rustdoc gets. Pure, except that it reads sources through
//! closures.

use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
};

use super::replacement::Replacement;
use crate::{
    report::coverage::OTHER_LOCKS,
    selection::{Locks, Selection},
};

/// The tool that cargo calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustc,
    Rustdoc,
}

/// How a call is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Runs the call unchanged: the crate is not part of the program.
    Leave,
    /// Only adds the search path of the runtime, which a dependency of this crate may need.
    FindRuntime,
    /// As `FindRuntime`, and links the real locks of the crates that it depends on.
    Unchosen,
    /// Compiles with checked locks, and with our `std` if `std` is set.
    Check { std: bool },
    /// The program's own lockdep: compiles it so that it records its findings, with our `std` if `std` is set.
    Record { std: bool },
    /// Compiles a replacement under the crate's name. The real crate moves aside, with our `std` if
    /// `std` is set.
    Replace { by: &'static Replacement, std: bool },
}

/// What cargo's environment variables say about the crate.
#[derive(Debug, Default)]
pub(crate) struct Compiling {
    pub(crate) crate_name: Option<String>,
    pub(crate) package: String,
    pub(crate) version: String,
}

/// The arguments of a call that matter here.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) crate_name: Option<String>,
    source: Option<PathBuf>,
    crate_types: Vec<String>,
    /// The suffix that distinguishes the files of crates with the same name.
    extra_filename: String,
    has_target: bool,
    is_test: bool,
    externs: Vec<String>,
    features: Vec<String>,
}

impl Call {
    pub(crate) fn parse(arguments: &[OsString]) -> Self {
        let mut call = Self::default();
        let mut arguments = arguments.iter().map(|argument| argument.to_string_lossy());
        while let Some(argument) = arguments.next() {
            let (name, value) = match argument.split_once('=') {
                Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
                _ => (&*argument, None),
            };
            let mut value = || value.clone().or_else(|| Some(arguments.next()?.into_owned()));
            match name {
                "--crate-name" => call.crate_name = value(),
                "--crate-type" => {
                    let types = value().unwrap_or_default();
                    call.crate_types.extend(types.split(',').map(str::to_owned));
                }
                "--target" => call.has_target = value().is_some(),
                "--test" => call.is_test = true,
                "--extern" => call.externs.extend(value()),
                "--cfg" => {
                    let feature = value().and_then(|cfg| {
                        Some(cfg.strip_prefix("feature=\"")?.strip_suffix('"')?.to_owned())
                    });
                    call.features.extend(feature);
                }
                "-C" | "--codegen" => {
                    if let Some(suffix) =
                        value().as_deref().and_then(|v| v.strip_prefix("extra-filename="))
                    {
                        suffix.clone_into(&mut call.extra_filename);
                    }
                }
                _ if argument.ends_with(".rs") && !argument.starts_with('-') => {
                    call.source.get_or_insert_with(|| PathBuf::from(&*argument));
                }
                _ => {}
            }
        }
        call
    }

    /// Returns the stem of the crate's files, unique in the build.
    pub(crate) fn unit(&self, tool: Tool) -> Option<String> {
        let name = self.crate_name.as_deref()?;
        match tool {
            Tool::Rustc => Some(format!("{name}{}", self.extra_filename)),
            // rustdoc receives the documented library as a dependency of the examples.
            Tool::Rustdoc => self.externs.iter().find_map(|library| {
                let (library, path) = library.split_once('=')?;
                let is_it = library.rsplit(':').next() == Some(name);
                Some(unit_of(path)?.to_owned()).filter(|_| is_it)
            }),
        }
    }

    /// Returns the file stems of the crates that it depends on.
    pub(crate) fn needs(&self) -> impl Iterator<Item = &str> {
        self.externs.iter().filter_map(|library| unit_of(library.split_once('=')?.1))
    }

    /// Returns how the call is treated.
    ///
    /// `compiling` is the crate that cargo compiles: build scripts and cargo itself also call rustc
    /// to probe what it can do. `source` reads a file, `takes_std` returns `true` if a file in a
    /// folder has an `extern crate std`.
    pub(crate) fn treatment(
        &self,
        tool: Tool,
        compiling: &Compiling,
        selection: &Selection,
        source: impl FnOnce(&Path) -> Option<String>,
        takes_std: impl FnOnce(&Path) -> bool,
    ) -> Treatment {
        let is_cargos = match tool {
            Tool::Rustc => self.crate_name.is_some() && compiling.crate_name == self.crate_name,
            Tool::Rustdoc => self.is_test,
        };
        // Cargo passes `--target` only for crates of the program, not for proc-macros, build
        // scripts and their dependencies, which run at build time.
        let is_of_program =
            self.has_target && !self.crate_types.iter().any(|kind| kind == "proc-macro");
        let Some(path) = self.source.as_deref().filter(|_| is_cargos && is_of_program) else {
            return Treatment::Leave;
        };
        let is_chosen = selection.has(Locks::Std) && selection.has_package(&compiling.package);
        if self.is_lockdep(tool, compiling) {
            return Treatment::Record { std: is_chosen };
        }
        if let Some(replacement) = self.replacement(tool, compiling, selection) {
            return Treatment::Replace { by: replacement, std: replacement.has_std() && is_chosen };
        }
        if !selection.has_package(&compiling.package) {
            return Treatment::Unchosen;
        }
        if lacks_std(path, source, takes_std) {
            Treatment::FindRuntime
        } else {
            Treatment::Check { std: selection.has(Locks::Std) }
        }
    }

    /// Returns `true` if the crate defines locks that are not built on std's.
    pub(crate) fn brings_locks(&self, Compiling { package, version, .. }: &Compiling) -> bool {
        self.crate_name
            .as_deref()
            .is_some_and(|name| OTHER_LOCKS.iter().any(|(other, ..)| *other == name))
            || Replacement::of(package, version, &self.features).is_some_and(|it| it.is_awaited)
    }

    /// Returns `true` if this is the library that this program is built on, as a dependency.
    fn is_lockdep(&self, tool: Tool, compiling: &Compiling) -> bool {
        let is_library = tool == Tool::Rustc && self.crate_types == ["lib"] && !self.is_test;
        is_library
            && compiling.package == "lockdep"
            && compiling.crate_name.as_deref() == Some("lockdep")
    }

    /// Returns the crate that replaces this one. Tests of the crate itself use the real one.
    fn replacement(
        &self,
        tool: Tool,
        compiling: &Compiling,
        selection: &Selection,
    ) -> Option<&'static Replacement> {
        let is_library = tool == Tool::Rustc
            && self.crate_types == ["lib"]
            && self.crate_name.as_deref() == Some(&*compiling.package.replace('-', "_"));
        Replacement::of(&compiling.package, &compiling.version, &self.features)
            .filter(|it| is_library && it.locks.iter().any(|locks| selection.has(*locks)))
    }
}

/// Returns the file stem of a library without `lib`.
fn unit_of(path: &str) -> Option<&str> {
    let stem = Path::new(path).file_stem()?.to_str()?;
    Some(stem.strip_prefix("lib").unwrap_or(stem))
}

/// Returns `true` if the crate with this root has no std.
pub(crate) fn has_no_std(root: &Path) -> bool {
    lacks_std(root, |path| fs::read_to_string(path).ok(), super::takes_std)
}

fn lacks_std(
    root: &Path,
    source: impl FnOnce(&Path) -> Option<String>,
    takes_std: impl FnOnce(&Path) -> bool,
) -> bool {
    source(root).is_some_and(|text| is_no_std(&text)) && !root.parent().is_some_and(takes_std)
}

/// Returns `true` if the root of a crate has an unconditional `#![no_std]`. A crate with a
/// conditional one, or with an `extern crate std` in some file (as in `lazy_static`), counts as a
/// std crate. If that is wrong, our std does no harm, or the crate falls back.
fn is_no_std(root: &str) -> bool {
    let mut depth = 0_usize;
    for line in root.lines().map(str::trim) {
        let starts_outside = depth == 0;
        if !line.starts_with("//") {
            depth += line.matches("/*").count();
            depth = depth.saturating_sub(line.matches("*/").count());
        }
        let code: String = line.chars().filter(|c| !c.is_whitespace()).collect();
        if starts_outside && (code.starts_with("#![no_std]") || code.starts_with("#![no_core]")) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shortened call of rustc by cargo.
    const LIBRARY: &str = "--crate-name store --edition=2024 src/lib.rs --error-format=json \
        --crate-type lib --emit=dep-info,metadata,link -C embed-bitcode=no -C metadata=0a \
        -C extra-filename=-0a1b --out-dir x --target x86_64-unknown-linux-gnu -L dependency=x";

    const CHECKED: Treatment = Treatment::Check { std: true };

    fn call(arguments: &str) -> Call {
        Call::parse(&arguments.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    fn treatment_with(arguments: &str, compiling: Option<&str>, source: &str) -> Treatment {
        let compiling =
            Compiling { crate_name: compiling.map(str::to_owned), ..Compiling::default() };
        let takes_std = source.contains("extern crate std");
        let source = |_: &Path| Some(source.to_owned());
        let (call, all) = (call(arguments), Selection::default());
        call.treatment(Tool::Rustc, &compiling, &all, source, |_| takes_std)
    }

    fn treatment(arguments: &str) -> Treatment {
        treatment_with(arguments, call(arguments).crate_name.as_deref(), "")
    }

    fn treatment_of(
        package: &str,
        version: &str,
        arguments: &str,
        selection: &Selection,
    ) -> Treatment {
        let arguments = arguments.replace("--crate-name store", &format!("--crate-name {package}"));
        let compiling = Compiling {
            crate_name: Some(package.to_owned()),
            package: package.to_owned(),
            version: version.to_owned(),
        };
        call(&arguments).treatment(Tool::Rustc, &compiling, selection, |_| None, |_| false)
    }

    #[test]
    fn what_the_program_is_made_of_is_checked() {
        assert_eq!(treatment(LIBRARY), CHECKED);
        assert_eq!(treatment(&LIBRARY.replace("--crate-type lib", "--test")), CHECKED);
        assert_eq!(treatment(&LIBRARY.replace("type lib", "type bin")), CHECKED);
    }

    #[test]
    fn what_runs_at_build_time_is_left_alone() {
        let without_target = LIBRARY.replace("--target x86_64-unknown-linux-gnu", "");
        assert_eq!(treatment(&without_target), Treatment::Leave);
        assert_eq!(treatment(&LIBRARY.replace("type lib", "type proc-macro")), Treatment::Leave);
    }

    #[test]
    fn probes_are_left_alone() {
        let cargos = "- --crate-name ___ --print=file-names --crate-type bin --target x";
        assert_eq!(treatment(cargos), Treatment::Leave);
        assert_eq!(treatment("-vV"), Treatment::Leave);
        // A build script of `store` that tests whether something compiles.
        let probe = "--crate-name probe --crate-type lib src/probe.rs --target x";
        assert_eq!(treatment_with(probe, None, ""), Treatment::Leave);
        assert_eq!(treatment_with(probe, Some("store"), ""), Treatment::Leave);
    }

    #[test]
    fn a_crate_without_std_only_finds_the_runtime() {
        for (source, expected) in [
            ("//! Docs.\n#![no_std]\nextern crate alloc;", Treatment::FindRuntime),
            ("#![no_std]\n#[cfg(feature = \"std\")]\nextern crate std;", CHECKED),
            ("/* a\n */\n#! [no_std] // so", Treatment::FindRuntime),
            ("#![cfg_attr(not(feature = \"std\"), no_std)]", CHECKED),
            ("// #![no_std]\n", CHECKED),
            ("/*\n#![no_std]\n*/\n", CHECKED),
            ("//! A line of docs with /* in it\n#![no_std]", Treatment::FindRuntime),
        ] {
            assert_eq!(treatment_with(LIBRARY, Some("store"), source), expected, "{source}");
        }
    }

    #[test]
    fn parking_lot_is_replaced_for_whoever_depends_on_it() {
        let all = Selection::default();
        let of =
            |version: &str, arguments: &str| treatment_of("parking_lot", version, arguments, &all);
        assert!(matches!(of("0.12.5", LIBRARY), Treatment::Replace { std: false, .. }));
        assert_eq!(of("0.11.2", LIBRARY), CHECKED);
        assert_eq!(of("0.12.5", &LIBRARY.replace("--crate-type lib", "--test")), CHECKED);
        let build = LIBRARY.replace("--target x86_64-unknown-linux-gnu", "");
        assert_eq!(of("0.12.5", &build), Treatment::Leave);

        let without = treatment_of("once_cell", "1.21.4", LIBRARY, &all);
        assert_eq!(without, CHECKED, "it has no feature `std`");
        let with = format!("{LIBRARY} --cfg feature=\"std\"");
        let with = treatment_of("once_cell", "1.21.4", &with, &all);
        assert!(matches!(with, Treatment::Replace { std: false, .. }));
    }

    #[test]
    fn the_programs_own_lockdep_records() {
        let of = |arguments: &str, selection: &Selection| {
            treatment_of("lockdep", "0.1.0", arguments, selection)
        };
        let all = Selection::default();
        assert_eq!(of(LIBRARY, &all), Treatment::Record { std: true });
        let shop = Selection::new(&[], Some(vec!["shop".to_owned()]));
        assert_eq!(of(LIBRARY, &shop), Treatment::Record { std: false });
        assert_eq!(of(&LIBRARY.replace("--crate-type lib", "--test"), &all), CHECKED);
    }

    #[test]
    fn tokio_is_replaced_and_has_our_std_as_before() {
        let (all, tokio) = (Selection::default(), Selection::new(&[Locks::Tokio], None));
        let of = |features: &str, selection: &Selection| {
            treatment_of("tokio", "1.54.1", &format!("{LIBRARY} {features}"), selection)
        };
        let sync = "--cfg feature=\"sync\"";
        assert!(matches!(of(sync, &all), Treatment::Replace { std: true, .. }));
        assert!(matches!(of(sync, &tokio), Treatment::Replace { std: false, .. }));
        assert_eq!(of("--cfg feature=\"rt\"", &all), CHECKED, "it has no locks of its own");
        assert_eq!(of(sync, &Selection::new(&[Locks::Std], None)), CHECKED);
    }

    #[test]
    fn only_what_was_chosen_is_checked() {
        let std = Selection::new(&[Locks::Std], None);
        assert_eq!(treatment_of("parking_lot", "0.12.5", LIBRARY, &std), CHECKED);
        let parking_lot = Selection::new(&[Locks::ParkingLot], None);
        let replaced = treatment_of("parking_lot", "0.12.5", LIBRARY, &parking_lot);
        assert!(matches!(replaced, Treatment::Replace { std: false, .. }));
        let store = treatment_of("store", "0.1.0", LIBRARY, &parking_lot);
        assert_eq!(store, Treatment::Check { std: false });

        let shop = Selection::new(&[], Some(vec!["shop".to_owned()]));
        assert_eq!(treatment_of("shop", "0.1.0", LIBRARY, &shop), CHECKED);
        assert_eq!(treatment_of("store", "0.1.0", LIBRARY, &shop), Treatment::Unchosen);
    }

    #[test]
    fn doctests_are_checked_and_docs_are_not() {
        let test = "--edition=2024 --crate-type lib --crate-name store --test src/lib.rs \
            --target x --extern rand=x/librand-1.rlib --extern store=x/libstore-0a1b.rlib";
        let rustdoc = |text: &str| {
            let (compiling, selection) = (Compiling::default(), Selection::default());
            call(text).treatment(Tool::Rustdoc, &compiling, &selection, |_| None, |_| false)
        };
        assert_eq!(rustdoc(test), CHECKED);
        assert_eq!(rustdoc(&test.replace("--test", "")), Treatment::Leave);
        assert_eq!(call(test).unit(Tool::Rustdoc).as_deref(), Some("store-0a1b"));
        assert_eq!(call(test).needs().collect::<Vec<_>>(), ["rand-1", "store-0a1b"]);
        assert_eq!(call(LIBRARY).unit(Tool::Rustc).as_deref(), Some("store-0a1b"));
    }
}
