//! Which call of rustc or rustdoc gets checked locks. Pure, but for one look at a source.

use std::{
    ffi::OsString,
    path::{Path, PathBuf},
};

/// Who is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Rustc,
    Rustdoc,
}

/// What is added to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Treatment {
    /// Nothing: it is not a part of the program.
    Leave,
    /// Where the runtime is, as a crate that this one depends on may need it.
    FindRuntime,
    /// The same, and our `std` in place of the real one.
    Check,
}

/// The arguments of a call, as far as they matter.
#[derive(Debug, Default)]
pub(crate) struct Call {
    pub(crate) crate_name: Option<String>,
    source: Option<PathBuf>,
    crate_types: Vec<String>,
    /// What tells the crate's files from those of others of its name.
    extra_filename: String,
    has_target: bool,
    is_test: bool,
    externs: Vec<String>,
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

    /// What this crate's files are called, of all crates of the build.
    pub(crate) fn unit(&self, tool: Tool) -> Option<String> {
        let name = self.crate_name.as_deref()?;
        match tool {
            Tool::Rustc => Some(format!("{name}{}", self.extra_filename)),
            // The library that it documents is one of those that the examples get.
            Tool::Rustdoc => self.externs.iter().find_map(|library| {
                let (library, path) = library.split_once('=')?;
                let stem = Path::new(path).file_stem()?.to_str()?;
                (library.rsplit(':').next() == Some(name))
                    .then(|| stem.strip_prefix("lib").unwrap_or(stem).to_owned())
            }),
        }
    }

    /// What the call gets.
    ///
    /// `compiling` is the crate that cargo says it compiles: build scripts and cargo itself call
    /// rustc for other things, too, to see what it can do. `source` reads a file.
    pub(crate) fn treatment(
        &self,
        tool: Tool,
        compiling: Option<&str>,
        source: impl FnOnce(&Path) -> Option<String>,
    ) -> Treatment {
        let is_cargos = match tool {
            Tool::Rustc => self.crate_name.is_some() && compiling == self.crate_name.as_deref(),
            Tool::Rustdoc => self.is_test,
        };
        // cargo names the target for the program's own crates only. What runs at build time,
        // proc-macros, build scripts and what they depend on, is built without.
        let is_of_program =
            self.has_target && !self.crate_types.iter().any(|kind| kind == "proc-macro");
        let Some(path) = self.source.as_deref().filter(|_| is_cargos && is_of_program) else {
            return Treatment::Leave;
        };
        match source(path) {
            Some(text) if is_no_std(&text) && !text.contains("extern crate std") => {
                Treatment::FindRuntime
            }
            _ => Treatment::Check,
        }
    }
}

/// Whether a crate's root has `#![no_std]`, without a condition. With one, or with an
/// `extern crate std`, it is taken for a crate with std: if that is wrong, our std does no harm, or
/// the crate falls back.
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

    /// As cargo calls rustc, shortened.
    const LIBRARY: &str = "--crate-name store --edition=2024 src/lib.rs --error-format=json \
        --crate-type lib --emit=dep-info,metadata,link -C embed-bitcode=no -C metadata=0a \
        -C extra-filename=-0a1b --out-dir x --target x86_64-unknown-linux-gnu -L dependency=x";

    fn call(arguments: &str) -> Call {
        Call::parse(&arguments.split_whitespace().map(OsString::from).collect::<Vec<_>>())
    }

    fn treatment_with(arguments: &str, compiling: Option<&str>, source: &str) -> Treatment {
        call(arguments).treatment(Tool::Rustc, compiling, |_| Some(source.to_owned()))
    }

    fn treatment(arguments: &str) -> Treatment {
        let call = call(arguments);
        call.treatment(Tool::Rustc, call.crate_name.as_deref(), |_| None)
    }

    #[test]
    fn what_the_program_is_made_of_is_checked() {
        assert_eq!(treatment(LIBRARY), Treatment::Check);
        assert_eq!(treatment(&LIBRARY.replace("--crate-type lib", "--test")), Treatment::Check);
        assert_eq!(treatment(&LIBRARY.replace("type lib", "type bin")), Treatment::Check);
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
        // A build script of `store` that sees whether something compiles.
        let probe = "--crate-name probe --crate-type lib src/probe.rs --target x";
        assert_eq!(treatment_with(probe, None, ""), Treatment::Leave);
        assert_eq!(treatment_with(probe, Some("store"), ""), Treatment::Leave);
    }

    #[test]
    fn a_crate_without_std_only_finds_the_runtime() {
        for (source, expected) in [
            ("//! Docs.\n#![no_std]\nextern crate alloc;", Treatment::FindRuntime),
            ("#![no_std]\n#[cfg(feature = \"std\")]\nextern crate std;", Treatment::Check),
            ("/* a\n */\n#! [no_std] // so", Treatment::FindRuntime),
            ("#![cfg_attr(not(feature = \"std\"), no_std)]", Treatment::Check),
            ("// #![no_std]\n", Treatment::Check),
            ("/*\n#![no_std]\n*/\n", Treatment::Check),
            ("//! A line of docs with /* in it\n#![no_std]", Treatment::FindRuntime),
        ] {
            assert_eq!(treatment_with(LIBRARY, Some("store"), source), expected, "{source}");
        }
    }

    #[test]
    fn doctests_are_checked_and_docs_are_not() {
        let test = "--edition=2024 --crate-type lib --crate-name store --test src/lib.rs \
            --target x --extern rand=x/librand-1.rlib --extern store=x/libstore-0a1b.rlib";
        let rustdoc = |text: &str| call(text).treatment(Tool::Rustdoc, None, |_| None);
        assert_eq!(rustdoc(test), Treatment::Check);
        assert_eq!(rustdoc(&test.replace("--test", "")), Treatment::Leave);
        assert_eq!(call(test).unit(Tool::Rustdoc).as_deref(), Some("store-0a1b"));
        assert_eq!(call(LIBRARY).unit(Tool::Rustc).as_deref(), Some("store-0a1b"));
    }
}
