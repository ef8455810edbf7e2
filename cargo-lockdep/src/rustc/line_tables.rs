//! Line tables for a crate whose profile asks for no debug information, as that of a release build.
//!
//! They tell which functions the compiler has inlined where. Without them, stacks have neither these functions nor
//! places, and it cannot be proved that an optimized handler takes two locks one after the other. The code is the same.
//! `debuginfo=line-tables-only` will not do: it has no full names of inlined functions.

use std::ffi::OsString;

/// Returns the arguments of rustc, with line tables if nothing is said about debug information. These are not stripped.
pub(crate) fn with_line_tables(arguments: &[OsString]) -> Vec<OsString> {
    if options(arguments).any(|(_, option)| option == "debuginfo" || option == "g") {
        return arguments.to_vec();
    }
    let mut left = arguments.to_vec();
    let strips: Vec<_> = options(arguments).filter(|(_, option)| option == "strip").collect();
    for (at, _) in strips.into_iter().rev() {
        left.drain(at);
    }
    left.push("-Cdebuginfo=1".into());
    left
}

/// The options of code generation, by name, and which arguments each consists of. `-g` is one of them.
fn options(arguments: &[OsString]) -> impl Iterator<Item = (std::ops::Range<usize>, String)> {
    arguments.iter().enumerate().filter_map(|(at, argument)| {
        let argument = argument.to_str()?;
        let (size, option) = match argument {
            "-g" => (1, "g"),
            "-C" | "--codegen" => (2, arguments.get(at + 1)?.to_str()?),
            _ => (1, argument.strip_prefix("-C").or_else(|| argument.strip_prefix("--codegen="))?),
        };
        Some((at..at + size, option.split('=').next()?.to_owned()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(given: &str, expected: &str) {
        let given: Vec<_> = given.split_whitespace().map(OsString::from).collect();
        assert_eq!(with_line_tables(&given).join(" ".as_ref()), *expected);
    }

    #[test]
    fn a_release_build_gets_line_tables_and_keeps_them() {
        check("a.rs -C opt-level=3", "a.rs -C opt-level=3 -Cdebuginfo=1");
        check(
            "-C strip=debuginfo a.rs -Cstrip=symbols --codegen strip=none -C lto",
            "a.rs -C lto -Cdebuginfo=1",
        );
    }

    #[test]
    fn what_is_said_about_debug_information_stays() {
        for said in
            ["-g", "-C debuginfo=2", "-Cdebuginfo=0 -C strip=symbols", "--codegen=debuginfo=1"]
        {
            check(said, said);
        }
    }
}
