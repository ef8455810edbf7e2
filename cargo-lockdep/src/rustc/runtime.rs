//! The crate that takes std's place: unpacked from this program, built for the toolchain and
//! target at hand, and kept for the next time.

use std::{
    collections::BTreeSet,
    fs::{self, File},
    hash::{DefaultHasher, Hash, Hasher},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::{Deserialize, Serialize};

use crate::{Result, cannot, cannot_start, project::Project, selection::Selection};

/// The library's source, and what makes a `std` of it: names and contents of files.
const LIBRARY: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/library.rs"));
const FACADE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../runtime/manifest.toml")),
    ("counts.rs", include_str!("../../runtime/counts.rs")),
    ("facade.rs", include_str!("../../runtime/facade.rs")),
    ("lock_api.rs", include_str!("../../runtime/lock_api.rs")),
    ("once_cell.rs", include_str!("../../runtime/once_cell.rs")),
    ("parking_lot.rs", include_str!("../../runtime/parking_lot.rs")),
    ("parking_lot_0_13.rs", include_str!("../../runtime/parking_lot_0_13.rs")),
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

/// What decides how crates are compiled: cargo does not know of it, and would leave them as they
/// were when it has changed.
const RULES: [&str; 3] =
    [include_str!("replacement.rs"), include_str!("classify.rs"), include_str!("compile.rs")];

/// The facade's name, as rustc has it.
const NAME: &str = "lockdep_std";

/// The same of the one with checked streams.
const STREAMS: &str = "lockdep_streams";

/// The same of what tokio gets by the name of `tracing`.
const TRACING: &str = "lockdep_tracing";

/// Where the program is built, below the runtime's folder.
pub(crate) fn build_folder(folder: &Path, selection: &Selection) -> PathBuf {
    folder.join("build").join(selection.folder_name())
}

/// Where the notes about its crates are.
pub(crate) fn notes(folder: &Path, selection: &Selection) -> PathBuf {
    folder.join("crates").join(selection.folder_name())
}

/// Says where the runtime is, when it is built.
const BUILT: &str = "runtime.json";

/// A runtime that is built.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// The facade.
    pub(crate) std: PathBuf,
    /// The facade with checked streams, if the toolchain allows it.
    pub(crate) streams: Option<PathBuf>,
    /// Reports tokio's tasks.
    pub(crate) tracing: PathBuf,
    /// The library.
    pub(crate) lockdep: PathBuf,
    /// The sources.
    pub(crate) source: PathBuf,
    /// Where its dependencies are.
    pub(crate) search: BTreeSet<PathBuf>,
}

/// Which facade a crate gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Std {
    /// With checked locks and streams.
    Streams,
    /// With checked locks.
    Locks,
}

impl Runtime {
    /// Of the folder that [`prepare`] has given.
    pub(crate) fn load(folder: &Path) -> Result<Self> {
        let file = folder.join(BUILT);
        let text = fs::read(&file).map_err(cannot(format!("read {}", file.display())))?;
        serde_json::from_slice(&text).map_err(cannot(format!("read {}", file.display())))
    }

    /// The facades that there are, the best one first.
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

/// Builds the runtime, unless it is there. Gives back its folder, one for each version of this
/// program, toolchain and target, where all that is made with it belongs.
pub(crate) fn prepare(project: &Project) -> Result<PathBuf> {
    let mut hash = DefaultHasher::new();
    (LIBRARY, FACADE, RULES, PROFILE, RUSTFLAGS).hash(&mut hash);
    (&project.rustc_version, &project.target).hash(&mut hash);
    let folder = project.target_folder.join("lockdep").join(format!("{:016x}", hash.finish()));
    let at_folder = || format!("write to {}", folder.display());
    fs::create_dir_all(&folder).map_err(cannot(at_folder()))?;

    // Another of us may be at it. Given back when this file is closed.
    let lock = File::create(folder.join("lock")).map_err(cannot(at_folder()))?;
    lock.lock().map_err(cannot(at_folder()))?;
    if Runtime::load(&folder).is_ok_and(|runtime| runtime.std.exists()) {
        return Ok(folder);
    }
    look_at_toolchain(project)?;
    let source = folder.join("source");
    unpack(&source).map_err(cannot(at_folder()))?;
    eprintln!("lockdep: builds the checked std, once for this toolchain and target");
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

/// The oldest rustc that the library can be built with.
const OLDEST_RUSTC: &str = env!("CARGO_PKG_RUST_VERSION");

/// What would otherwise be said many times over, or by a rustc that is given up on.
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

/// What the user's configuration may say otherwise, for programs: crates that abort do not link with
/// those that unwind, as tests do, and crates of bitcode alone are compiled at each link.
const PROFILE: [&str; 2] = ["profile.release.panic = \"unwind\"", "profile.release.lto = false"];

/// What its crates are compiled with.
///
/// Two `metadata` add up. Without this one, a program that depends on a crate that the runtime
/// depends on, at the same version, would have two crates with one id, at which rustc crashes.
/// The bitcode is for programs whose profile has `lto`, which do not link without it.
const RUSTFLAGS: &str = "-Cmetadata=lockdep-runtime\x1f-Cembed-bitcode=yes\x1f--cap-lints=allow";

/// Lets the crates that it names use internals of std with a stable compiler.
const UNLOCK: &str = "RUSTC_BOOTSTRAP";

/// Builds both crates; the second one's failure is not an error, as not every toolchain has what it needs.
fn build(project: &Project, source: &Path, target_folder: &Path) -> Result<Runtime> {
    let std = run_cargo(project, source, target_folder, |cargo| cargo.stderr(Stdio::inherit()))?
        .ok_or_else(|| format!("the checked std could not be built for {}", project.target))?;
    let streams = run_cargo(project, source, target_folder, |cargo| {
        cargo.args(["--package", "lockdep-streams"]).env(UNLOCK, STREAMS).stderr(Stdio::null())
    })?;
    if streams.is_none() {
        eprintln!("lockdep: stdout, stderr and stdin are std's own with this toolchain");
    }
    runtime_of(std.into_iter().chain(streams.into_iter().flatten()), source)
        .ok_or_else(|| "cargo does not say where the checked std is".to_owned())
}

/// What cargo has built, if it could be.
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
    let mut search = BTreeSet::new();
    for Artifact { target, filenames } in artifacts {
        for file in filenames {
            // The facade itself is copied to the folder above that of its dependencies.
            search.extend(file.parent().map(Path::to_owned));
            if file.extension().is_some_and(|kind| kind == "rlib") {
                match &*target.name {
                    NAME => std = Some(file),
                    STREAMS => streams = Some(file),
                    TRACING => tracing = Some(file),
                    "lockdep" => lockdep = Some(file),
                    _ => {}
                }
            }
        }
    }
    let (std, tracing, lockdep) = (std?, tracing?, lockdep?);
    Some(Runtime { std, streams, tracing, lockdep, source: source.to_owned(), search })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_is_embedded_without_what_is_not() {
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
