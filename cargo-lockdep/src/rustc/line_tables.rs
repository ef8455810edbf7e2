//! Adds line tables to crates whose profile has no debug information, such as a release build.
//!
//! Line tables say which functions were inlined where. Without them, stacks have neither these
//! functions nor places, and lockdep cannot prove that an optimized handler acquires two locks one
//! after the other. The generated code does not change. `debuginfo=line-tables-only` is not enough,
//! because it omits the full names of inlined functions.

use std::ffi::OsString;

/// Returns rustc's arguments. If they do not mention debug information, adds line tables and keeps
/// them from being stripped.
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

/// Returns the codegen options by name, each with the range of its arguments. `-g` is one of them.
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
    fn explicit_debug_options_are_kept() {
        for said in
            ["-g", "-C debuginfo=2", "-Cdebuginfo=0 -C strip=symbols", "--codegen=debuginfo=1"]
        {
            check(said, said);
        }
    }
}
