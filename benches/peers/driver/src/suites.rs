//! Test suites of published crates, unchanged, under `cargo test` and under `cargo lockdep test`.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Result;

use crate::{
    build::{target, workspace},
    children,
    results::{Program, Runs},
};

/// A published crate and cargo's options for its tests.
struct Suite {
    name: &'static str,
    version: &'static str,
    options: &'static [&'static str],
}

const SUITES: [Suite; 7] = [
    Suite { name: "threadpool", version: "1.8.1", options: &["--lib"] },
    Suite { name: "fail", version: "0.5.1", options: &["--tests", "--features", "failpoints"] },
    Suite { name: "scheduled-thread-pool", version: "0.2.8", options: &["--lib"] },
    // recv_timeout asserts that it is woken within 5 ms.
    Suite {
        name: "flume",
        version: "0.12.0",
        options: &["--tests", "--", "--skip", "recv_timeout"],
    },
    Suite {
        name: "crossbeam-channel",
        version: "0.5.17",
        // select2 asserts how much the whole process allocates.
        options: &["--tests", "--", "--skip", "select2"],
    },
    Suite { name: "moka", version: "0.12.16", options: &["--features", "sync", "--lib"] },
    Suite {
        name: "tokio",
        version: "1.54.1",
        options: &["--features", "full,test-util", "--test", "sync_m*", "--test", "rt_threaded"],
    },
];

/// Runs each suite `rounds` times, alternating, after everything has been built. A run includes
/// cargo and the merging of records.
pub(crate) fn run(rounds: usize, next: impl Fn(&str)) -> Result<Vec<Program>> {
    let scratch = tempfile::tempdir()?;
    next("getting published crates");
    let published = published(scratch.path())?;
    next("building cargo-lockdep");
    let lockdep = cargo_lockdep()?;
    SUITES
        .iter()
        .map(|suite| {
            let name = format!("{} {}, cargo lockdep", suite.name, suite.version);
            let test = |program: &Path, words: &[&str]| {
                let mut command = Command::new(program);
                command
                    .args(words)
                    .args(suite.options)
                    .current_dir(published.join(suite.name))
                    .env("CARGO_TARGET_DIR", scratch.path().join("target"))
                    .env_remove("RUST_BACKTRACE");
                command
            };
            let plain = |word| test(&cargo(), &["test", word]);
            // Only the cost is measured.
            let checked = |word| test(&lockdep, &["lockdep", "test", "--level", "allow", word]);
            next(&format!("{name}: building its tests"));
            children::time(&mut plain("--no-run"))?;
            children::time(&mut checked("--no-run"))?;
            let mut result = Program { name, plain: Runs::default(), checked: Runs::default() };
            for round in 1..=rounds {
                next(&format!("{}: round {round}", result.name));
                result.plain.push(children::time(&mut plain("--quiet"))?);
                result.checked.push(children::time(&mut checked("--quiet"))?);
            }
            Ok(result)
        })
        .collect()
}

/// Vendors the sources of all suites, with a package that depends on them.
fn published(scratch: &Path) -> Result<PathBuf> {
    let (wants, published) = (scratch.join("wants"), scratch.join("published"));
    fs::create_dir_all(wants.join("src"))?;
    fs::write(wants.join("src/lib.rs"), "")?;
    let dependency = |Suite { name, version, .. }: &Suite| format!("{name} = \"={version}\"\n");
    let dependencies: String = SUITES.iter().map(dependency).collect();
    let package = "[package]\nname = \"wants\"\nedition = \"2024\"\n";
    fs::write(wants.join("Cargo.toml"), format!("{package}[dependencies]\n{dependencies}"))?;
    children::time(Command::new(cargo()).current_dir(&wants).arg("vendor").arg(&published))?;
    Ok(published)
}

/// Builds `cargo-lockdep` and returns its path.
fn cargo_lockdep() -> Result<PathBuf> {
    let target = target().join("cargo-lockdep");
    let mut build = Command::new(cargo());
    build
        .current_dir(workspace().join("../.."))
        .args(["build", "--release", "--locked", "--package", "cargo-lockdep", "--target-dir"])
        .arg(&target);
    children::time(&mut build)?;
    Ok(target.join("release/cargo-lockdep"))
}

fn cargo() -> PathBuf {
    env::var_os("CARGO").map_or_else(|| "cargo".into(), Into::into)
}
