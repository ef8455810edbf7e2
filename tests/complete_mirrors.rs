//! Nothing that a mirrored crate offers is missing from its mirror: the list is read from
//! the very source that this build uses. Locks and guards are `lock_api`'s own types, so
//! that their methods cannot be missing; what is a type of ours is compared by method.
#![cfg(all(feature = "parking_lot", feature = "parking_lot_0_13", feature = "once_cell"))]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// The folder of a dependency's source, by its name and the start of its version.
fn source_of(name: &str, version: &str) -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--all-features"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let metadata = String::from_utf8(output.stdout).expect("cargo writes UTF-8");
    let package = format!("{{\"name\":\"{name}\",\"version\":\"{version}");
    let (_, package) = metadata.split_once(&package).expect("the package is a dependency");
    let (_, path) = package.split_once("\"manifest_path\":\"").expect("it has a manifest");
    let (path, _) = path.split_once('"').expect("the path ends");
    PathBuf::from(path).parent().expect("the manifest is in a folder").join("src")
}

fn read(folder: &Path, file: &str) -> String {
    let path = folder.join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// A source of ours, without what it only talks about.
fn ours(file: &str) -> String {
    let source = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), file);
    let is_code = |line: &&str| !line.trim_start().starts_with("//");
    source.lines().filter(is_code).collect::<Vec<_>>().join("\n")
}

fn is_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|part| part == word)
}

/// The names that a source re-exports: `A` and `B` of `pub use self::part::{A, B};`.
fn reexports(source: &str) -> BTreeSet<&str> {
    source
        .split("pub use self::")
        .skip(1)
        .filter_map(|rest| rest.split(';').next())
        .filter_map(|path| path.split_once("::"))
        .filter(|(part, _)| *part != "lock_api")
        .flat_map(|(_, names)| names.trim_matches(['{', '}']).split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .collect()
}

/// The public functions of a source, tests and everything behind them apart.
fn functions(source: &str) -> BTreeSet<&str> {
    let source = source.split("#[cfg(test)]").next().expect("a first part");
    ["pub fn ", "pub const fn ", "pub unsafe fn "]
        .into_iter()
        .flat_map(|start| source.split(start).skip(1))
        .filter_map(|rest| rest.split(['(', '<']).next())
        .collect()
}

fn assert_has_all(mirror: &str, text: &str, names: &BTreeSet<&str>) {
    let missing: Vec<_> = names.iter().filter(|name| !is_word(text, name)).collect();
    assert!(missing.is_empty(), "{mirror} misses {missing:?}");
}

#[test]
fn parking_lot_0_12() {
    let source = source_of("parking_lot", "0.12.");
    let lib = read(&source, "lib.rs");
    let names = reexports(&lib);
    assert!(names.contains("RwLockUpgradableReadGuard") && names.contains("const_mutex"));
    assert!(names.len() >= 25, "{names:?}");
    assert_has_all("lockdep::parking_lot", &ours("parking_lot/mod.rs"), &names);
    for file in ["condvar.rs", "once.rs"] {
        let source = read(&source, file);
        // What belongs to types that are re-exported as they are.
        let mut names = functions(&source);
        names.retain(|name| !["timed_out", "poisoned", "done"].contains(name));
        assert!(names.len() >= 4, "{names:?}");
        assert_has_all(file, &ours(&format!("parking_lot/{file}")), &names);
    }
}

#[test]
fn parking_lot_0_13() {
    let source = source_of("parking_lot", "0.13.");
    let lib = read(&source, "lib.rs");
    let names = reexports(&lib);
    assert!(names.contains("RecursiveRwLock") && names.contains("RawCondvar"));
    assert!(names.len() >= 25, "{names:?}");
    assert_has_all("lockdep::parking_lot_0_13", &ours("parking_lot_0_13/mod.rs"), &names);
    let once = read(&source, "once.rs");
    let (_, once) = once.split_once("impl Once {").expect("it is there");
    let names = functions(once);
    assert!(names.len() >= 8, "{names:?}");
    assert_has_all("once.rs", &ours("parking_lot_0_13/once.rs"), &names);
}

#[test]
fn once_cell_sync() {
    let source = source_of("once_cell", "1.");
    let lib = read(&source, "lib.rs");
    let (_, sync) = lib.split_once("pub mod sync {").expect("it is there");
    let (sync, _) = sync.split_once("\npub mod race").unwrap_or((sync, ""));
    let names = functions(sync);
    assert!(names.len() >= 15, "{names:?}");
    let ours = ours("once_cell/sync/once_cell.rs") + &ours("once_cell/sync/lazy.rs");
    assert_has_all("lockdep::once_cell::sync", &ours, &names);
}
