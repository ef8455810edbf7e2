//! Builds the peers, each separately: packages built together share features, so parking_lot's
//! deadlock detection would be enabled in all of them.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

/// Returns the folder of this workspace.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Returns a cargo command for this workspace.
pub(crate) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo.current_dir(workspace()).args(["--quiet"]);
    cargo
}

/// Builds the program of a peer, optimized.
pub(crate) fn build(package: &str) -> Result<PathBuf> {
    let mut build = cargo();
    build.args(["build", "--release", "--locked", "--package", package]);
    build.arg("--target-dir").arg(target());
    ensure!(build.status().context("cargo does not start")?.success(), "cannot build {package}");
    Ok(target().join("release").join(package))
}

/// Returns the target folder in which this program was built.
pub(crate) fn target() -> PathBuf {
    let program = env::current_exe().expect("this program has a path");
    program.ancestors().nth(2).expect("it is in <target>/<profile>").to_owned()
}
