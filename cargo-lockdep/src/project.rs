//! The project to check, and the tools that build it.

use std::{
    cmp::Reverse,
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_config2::{Config, ResolveOptions};
use cargo_metadata::{Error, Metadata, MetadataCommand, Package, Target};

use crate::{
    Result, cannot, cannot_start,
    cargo_options::{take_assignments, take_option, values},
};

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) cargo: OsString,
    /// The project's own target folder.
    pub(crate) target_folder: PathBuf,
    /// Cargo's configuration sets another folder for intermediate files (`build.build-dir`).
    has_build_folder: bool,
    pub(crate) rustc: PathBuf,
    /// The output of `rustc -vV`.
    pub(crate) rustc_version: String,
    /// The target for which the program is built.
    pub(crate) target: String,
    /// Cargo must not use the network.
    pub(crate) offline: bool,
    /// The wrapper and the rustdoc that are already configured.
    pub(crate) rustc_wrapper: Option<PathBuf>,
    pub(crate) rustdoc: Option<PathBuf>,
    /// The names of the workspace's packages.
    pub(crate) members: BTreeSet<String>,
    pub(crate) workspace: Workspace,
}

/// The workspace, to whose root paths in messages are relative.
#[derive(Debug)]
pub(crate) struct Workspace {
    pub(crate) root: PathBuf,
    packages: Vec<Package>,
}

impl Project {
    /// Finds the project in the current folder, or the one that cargo's arguments name. Removes the
    /// arguments that we set ourselves: the target and the target folder.
    pub(crate) fn find(arguments: &mut Vec<OsString>) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let named = take_option(arguments, "--target")?;
        let target_folder = take_option(arguments, "--target-dir")?;
        // Without a project, cargo reports the error.
        let metadata = metadata(&cargo, arguments, &["--no-deps"])?;
        let has_build_folder =
            metadata.build_directory.is_some_and(|folder| folder != metadata.target_directory);
        let target_folder = match target_folder {
            Some(folder) => {
                std::path::absolute(folder).map_err(cannot("find the target folder"))?
            }
            None => metadata.target_directory.into(),
        };

        let config = configuration(arguments)?;
        let rustc = config.build.rustc.clone().unwrap_or_else(|| "rustc".into());
        let rustc_version = rustc_version(&rustc)?;
        let named = named.map(|target| target.to_string_lossy().into_owned());
        let targets = config.build_target_for_cli(named).map_err(cannot("find the target"))?;
        let target = match &targets[..] {
            [] => host(&rustc_version)?,
            // A value that cargo accepts and rustc does not know.
            [target] if target == "host-tuple" => host(&rustc_version)?,
            [target] => target,
            _ => {
                return Err(
                    "more than one target is configured; choose one with `--target`".to_owned()
                );
            }
        };
        let is_set = |path: &PathBuf| !path.as_os_str().is_empty();
        Ok(Self {
            target: target.to_owned(),
            target_folder,
            has_build_folder,
            offline: arguments.iter().any(|a| a == "--offline" || a == "--frozen"),
            rustc_wrapper: config.build.rustc_wrapper.filter(is_set),
            rustdoc: config.build.rustdoc.filter(is_set),
            members: metadata.packages.iter().map(|package| package.name.to_string()).collect(),
            workspace: Workspace::new(metadata.workspace_root.into(), metadata.packages),
            cargo,
            rustc,
            rustc_version,
        })
    }

    /// Returns the folder for the records of the last run.
    pub(crate) fn last_run(&self) -> PathBuf {
        last_run(&self.target_folder)
    }

    /// Returns the names of all packages that may be part of the program, with any features.
    pub(crate) fn packages(&self, arguments: &[OsString]) -> Result<BTreeSet<String>> {
        let all = ["--all-features", "--filter-platform", &self.target];
        let metadata = metadata(&self.cargo, arguments, &all)?;
        Ok(metadata.packages.iter().map(|package| package.name.to_string()).collect())
    }

    /// Makes cargo build everything in our folder. In a shared build folder, cargo would mistake
    /// our crates for the user's: it sees no difference between them.
    pub(crate) fn keep_out_of_build_folder(&self, cargo: &mut Command, folder: &Path) {
        if self.has_build_folder {
            // Not through the environment, which tests that call cargo would inherit. A JSON string
            // is also a TOML string.
            let folder = serde_json::Value::from(folder.to_string_lossy());
            cargo.arg("--config").arg(format!("build.build-dir={folder}"));
        }
    }

    /// Returns rustc's version: `1.95.0`.
    pub(crate) fn rustc_release(&self) -> Option<&str> {
        line(&self.rustc_version, "release")
    }
}

impl Workspace {
    fn new(root: PathBuf, packages: Vec<Package>) -> Self {
        Self { root, packages }
    }

    /// Returns the workspace of the current folder, if there is one.
    pub(crate) fn here() -> Option<Self> {
        let metadata = MetadataCommand::new().no_deps().exec().ok()?;
        Some(Self::new(metadata.workspace_root.into(), metadata.packages))
    }

    /// Returns the package and the target of the first of these files that is in one. If none is, those of the
    /// package at the root, or else of the first one.
    pub(crate) fn owner<'a>(
        &self,
        mut files: impl Iterator<Item = &'a Path>,
    ) -> Option<(&Package, &Target)> {
        files.find_map(|file| self.target_of(&self.root.join(file))).or_else(|| {
            let is_at_root =
                |it: &&Package| it.manifest_path.parent().is_some_and(|folder| folder == self.root);
            let package =
                self.packages.iter().find(is_at_root).or_else(|| self.packages.first())?;
            Some((package, package.targets.first()?))
        })
    }

    /// Returns the target that is this file, or else the one whose folder is closest above it.
    fn target_of(&self, file: &Path) -> Option<(&Package, &Target)> {
        let targets = self.packages.iter().flat_map(|it| it.targets.iter().map(move |to| (it, to)));
        let closeness = |target: &Target| {
            let folder = target.src_path.parent()?;
            let is_below = file.starts_with(folder);
            is_below.then(|| (target.src_path == file, folder.components().count()))
        };
        let closest =
            targets.filter_map(|(package, target)| Some((closeness(target)?, package, target)));
        // Of equal ones the first: the library comes before the programs.
        let (_, package, target) = closest.min_by_key(|(closeness, ..)| Reverse(*closeness))?;
        Some((package, target))
    }
}

/// The keys of cargo's configuration that we set ourselves.
const OUR_KEYS: [&str; 3] = ["build.build-dir", "build.rustc-wrapper", "build.rustdoc"];

/// Returns cargo's configuration, which includes its environment variables and `--config KEY=VALUE`. Removes the
/// arguments that say otherwise than we do.
fn configuration(arguments: &mut Vec<OsString>) -> Result<Config> {
    let mut read = arguments.clone();
    let mut assigned = take_assignments(&mut read, &["build.rustc", "build.target"]);
    assigned.extend(take_assignments(arguments, &OUR_KEYS));
    let variable = |(key, value): (String, String)| {
        let name = key.to_uppercase().replace(['.', '-'], "_");
        (OsString::from(format!("CARGO_{name}")), OsString::from(value))
    };
    let environment = env::vars_os().chain(assigned.into_iter().map(variable));
    let options = ResolveOptions::default().env(environment);
    let folder = env::current_dir().map_err(cannot("find the current folder"))?;
    Config::load_with_options(folder, options).map_err(cannot("read cargo's configuration"))
}

/// Returns the folder for the records of the last run of the project in the current folder.
pub(crate) fn last_run_here() -> Result<PathBuf> {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    Ok(last_run(metadata(&cargo, &[], &["--no-deps"])?.target_directory.as_std_path()))
}

fn last_run(target_folder: &Path) -> PathBuf {
    target_folder.join("lockdep").join("last-run")
}

fn rustc_version(rustc: &Path) -> Result<String> {
    let mut rustc = Command::new(rustc);
    let output =
        rustc.arg("-vV").stderr(Stdio::inherit()).output().map_err(cannot_start(&rustc))?;
    String::from_utf8(output.stdout).map_err(cannot("read the output of `rustc -vV`"))
}

fn host(rustc_version: &str) -> Result<&str> {
    line(rustc_version, "host").ok_or_else(|| "`rustc -vV` prints no host".to_owned())
}

/// Returns one value from the output of `rustc -vV`.
fn line<'a>(version: &'a str, name: &str) -> Option<&'a str> {
    version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// Returns cargo's metadata for a project. Cargo prints its own errors.
pub(crate) fn metadata(
    cargo: &OsStr,
    arguments: &[OsString],
    options: &[&str],
) -> Result<Metadata> {
    let mut options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
    let handed_on = ["--offline", "--frozen", "--locked"].map(OsStr::new);
    let handed_on = arguments.iter().filter(|argument| handed_on.contains(&argument.as_os_str()));
    options.extend(handed_on.map(|argument| argument.to_string_lossy().into_owned()));
    let configs = values(arguments, "--config");
    options.extend(configs.into_iter().flat_map(|config| ["--config".to_owned(), config]));
    let mut command = MetadataCommand::new();
    command.cargo_path(cargo).other_options(options).verbose(true);
    if let Some(path) = take_option(&mut arguments.to_vec(), "--manifest-path")? {
        command.manifest_path(path);
    }
    command.exec().map_err(|error| match error {
        // Cargo has printed the reason.
        Error::CargoMetadata { .. } => String::new(),
        Error::Io(error) => cannot(format!("start `{}`", cargo.display()))(error),
        error => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rustc_version_output_is_parsed() {
        let version = "rustc 1.95.0 (0a 2026-03-21)\nhost: x86_64-linux\nrelease: 1.95.0\n";
        assert_eq!(line(version, "host"), Some("x86_64-linux"));
        assert_eq!(line(version, "release"), Some("1.95.0"));
        assert_eq!(line(version, "LLVM version"), None);
    }
}
