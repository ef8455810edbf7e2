//! Builds the peers. Each is built alone: what is built together shares its features, and
//! parking_lot's detection would be in all of them.

use std::{env, path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};

/// This workspace.
pub(crate) fn workspace() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// Cargo, in this workspace.
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

/// Where this very program was built.
pub(crate) fn target() -> PathBuf {
    let program = env::current_exe().expect("this program has a path");
    program.ancestors().nth(2).expect("it is in <target>/<profile>").to_owned()
}
