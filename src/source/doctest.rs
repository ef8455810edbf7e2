//! Finds out whether this process runs a doctest, and where its lines come from.
//!
//! rustdoc names its programs `rust_out`. That of a single doctest is compiled from its standard
//! input. Doctests of edition 2024 are merged: beside the program are the files that it is compiled
//! from, with all doctests in modules, and with the name, file and line of each.

use std::path::Path;

use super::read;
use crate::finding::{Doctest, Origin};

/// Returns what this process is, if it runs a doctest. Reads files in that case.
pub(crate) fn look() -> Option<Doctest> {
    let program = std::env::current_exe().ok()?;
    if program.file_stem()? != "rust_out" {
        return None;
    }
    // Some doctests of edition 2024 are compiled alone nevertheless.
    let is_merged = std::env::var_os("RUSTDOC_DOCTEST_RUN_NB_TEST").is_some()
        || std::env::var_os("RUSTDOC_DOCTEST_BIN_PATH").is_some();
    let merged = || if is_merged { merged(program.parent()?) } else { None };
    Some(merged().unwrap_or(Doctest::Single))
}

/// Reads the sources of merged doctests.
fn merged(folder: &Path) -> Option<Doctest> {
    let names =
        folder.read_dir().ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let edition =
        |name: &str| Some(name.strip_prefix("doctest_bundle_")?.strip_suffix(".rs")?.to_owned());
    let edition = names.into_iter().find_map(|name| edition(&name))?;
    let text = |name: &str| std::fs::read_to_string(folder.join(name)).ok();
    let file_name = format!("doctest_bundle_{edition}.rs");
    let runner = text(&format!("doctest_runner_{edition}.rs"))?;
    let origins = origins(&text(&file_name)?, &tests(&runner), read);
    Some(Doctest::Merged { file_name, origins })
}

/// A doctest of a merged program.
#[derive(Debug, PartialEq)]
struct Test<'a> {
    module: &'a str,
    file: &'a str,
    /// The line where it begins: of its fence.
    line: usize,
}

/// Returns the tests that a runner lists:
///
/// ```text
/// mod __doctest_0 {
/// pub const TEST: test::TestDescAndFn = test::TestDescAndFn::new_doctest(
/// "src/lib.rs - pay (line 26)", false, "src/lib.rs", 26, false, false,
/// ```
fn tests(runner: &str) -> Vec<Test<'_>> {
    let mut tests = Vec::new();
    let mut module = None;
    for line in runner.lines() {
        if let Some(name) = line.strip_prefix("mod ").and_then(|it| it.strip_suffix(" {")) {
            module = Some(name);
        } else if let Some(of_module) = module
            && line.starts_with('"')
        {
            module = None;
            let mut fields = line.rsplitn(5, ", ").skip(2);
            let line = fields.next().and_then(|number| number.parse().ok());
            let file = fields.next().map(|file| file.trim_matches('"'));
            tests.extend(line.zip(file).map(|(line, file)| Test { module: of_module, file, line }));
        }
    }
    tests
}

/// Returns the origin of each line of merged doctests. `read` reads a file of documentation.
fn origins(
    bundle: &str,
    tests: &[Test<'_>],
    read: impl Fn(&str) -> Option<String>,
) -> Vec<Option<Origin>> {
    let lines: Vec<_> = bundle.lines().collect();
    let mut origins = vec![None; lines.len()];
    for test in tests {
        let head = format!("pub mod {} {{", test.module);
        let Some(start) = lines.iter().position(|line| *line == head) else { continue };
        let Some(text) = read(test.file) else { continue };
        let documented = documented(&text, test.line);
        // The code follows a head that rustdoc has added.
        let is_here = |code: &[&str]| {
            code.len() == documented.len()
                && code
                    .iter()
                    .zip(&documented)
                    .all(|(code, (_, line))| indent(line, code).is_some())
        };
        let Some(first) = lines[start..].windows(documented.len().max(1)).position(is_here) else {
            continue;
        };
        let file: &str = Box::leak(test.file.into());
        for (at, (line, documented)) in documented.into_iter().enumerate() {
            let at = start + first + at;
            let indent = indent(documented, lines[at]);
            origins[at] = indent.map(|indent| Origin { file, line, indent });
        }
    }
    origins
}

/// Returns the lines of a doctest, without its fences, with their numbers.
fn documented(text: &str, fence: usize) -> Vec<(u32, &str)> {
    let is_fence = |line: &str| {
        let text = line.trim_start_matches([' ', '\t', '/', '!', '*']);
        text.starts_with("```") || text.starts_with("~~~")
    };
    let numbered = (1..).zip(text.lines()).skip(fence);
    numbered.take_while(|(_, line)| !is_fence(line)).collect()
}

/// Returns the number of characters that a line of documentation has before its code. `None` if it
/// is other code.
fn indent(documented: &str, code: &str) -> Option<u32> {
    let before = documented.trim_end().strip_suffix(code.trim_end());
    // `/// `, `//! `, ` * `, and `# ` before a hidden line.
    let before = before.or_else(|| code.trim().is_empty().then_some(documented.trim_end()))?;
    let is_indent = before.chars().all(|c| " \t/!*#".contains(c));
    is_indent.then(|| u32::try_from(before.chars().count()).ok()).flatten()
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    const RUNNER: &str = r#"
mod __doctest_0 {
pub const TEST: test::TestDescAndFn = test::TestDescAndFn::new_doctest(
"src/lib.rs - pay (line 2)", false, "src/lib.rs", 2, false, false,
test::StaticTestFn(
    || {
"a string"
},
));
}

mod __doctest_1 {
pub const TEST: test::TestDescAndFn = test::TestDescAndFn::new_doctest(
"read me.md - one, two (line 1)", false, "read me.md", 1, false, false,
"#;

    const BUNDLE: &str = "
#![allow(unused)]
pub mod __doctest_0 {

fn main()  {
use a::b;

b.lock();
b.lock();

}
pub fn __main_fn() {}
}

pub mod __doctest_1 {

    a.lock();
}
";

    #[test]
    fn each_line_of_merged_doctests_has_its_origin() {
        let tests = tests(RUNNER);
        let test = |module, file, line| Test { module, file, line };
        let expected = [test("__doctest_0", "src/lib.rs", 2), test("__doctest_1", "read me.md", 1)];
        assert_eq!(tests, expected);
        let read = |file: &str| {
            match file {
            "src/lib.rs" => Some(
                "//! One.\n    /// ```\n    /// # use a::b;\n    ///\n    /// b.lock();\n    /// b.lock();\n    \
                 /// #\n    /// ```\n    fn pay() {}\n"
                    .to_owned(),
            ),
            "read me.md" => Some("```\n    a.lock();\n```\n".to_owned()),
            _ => None,
        }
        };
        let origins = origins(BUNDLE, &tests, read);
        let of = |code: &str| {
            let lines = BUNDLE.lines().enumerate().filter(|(_, line)| *line == code);
            lines.map(|(at, _)| origins[at].clone()).collect::<Vec<_>>()
        };
        let origin = |file, line, indent| Some(Origin { file, line, indent });
        assert_eq!(of("use a::b;"), [origin("src/lib.rs", 3, 10)]);
        assert_eq!(of("b.lock();"), [origin("src/lib.rs", 5, 8), origin("src/lib.rs", 6, 8)]);
        assert_eq!(of("    a.lock();"), [origin("read me.md", 2, 0)]);
        assert_eq!(of("fn main()  {"), [None]);
        assert_eq!(of("pub fn __main_fn() {}"), [None]);
    }

    /// Documentation that has changed since is no origin.
    #[test]
    fn other_documentation_is_no_origin() {
        let read = |text: &'static str| move |_: &str| Some(text.to_owned());
        let tests = tests(RUNNER);
        for text in
            ["", "\n```\n/// # use a::b;\n///\n/// b.lock();\n/// c.lock();\n/// #\n/// ```\n"]
        {
            assert!(origins(BUNDLE, &tests[..1], read(text)).iter().all(Option::is_none));
        }
    }
}
