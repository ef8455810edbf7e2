//! Measures what a peer adds to a clean debug build.

use anyhow::Result;

use crate::{build::cargo, children};

/// Returns the CPU seconds of a clean debug build of a peer's package with all its dependencies.
pub(crate) fn clean(package: &str) -> Result<f64> {
    let target = tempfile::tempdir()?;
    let mut build = cargo();
    build.args(["build", "--locked", "--package", package]);
    build.arg("--target-dir").arg(target.path());
    Ok(children::time(&mut build)?.1)
}
