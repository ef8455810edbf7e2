//! The project that is checked, and the tools that it is built with.

use std::{
    collections::BTreeSet,
    env,
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use cargo_config2::Config;
use cargo_metadata::{Error, Metadata, MetadataCommand};

use crate::{Result, cannot, cannot_start, cargo_options::take_option};

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) cargo: OsString,
    /// Where the builds go: the project's own folder for them.
    pub(crate) target_folder: PathBuf,
    /// cargo's configuration names another one for what only builds need (`build.build-dir`).
    has_build_folder: bool,
    pub(crate) rustc: PathBuf,
    /// What `rustc -vV` says.
    pub(crate) rustc_version: String,
    /// For which target the program is built.
    pub(crate) target: String,
    /// cargo must not use the network.
    pub(crate) offline: bool,
    /// What cargo would call in rustc's place, and in rustdoc's.
    pub(crate) rustc_wrapper: Option<PathBuf>,
    pub(crate) rustdoc: Option<PathBuf>,
    /// The packages of the workspace.
    pub(crate) members: BTreeSet<String>,
}

impl Project {
    /// Looks at the project in the current folder, or at that which cargo's arguments name.
    /// Takes out of them what we have to say ourselves: the target, and the target folder.
    pub(crate) fn find(arguments: &mut Vec<OsString>) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let named = take_option(arguments, "--target")?;
        let target_folder = take_option(arguments, "--target-dir")?;
        // Where there is no project, cargo says so.
        let metadata = metadata(&cargo, arguments, &["--no-deps"])?;
        let has_build_folder =
            metadata.build_directory.is_some_and(|folder| folder != metadata.target_directory);
        let target_folder = match target_folder {
            Some(folder) => {
                std::path::absolute(folder).map_err(cannot("find the target folder"))?
            }
            None => metadata.target_directory.into(),
        };

        // With what the environment says of it.
        let config = Config::load().map_err(cannot("read cargo's configuration"))?;
        let rustc = config.build.rustc.clone().unwrap_or_else(|| "rustc".into());
        let rustc_version = rustc_version(&rustc)?;
        let named = named.map(|target| target.to_string_lossy().into_owned());
        let targets = config.build_target_for_cli(named).map_err(cannot("find the target"))?;
        let target = match &targets[..] {
            [] => host(&rustc_version)?,
            // cargo's word, which rustc does not know.
            [target] if target == "host-tuple" => host(&rustc_version)?,
            [target] => target,
            _ => return Err("more than one target: choose one by `--target`".to_owned()),
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
            cargo,
            rustc,
            rustc_version,
        })
    }

    /// The names of all packages that may be a part of the program, with whatever features.
    pub(crate) fn packages(&self, arguments: &[OsString]) -> Result<BTreeSet<String>> {
        let all = ["--all-features", "--filter-platform", &self.target];
        let metadata = metadata(&self.cargo, arguments, &all)?;
        Ok(metadata.packages.iter().map(|package| package.name.to_string()).collect())
    }

    /// Has cargo build all in our folder. Crates in one that is shared with the user's builds would
    /// be taken for theirs: to cargo, they differ in nothing.
    pub(crate) fn keep_out_of_build_folder(&self, cargo: &mut Command, folder: &Path) {
        if self.has_build_folder {
            // Not in the environment, where tests that call cargo would have it. A string of JSON's
            // is one of TOML's.
            let folder = serde_json::Value::from(folder.to_string_lossy());
            cargo.arg("--config").arg(format!("build.build-dir={folder}"));
        }
    }

    /// rustc's version: `1.95.0`.
    pub(crate) fn rustc_release(&self) -> Option<&str> {
        line(&self.rustc_version, "release")
    }
}

fn rustc_version(rustc: &Path) -> Result<String> {
    let mut rustc = Command::new(rustc);
    let output =
        rustc.arg("-vV").stderr(Stdio::inherit()).output().map_err(cannot_start(&rustc))?;
    String::from_utf8(output.stdout).map_err(cannot("read what `rustc -vV` says"))
}

fn host(rustc_version: &str) -> Result<&str> {
    line(rustc_version, "host").ok_or_else(|| "`rustc -vV` does not say its host".to_owned())
}

/// A value of what `rustc -vV` says.
fn line<'a>(version: &'a str, name: &str) -> Option<&'a str> {
    version.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
}

/// What cargo knows of a project. Its own messages are shown.
pub(crate) fn metadata(
    cargo: &OsStr,
    arguments: &[OsString],
    options: &[&str],
) -> Result<Metadata> {
    let mut options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
    let handed_on = ["--offline", "--frozen", "--locked"].map(OsStr::new);
    let handed_on = arguments.iter().filter(|argument| handed_on.contains(&argument.as_os_str()));
    options.extend(handed_on.map(|argument| argument.to_string_lossy().into_owned()));
    let mut command = MetadataCommand::new();
    command.cargo_path(cargo).other_options(options).verbose(true);
    if let Some(path) = take_option(&mut arguments.to_vec(), "--manifest-path")? {
        command.manifest_path(path);
    }
    command.exec().map_err(|error| match error {
        // cargo has said why.
        Error::CargoMetadata { .. } => String::new(),
        Error::Io(error) => cannot(format!("start `{}`", cargo.display()))(error),
        error => error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_rustc_says_of_itself_is_read() {
        let version = "rustc 1.95.0 (0a 2026-03-21)\nhost: x86_64-linux\nrelease: 1.95.0\n";
        assert_eq!(line(version, "host"), Some("x86_64-linux"));
        assert_eq!(line(version, "release"), Some("1.95.0"));
        assert_eq!(line(version, "LLVM version"), None);
    }
}
