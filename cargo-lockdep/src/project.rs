//! The project that is checked, and the tools that it is built with.

use std::{
    env,
    ffi::OsString,
    path::PathBuf,
    process::{Command, Stdio},
};

use serde::Deserialize;

use crate::{Result, arguments::take_option, cannot, cannot_start};

#[derive(Debug)]
pub(crate) struct Project {
    pub(crate) cargo: OsString,
    /// Where the builds go: the project's own folder for them.
    pub(crate) target_folder: PathBuf,
    /// What `rustc -vV` says.
    pub(crate) rustc_version: String,
    /// For which target the program is built.
    pub(crate) target: String,
    /// cargo must not use the network.
    pub(crate) offline: bool,
}

impl Project {
    /// Looks at the project in the current folder, or at that which cargo's arguments name.
    /// Takes out of them what we have to say ourselves: the target, and the target folder.
    pub(crate) fn find(arguments: &mut Vec<OsString>) -> Result<Self> {
        let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let rustc_version = rustc_version()?;
        let host = rustc_version.lines().find_map(|line| line.strip_prefix("host: "));
        let target = match take_option(arguments, "--target")? {
            Some(target) => Some(target),
            None => env::var_os("CARGO_BUILD_TARGET").filter(|target| !target.is_empty()),
        };
        let target = match target {
            Some(target) => {
                target.into_string().map_err(|t| format!("no such target: {}", t.display()))?
            }
            None => host.ok_or("`rustc -vV` does not say for which host it is")?.to_owned(),
        };
        let target_folder = match take_option(arguments, "--target-dir")? {
            Some(folder) => {
                std::path::absolute(folder).map_err(cannot("find the target folder"))?
            }
            None => target_folder(&cargo, arguments)?,
        };
        let offline = arguments.iter().any(|a| a == "--offline" || a == "--frozen");
        Ok(Self { cargo, target_folder, rustc_version, target, offline })
    }
}

fn rustc_version() -> Result<String> {
    let mut rustc = Command::new(env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    let output =
        rustc.arg("-vV").stderr(Stdio::inherit()).output().map_err(cannot_start(&rustc))?;
    String::from_utf8(output.stdout).map_err(cannot("read what `rustc -vV` says"))
}

/// What cargo calls the target folder. If there is no project, cargo says so.
fn target_folder(cargo: &OsString, arguments: &[OsString]) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut command = Command::new(cargo);
    command.args(["metadata", "--no-deps", "--format-version=1"]).stderr(Stdio::inherit());
    if let Some(path) = take_option(&mut arguments.to_vec(), "--manifest-path")? {
        command.arg("--manifest-path").arg(path);
    }
    let output = command.output().map_err(cannot_start(&command))?;
    if !output.status.success() {
        return Err(String::new());
    }
    let metadata: Metadata = serde_json::from_slice(&output.stdout)
        .map_err(cannot("read what `cargo metadata` says"))?;
    Ok(metadata.target_directory)
}
