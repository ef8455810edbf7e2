//! A workspace of crates that know nothing of lockdep, `tests/fixture`, and `cargo lockdep` on it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::copied::copy;

pub(crate) const TMP: &str = env!("CARGO_TARGET_TMPDIR");

/// A copy of the fixture for one test. Only one exists at a time: all builds share a folder, so
/// that the runtime is built once.
pub(crate) struct Fixture(
    pub(crate) PathBuf,
    #[expect(dead_code, reason = "held")] MutexGuard<'static, ()>,
);

impl Fixture {
    pub(crate) fn new(test: &str) -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        // The failure of another test does not matter.
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = Path::new(TMP).join(test);
        let _ = fs::remove_dir_all(&folder);
        copy(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixture"), &folder);
        Self(folder, one)
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cargo-lockdep"));
        for (name, _) in std::env::vars_os() {
            let name = name.to_string_lossy();
            if ["LOCKDEP", "CARGO_", "RUST_", "RUSTC", "RUSTFLAGS", "RUSTDOC", "CLICOLOR"]
                .iter()
                .any(|prefix| name.starts_with(prefix) && name != "CARGO_HOME")
            {
                command.env_remove(&*name);
            }
        }
        command
            .args(arguments.split_whitespace())
            .env("CARGO_TARGET_DIR", Path::new(TMP).join("target"))
            .env("CARGO_TERM_COLOR", "never")
            .current_dir(&self.0);
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Ended {
        Ended::new(self.command(arguments))
    }
}

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    pub(crate) fn new(mut command: Command) -> Self {
        let Output { status, stdout, stderr } = command.output().unwrap();
        let [stdout, stderr] =
            [stdout, stderr].map(|text| String::from_utf8(text).unwrap().replace('\\', "/"));
        Self { status: status.code(), stdout, stderr }
    }

    #[track_caller]
    pub(crate) fn has_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn says(self, texts: &[&str]) -> Self {
        for text in texts {
            assert!(self.stderr.contains(text), "no {text:?} in\n{}", self.stderr);
        }
        self
    }
}
