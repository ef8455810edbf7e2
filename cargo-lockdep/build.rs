//! Embeds the library's source, from which the runtime is built on the user's machine, and the explanations with
//! their examples.

use std::{
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

fn main() {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    // A published package contains a copy of the source; a clone has a link.
    let copy = here.join("library/src").symlink_metadata();
    let is_packaged = copy.is_ok_and(|copy| copy.is_dir());
    let (library, manifest, lock) = if is_packaged {
        (here.join("library"), "manifest.toml", "lock.toml")
    } else {
        (here.join(".."), "Cargo.toml", "Cargo.lock")
    };
    let (library_manifest, lock) = (library.join(manifest), library.join(lock));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));

    let mut files = Vec::new();
    collect(&library.join("src"), Path::new("lockdep/src"), &mut files);
    let manifest = out.join("Cargo.toml");
    fs::write(&manifest, runtime_manifest(&library_manifest)).expect("OUT_DIR is ours");
    files.push((PathBuf::from("lockdep/Cargo.toml"), manifest));
    // Locks the runtime to the versions of dependencies that the library was tested with.
    if lock.exists() {
        println!("cargo::rerun-if-changed={}", lock.display());
        files.push((PathBuf::from("Cargo.lock"), lock));
    }
    files.sort();

    let mut table = String::from("&[\n");
    for (name, path) in files {
        let path = path.canonicalize().expect("it was just listed");
        let [name, path] = [&name, &path].map(|path| path.to_str().expect("paths are UTF-8"));
        writeln!(table, "({name:?}, include_str!({path:?})),").expect("strings can be written to");
    }
    table.push(']');
    fs::write(out.join("library.rs"), table).expect("OUT_DIR is ours");
    let explanations = explanations();
    fs::write(out.join("explanations.rs"), texts(&explanations)).expect("OUT_DIR is ours");
    fs::write(out.join("examples.rs"), examples(explanations)).expect("OUT_DIR is ours");
}

/// Returns the files in `explain`, with the names of the kinds that they explain.
fn explanations() -> Vec<(PathBuf, PathBuf)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("explain");
    let mut files = Vec::new();
    collect(&folder, Path::new(""), &mut files);
    for (name, _) in &mut files {
        name.set_extension("");
    }
    files.sort();
    files
}

/// Returns a table of the texts by kind.
fn texts(explanations: &[(PathBuf, PathBuf)]) -> String {
    let entries = explanations.iter().map(|(kind, path)| {
        let [kind, path] = [kind, path].map(|it| it.to_str().expect("paths are UTF-8"));
        format!("({kind:?}, include_str!({path:?})),\n")
    });
    format!("&[\n{}]", entries.collect::<String>())
}

/// Returns each explanation's example as a module, and a list of their names and `main`s.
fn examples(explanations: Vec<(PathBuf, PathBuf)>) -> String {
    let (mut modules, mut list) = (String::new(), String::new());
    for (kind, path) in explanations {
        let kind = kind.to_str().expect("kinds are ASCII");
        let text = fs::read_to_string(path).expect("it was just listed");
        let (_, code) = text.split_once("```rust\n").expect("each has an example");
        let (code, _) = code.split_once("```\n").expect("it ends");
        let code = code.replace("\nfn main()", "\npub(super) fn main()");
        let code = code.replace("\nasync fn main()", "\npub(super) async fn main()");
        writeln!(
            modules,
            "#[allow(clippy::all, clippy::pedantic)]\n\
             mod {kind} {{\n#[allow(unused_imports, reason = \"not each example has both\")]\nuse super::{{checked as std, tokio}};\n{code}}}\n"
        )
        .expect("strings can be written to");
        write!(list, "({kind:?}, {kind}::main), ").expect("strings can be written to");
    }
    format!("{modules}const EXAMPLES: &[(&str, fn())] = &[{list}];\n")
}

/// Collects all files below a folder, with their names in the embedded copy.
fn collect(folder: &Path, name: &Path, files: &mut Vec<(PathBuf, PathBuf)>) {
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder).expect("the library's source is next to this package") {
        let entry = entry.expect("the library's source can be read");
        let (path, name) = (entry.path(), name.join(entry.file_name()));
        if path.is_dir() {
            collect(&path, &name, files);
        } else {
            println!("cargo::rerun-if-changed={}", path.display());
            files.push((name, path));
        }
    }
}

/// Returns the library's manifest without the sections that refer to files that are not embedded.
fn runtime_manifest(path: &Path) -> String {
    println!("cargo::rerun-if-changed={}", path.display());
    let text = fs::read_to_string(path).expect("the library has a manifest");
    let mut manifest: toml::Table = text.parse().expect("the library's manifest is valid");
    for section in ["workspace", "lints", "bench", "test", "example", "dev-dependencies"] {
        manifest.remove(section);
    }
    let targets = manifest.get_mut("target").and_then(toml::Value::as_table_mut);
    for (_, target) in targets.into_iter().flatten() {
        target.as_table_mut().and_then(|target| target.remove("dev-dependencies"));
    }
    if let Some(package) = manifest.get_mut("package").and_then(toml::Value::as_table_mut) {
        package.remove("readme");
    }
    manifest.to_string()
}
