//! Imports run one way: a room of `src` imports only rooms below it.
//!
//! A room is a module of the crate or of the validator, with its files. What counts as an import is
//! a `use`, and any other path that begins with `crate` or `super`. Test code may import anything.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

/// The rooms of `src`, from the bottom to the top. Rooms of one line do not import each other.
const LAYERS: [&str; 33] = [
    "duration enabled fork_lock upstream",
    "stack",
    "finding",
    "os_threads record source",
    "render",
    "ledger",
    "validator/atomic validator/interrupted validator/clock validator/signal_mask",
    "validator/atomic_ref validator/chain_cache validator/handed_over validator/lock_id",
    "validator/context validator/pools",
    "validator/helpers validator/identity",
    "validator/graph",
    "validator/found validator/thread_snapshot",
    "validator/deadlock",
    "validator/tasks",
    "validator/check validator/destroyed validator/monitor",
    "validator/acquire validator/process",
    "validator/attach",
    "validator/initialized validator/releases validator/waits",
    "validator/jobs",
    "validator",
    "points",
    "tracked validator/root_poll",
    "wrapped_async",
    "async_lock futures_lock lock_api lock_api_0_5 once_cell sync thread tokio",
    "external",
    "parking_lot parking_lot_0_13 rayon",
    "trackable",
    "as_task declare",
    "lib",
    "testing",
    "interleave",
    "__private",
    "fuzzing",
];

/// A module, as the names on the path to it; none for the crate.
type Module = Vec<String>;

/// Collects the modules below a folder, with their text.
fn modules(folder: &Path, path: &[String], found: &mut BTreeMap<Module, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let entry = entry.unwrap().path();
        let name = entry.file_stem().unwrap().to_str().unwrap().to_owned();
        let path = if ["lib", "mod"].contains(&&*name) { path } else { &[path, &[name]].concat() };
        if entry.is_dir() {
            modules(&entry, path, found);
        } else if entry.extension().is_some_and(|it| it == "rs") {
            found.insert(path.to_vec(), fs::read_to_string(&entry).unwrap());
        }
    }
}

/// Returns `true` if an attribute compiles an item for tests only.
fn is_for_tests(line: &str) -> bool {
    let words: Vec<_> = line.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
    line.starts_with("#[cfg(") && words.contains(&"test") && !line.contains("not(test")
}

/// Returns a file's code without comments and test code, and the names of modules in other files
/// that are test code.
fn without_tests(text: &str) -> (String, Vec<String>) {
    let (mut code, mut test_modules) = (String::new(), Vec::new());
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if !is_for_tests(line.trim_start()) {
            code += line.split("//").next().unwrap();
            code.push('\n');
            continue;
        }
        let is_attribute = |line: &&str| line.trim_start().starts_with("#[");
        let item = lines.by_ref().find(|line| !is_attribute(line)).unwrap();
        if let Some(declared) = item.strip_suffix(';') {
            test_modules.push(declared.rsplit(' ').next().unwrap().to_owned());
        } else if !item.ends_with('}') {
            let indent = line.len() - line.trim_start().len();
            let is_end = |line: &str| line.trim_end() == " ".repeat(indent) + "}";
            lines.by_ref().find(|line| is_end(line)).unwrap();
        }
    }
    (code, test_modules)
}

/// Returns the paths that a tree of imports names.
fn expand(tree: &str) -> Vec<String> {
    let Some((head, rest)) = tree.split_once('{') else { return vec![tree.trim().to_owned()] };
    let (mut depth, mut parts) = (0, vec![String::new()]);
    for c in rest[..rest.rfind('}').unwrap()].chars() {
        match c {
            ',' if depth == 0 => parts.push(String::new()),
            _ => {
                depth += i32::from(c == '{') - i32::from(c == '}');
                parts.last_mut().unwrap().push(c);
            }
        }
    }
    let paths = parts.iter().filter(|part| !part.trim().is_empty()).flat_map(|part| expand(part));
    paths.map(|path| format!("{}{path}", head.trim())).collect()
}

/// Returns the paths in code that begin with `crate` or `super`.
fn paths(code: &str) -> Vec<String> {
    let is_path = |c: char| c.is_alphanumeric() || c == '_' || c == ':';
    let mut found = Vec::new();
    let mut rest = code;
    while let Some(at) = ["crate::", "super::"].iter().filter_map(|it| rest.find(it)).min() {
        let before = &rest[..at];
        let tree = &rest[at..];
        let end = if before.trim_end().ends_with("use") {
            tree.find(';').unwrap()
        } else {
            tree.find(|c| !is_path(c)).unwrap_or(tree.len())
        };
        // `pub(in crate::..)` is no import.
        if !before.ends_with("in ") && !before.ends_with(is_path) {
            found.extend(expand(&tree[..end]));
        }
        rest = &tree[end..];
    }
    found
}

/// Returns the module that a path in a module leads to.
fn resolve(path: &str, from: &Module, modules: &BTreeMap<Module, String>) -> Module {
    let mut names = path.split("::").peekable();
    let mut module = from.clone();
    if names.next_if_eq(&"crate").is_some() {
        module.clear();
    }
    while names.next_if_eq(&"super").is_some() {
        module.pop();
    }
    for name in names {
        module.push(name.to_owned());
        if !modules.contains_key(&module) {
            module.pop();
            break;
        }
    }
    module
}

/// Returns the room of a module, and its layer.
fn room_of(module: &Module) -> (String, usize) {
    let names = if module.is_empty() { vec!["lib".to_owned()] } else { module.clone() };
    let layer_of = |room: &str| LAYERS.iter().position(|it| it.split(' ').any(|it| it == room));
    let rooms = (1..=names.len()).rev().map(|length| names[..length].join("/"));
    let mut known = rooms.filter_map(|room| Some((layer_of(&room)?, room)));
    let (layer, room) = known.next().unwrap_or_else(|| panic!("{names:?} is in no room"));
    let is_its_own = room != "validator" || names.len() == 1;
    assert!(is_its_own, "{names:?} is in no room");
    (room, layer)
}

#[test]
fn rooms_import_only_rooms_below() {
    let mut all = BTreeMap::new();
    modules(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &[], &mut all);
    assert!(all.len() > 200, "{} modules", all.len());
    let mut tests = Vec::new();
    let mut imports = BTreeSet::new();
    for (module, text) in &all {
        let (code, test_modules) = without_tests(text);
        tests.extend(test_modules.into_iter().map(|name| [&module[..], &[name]].concat()));
        for path in paths(&code) {
            imports.insert((module, path));
        }
    }
    let is_test = |module: &Module| tests.iter().any(|test| module.starts_with(test));
    let mut upwards = Vec::new();
    let mut between_rooms = 0;
    for (module, path) in imports.into_iter().filter(|(module, _)| !is_test(module)) {
        let ((from, layer), (to, below)) =
            (room_of(module), room_of(&resolve(&path, module, &all)));
        between_rooms += usize::from(from != to);
        if from != to && below >= layer {
            upwards.push(format!("{} imports {path}: {from} is not above {to}", module.join("/")));
        }
    }
    assert!(between_rooms > 500, "{between_rooms} imports");
    assert!(upwards.is_empty(), "{}", upwards.join("\n"));
}
