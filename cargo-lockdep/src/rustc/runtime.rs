//! The runtime, whose facade replaces std: unpacked from this program, built for the current
//! toolchain and target, and cached.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{Result, cannot, cannot_start, project::Project, selection::Selection};

/// The sources of the library and of the facade: file names and contents.
const LIBRARY: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/library.rs"));
const FACADE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../runtime/manifest.toml")),
    ("async_io.rs", include_str!("../../runtime/async_io.rs")),
    ("async_lock.rs", include_str!("../../runtime/async_lock.rs")),
    ("async_task.rs", include_str!("../../runtime/async_task.rs")),
    ("counts.rs", include_str!("../../runtime/counts.rs")),
    ("facade.rs", include_str!("../../runtime/facade.rs")),
    ("futures_executor.rs", include_str!("../../runtime/futures_executor.rs")),
    ("futures_lite.rs", include_str!("../../runtime/futures_lite.rs")),
    ("futures_util.rs", include_str!("../../runtime/futures_util.rs")),
    ("lock_api.rs", include_str!("../../runtime/lock_api.rs")),
    ("lock_api_0_5.rs", include_str!("../../runtime/lock_api_0_5.rs")),
    ("once_cell.rs", include_str!("../../runtime/once_cell.rs")),
    ("parking_lot.rs", include_str!("../../runtime/parking_lot.rs")),
    ("parking_lot_0_13.rs", include_str!("../../runtime/parking_lot_0_13.rs")),
    ("rayon_core.rs", include_str!("../../runtime/rayon_core.rs")),
    ("streams/Cargo.toml", include_str!("../../runtime/streams/manifest.toml")),
    ("streams/io/handles.rs", include_str!("../../runtime/streams/io/handles.rs")),
    ("streams/io/mod.rs", include_str!("../../runtime/streams/io/mod.rs")),
    ("streams/io/stream.rs", include_str!("../../runtime/streams/io/stream.rs")),
    ("streams/io/terminal.rs", include_str!("../../runtime/streams/io/terminal.rs")),
    ("streams/lib.rs", include_str!("../../runtime/streams/lib.rs")),
    ("streams/prelude.rs", include_str!("../../runtime/streams/prelude.rs")),
    ("streams/print.rs", include_str!("../../runtime/streams/print.rs")),
    ("tokio.rs", include_str!("../../runtime/tokio.rs")),
    ("tracing/Cargo.toml", include_str!("../../runtime/tracing/manifest.toml")),
    ("tracing/fields.rs", include_str!("../../runtime/tracing/fields.rs")),
    ("tracing/instrumented.rs", include_str!("../../runtime/tracing/instrumented.rs")),
    ("tracing/lib.rs", include_str!("../../runtime/tracing/lib.rs")),
    ("tracing/span.rs", include_str!("../../runtime/tracing/span.rs")),
];

/// The sources that decide how crates are compiled. Their hash is part of the folder's name,
/// because cargo would not recompile crates when these rules change.
const RULES: [&str; 3] =
    [include_str!("replacement.rs"), include_str!("classify.rs"), include_str!("compile.rs")];

/// The crate name of the facade.
const NAME: &str = "lockdep_std";

/// The crate name of the facade with checked streams.
const STREAMS: &str = "lockdep_streams";

/// The crate name of what tokio gets as `tracing`.
const TRACING: &str = "lockdep_tracing";

/// Returns the folder below the runtime's folder in which the program is built.
pub(crate) fn build_folder(folder: &Path, selection: &Selection) -> PathBuf {
    folder.join("build").join(selection.folder_name())
}

/// Returns the folder with the notes on its crates.
pub(crate) fn notes(folder: &Path, selection: &Selection) -> PathBuf {
    folder.join("crates").join(selection.folder_name())
}

/// The file that says where the built runtime is.
const BUILT: &str = "runtime.json";

/// A built runtime.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// The facade.
    pub(crate) std: PathBuf,
    /// The facade with checked streams, if the toolchain can compile it.
    pub(crate) streams: Option<PathBuf>,
    /// The `tracing` that reports tokio's tasks. It has the future of a task.
    pub(crate) tracing: PathBuf,
    /// The library.
    pub(crate) lockdep: PathBuf,
    /// The sources.
    pub(crate) source: PathBuf,
    /// The folders of its dependencies.
    pub(crate) search: BTreeSet<PathBuf>,
    /// The crates with which the library writes records, by name.
    pub(crate) writers: BTreeMap<String, PathBuf>,
}

/// The crates with which the library writes records.
const WRITERS: [&str; 2] = ["serde", "serde_json_core"];

/// The facade that a crate gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Std {
    /// With checked locks and streams.
    Streams,
    /// With checked locks.
    Locks,
}

impl Runtime {
    /// Loads the runtime from the folder that [`prepare`] returned.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let file = folder.join(BUILT);
        let text = fs::read(&file).map_err(cannot(format!("read {}", file.display())))?;
        serde_json::from_slice(&text).map_err(cannot(format!("read {}", file.display())))
    }

    /// Returns the available facades, best first.
    pub(crate) fn facades(&self) -> Vec<Std> {
        self.streams.iter().map(|_| Std::Streams).chain([Std::Locks]).collect()
    }

    pub(crate) fn add_std(&self, command: &mut Command, std: Std) {
        let path = match (std, &self.streams) {
            (Std::Streams, Some(streams)) => streams,
            _ => &self.std,
        };
        let mut std = "std=".to_owned();
        std.push_str(&path.to_string_lossy());
        command.arg("--extern").arg(std);
    }

    pub(crate) fn add_search(&self, command: &mut Command) {
        for folder in &self.search {
            let mut dependency = "dependency=".to_owned();
            dependency.push_str(&folder.to_string_lossy());
            command.arg("-L").arg(dependency);
        }
    }
}

/// Builds the runtime if necessary. Returns its folder, which is specific to the version of this
/// program, the toolchain and the target, and holds everything built with it.
pub(crate) fn prepare(project: &Project) -> Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    (LIBRARY, FACADE, RULES, PROFILE, RUSTFLAGS).hash(&mut hash);
    (&project.rustc_version, &project.target).hash(&mut hash);
    let folder = project.target_folder.join("lockdep").join(format!("{:016x}", hash.finish()));
    let at_folder = || format!("write to {}", folder.display());
    fs::create_dir_all(&folder).map_err(cannot(at_folder()))?;

    // Another `cargo lockdep` may be building it. Closing the file releases the lock.
    let lock = File::create(folder.join("lock")).map_err(cannot(at_folder()))?;
    lock.lock().map_err(cannot(at_folder()))?;
    if Runtime::load(&folder).is_ok_and(|runtime| runtime.std.exists()) {
        return Ok(folder);
    }
    look_at_toolchain(project)?;
    let source = folder.join("source");
    unpack(&source).map_err(cannot(at_folder()))?;
    eprintln!("lockdep: building the checked std, once per toolchain and target");
    let runtime = build(project, &source, &folder.join("runtime"))?;
    let text = serde_json::to_vec(&runtime).map_err(cannot(at_folder()))?;
    fs::write(folder.join(BUILT), text).map_err(cannot(at_folder()))?;
    Ok(folder)
}

fn unpack(folder: &Path) -> std::io::Result<()> {
    for (name, text) in LIBRARY.iter().chain(FACADE) {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

/// A crate that cargo has built.
#[derive(Deserialize)]
struct Artifact {
    target: Target,
    filenames: Vec<PathBuf>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
}

/// The oldest rustc that can build the library.
const OLDEST_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// Checks for errors that would otherwise be repeated for each crate, or hidden by a retry.
fn look_at_toolchain(project: &Project) -> Result<()> {
    if let Some(release) = project.rustc_release().filter(|release| is_too_old(release)) {
        return Err(format!("rustc {release} is too old: checked locks need {OLDEST_RUSTC}"));
    }
    let target = &project.target;
    let mut rustc = Command::new(&project.rustc);
    let output = rustc
        .args(["--print", "target-libdir", "--target", target])
        .stderr(Stdio::inherit())
        .output()
        .map_err(cannot_start(&rustc))?;
    if !output.status.success() {
        return Err(format!("rustc knows no target `{target}`"));
    }
    if Path::new(String::from_utf8_lossy(&output.stdout).trim()).exists() {
        Ok(())
    } else {
        Err(format!("the target `{target}` is not installed: `rustup target add {target}`"))
    }
}

fn is_too_old(release: &str) -> bool {
    let version = |text: &str| {
        let mut numbers = text.split(['.', '-']).map(str::parse::<u32>);
        Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
    };
    version(release).is_some_and(|release| Some(release) < version(OLDEST_RUSTC))
}

/// Overrides the user's configuration. Crates that abort do not link with crates that unwind, which
/// tests do, and crates with only bitcode would be compiled at each link.
const PROFILE: [&str; 2] = ["profile.release.panic = \"unwind\"", "profile.release.lto = false"];

/// The flags of the runtime's crates.
///
/// Several `metadata` values are combined. Without this one, a program that has a dependency in
/// common with the runtime, at the same version, would contain two crates with the same id, which
/// crashes rustc. The bitcode is for programs whose profile has `lto`; they do not link without it. The cfg is for the
/// library's settings, whose variables have other names there.
const RUSTFLAGS: &str = "-Cmetadata=lockdep-runtime\x1f-Cembed-bitcode=yes\x1f--cap-lints=allow\x1f\
    --cfg=lockdep_runtime";

/// Lets the named crates use internals of std on a stable compiler.
const UNLOCK: &str = "RUSTC_BOOTSTRAP";

/// Builds both facades. The one with checked streams may fail, because not every toolchain has the
/// internals that it needs.
fn build(project: &Project, source: &Path, target_folder: &Path) -> Result<Runtime> {
    let std = run_cargo(project, source, target_folder, |cargo| cargo.stderr(Stdio::inherit()))?
        .ok_or_else(|| format!("the checked std could not be built for {}", project.target))?;
    let streams = run_cargo(project, source, target_folder, |cargo| {
        cargo.args(["--package", "lockdep-streams"]).env(UNLOCK, STREAMS).stderr(Stdio::null())
    })?;
    if streams.is_none() {
        eprintln!("lockdep: this toolchain does not support checked stdin, stdout and stderr");
    }
    runtime_of(std.into_iter().chain(streams.into_iter().flatten()), source)
        .ok_or_else(|| "cargo did not report where the checked std is".to_owned())
}

/// Runs cargo. Returns the crates that it built, or `None` if it failed.
fn run_cargo(
    project: &Project,
    source: &Path,
    target_folder: &Path,
    of_one: impl FnOnce(&mut Command) -> &mut Command,
) -> Result<Option<Vec<Artifact>>> {
    let mut cargo = Command::new(&project.cargo);
    cargo
        .args(["build", "--release", "--message-format=json-render-diagnostics", "--target"])
        .arg(&project.target)
        .arg("--manifest-path")
        .arg(source.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target_folder)
        .args(project.offline.then_some("--offline"))
        .args(PROFILE.iter().flat_map(|setting| ["--config", setting]))
        .env("CARGO_ENCODED_RUSTFLAGS", RUSTFLAGS);
    of_one(&mut cargo);
    project.keep_out_of_build_folder(&mut cargo, target_folder);
    let output = cargo.output().map_err(cannot_start(&cargo))?;
    let lines = output.stdout.split(|&byte| byte == b'\n');
    let artifacts = lines.filter_map(|line| serde_json::from_slice::<Artifact>(line).ok());
    Ok(output.status.success().then(|| artifacts.collect()))
}

fn runtime_of(artifacts: impl Iterator<Item = Artifact>, source: &Path) -> Option<Runtime> {
    let (mut std, mut streams, mut tracing, mut lockdep) = (None, None, None, None);
    let (mut search, mut writers) = (BTreeSet::new(), BTreeMap::new());
    for Artifact { target, filenames } in artifacts {
        for file in filenames {
            // Cargo copies the facade to the folder above the one with its dependencies.
            search.extend(file.parent().map(Path::to_owned));
            if file.extension().is_some_and(|kind| kind == "rlib") {
                match &*target.name {
                    NAME => std = Some(file),
                    STREAMS => streams = Some(file),
                    TRACING => tracing = Some(file),
                    "lockdep" => lockdep = Some(file),
                    name if WRITERS.contains(&name) => {
                        _ = writers.insert(target.name.clone(), file);
                    }
                    _ => {}
                }
            }
        }
    }
    let (std, tracing, lockdep) = (std?, tracing?, lockdep?);
    Some(Runtime { std, streams, tracing, lockdep, source: source.to_owned(), search, writers })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_manifest_names_only_embedded_files() {
        let text = |wanted: &str| LIBRARY.iter().find(|(name, _)| *name == wanted).unwrap().1;
        assert!(text("lockdep/src/sync/mutex.rs").contains("struct Mutex"));
        let manifest = text("lockdep/Cargo.toml");
        assert!(manifest.contains("enforce"));
        for section in ["[workspace", "bench]]", "dev-dependencies"] {
            assert!(!manifest.contains(section), "{section}");
        }
    }

    #[test]
    fn an_old_rustc_is_known() {
        assert!(is_too_old("1.94.1"));
        assert!(!is_too_old(OLDEST_RUSTC));
        assert!(!is_too_old("1.95.0-beta.2") && !is_too_old("1.103.0-nightly"));
        assert!(!is_too_old("2.0.0"));
    }

    #[test]
    fn the_runtime_is_found_among_what_cargo_has_built() {
        let artifact = |name: &str, file: &str| Artifact {
            target: Target { name: name.to_owned() },
            filenames: vec![file.into()],
        };
        let built = [
            artifact("lockdep", "t/deps/liby-1.rlib"),
            artifact(NAME, "t/libx.rlib"),
            artifact(TRACING, "t/libz.rlib"),
        ];
        let runtime = runtime_of(built.into_iter(), Path::new("s")).unwrap();
        assert_eq!(runtime.lockdep, Path::new("t/deps/liby-1.rlib"));
        assert_eq!(runtime.std, Path::new("t/libx.rlib"));
        assert!(runtime.search.contains(Path::new("t/deps")));
    }
}
