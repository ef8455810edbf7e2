//! A small project with two records, `tests/reports`, for the tests that report them.

mod copied;

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use copied::copy;

/// A copy of the project for one test.
pub(crate) struct Project(pub(crate) PathBuf);

impl Project {
    pub(crate) fn new(test: &str) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("reports").join(test);
        let _ = fs::remove_dir_all(&folder);
        let original = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/reports");
        for part in ["src", "records", "tasks", "helpers"] {
            copy(&original.join(part), &folder.join(part));
        }
        // Makes the folder the root of a repository.
        fs::create_dir(folder.join(".git")).unwrap();
        Self(folder)
    }

    pub(crate) fn run(&self, arguments: &str) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_cargo-lockdep"))
            .args(arguments.split_whitespace())
            .current_dir(&self.0)
            .output()
            .unwrap();
        let [stdout, stderr] =
            [output.stdout, output.stderr].map(|it| String::from_utf8(it).unwrap());
        Ended { status: output.status.code(), stdout, stderr }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

pub(crate) struct Ended {
    pub(crate) status: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    #[track_caller]
    pub(crate) fn has_status(self, status: i32) -> Self {
        assert_eq!(self.status, Some(status), "{}\n{}", self.stdout, self.stderr);
        self
    }
}
