//! Every name in `docs/guarantees.md` is the name of a test.

use std::{fs, path::Path};

/// Appends all sources of a folder to a text.
fn sources(folder: &Path, text: &mut String) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, text);
        } else if path.extension().is_some_and(|it| it == "rs") {
            *text += &fs::read_to_string(path).unwrap();
        }
    }
}

#[test]
fn every_test_that_is_named_exists() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(here.join("docs/guarantees.md")).unwrap();
    let mut text = String::new();
    for folder in ["src", "tests"] {
        sources(&here.join(folder), &mut text);
    }
    // The last cell of each row of the promises: `file`: `test`, `test`.
    let promises = page.split("\n## ").find(|part| part.starts_with("What is promised")).unwrap();
    let rows: Vec<_> = promises.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 20, "{rows:?}");
    for row in rows {
        let cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "nothing holds this: {row}");
        for name in names {
            assert!(text.contains(&format!("fn {name}(")), "there is no test `{name}`: {row}");
        }
    }
}
