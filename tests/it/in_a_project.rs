//! A workspace of two members that uses lockdep (`tests/fixtures/workspace`), under `cargo test`
//! and under nextest. In a copy, so that the sources stay unchanged.
#![cfg(all(debug_assertions, unix, feature = "records"))]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
    sync::LazyLock,
};

use lockdep::{FindingKind, record::Merge};

static PROJECT: LazyLock<PathBuf> = LazyLock::new(|| {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let project = Path::new(env!("CARGO_TARGET_TMPDIR")).join("in_a_project");
    copy(&here.join("tests/fixtures/workspace"), &project);
    for member in ["bank", "tour", "tour_2021"] {
        let manifest = project.join(member).join("Cargo.toml");
        let text = fs::read_to_string(&manifest).unwrap();
        fs::write(manifest, text.replace("../../../..", &here.display().to_string())).unwrap();
    }
    // Use the versions that are already downloaded.
    fs::copy(here.join("Cargo.lock"), project.join("Cargo.lock")).unwrap();
    project
});

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let to = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Runner {
    CargoTest,
    Nextest,
}

impl Runner {
    /// Returns the installed runners.
    fn all() -> Vec<Self> {
        let has_nextest = Command::new(env!("CARGO")).args(["nextest", "--version"]).output();
        if has_nextest.is_ok_and(|output| output.status.success()) {
            vec![Self::CargoTest, Self::Nextest]
        } else {
            eprintln!("nextest is not installed: testing only with cargo test");
            vec![Self::CargoTest]
        }
    }

    /// Runs tests of the project. Returns the status and the whole output.
    fn run(self, arguments: &[&str], out: Option<&Path>) -> (i32, String) {
        let mut command = Command::new(env!("CARGO"));
        match self {
            Self::CargoTest => command.arg("test"),
            Self::Nextest => command.args(["nextest", "run"]),
        };
        command.args(["--offline", "--no-fail-fast"]).args(arguments).current_dir(&*PROJECT);
        command.arg("--target-dir").arg(PROJECT.join("target"));
        for (variable, _) in std::env::vars_os() {
            let name = variable.to_string_lossy();
            if ["LOCKDEP", "NEXTEST", "RUST_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(variable);
            }
        }
        // Overrides this repository's `.cargo/config.toml`, which is in a parent folder.
        command.env("LOCKDEP_EXIT", "1").env("CARGO_TERM_COLOR", "never");
        command.env("NO_COLOR", "1");
        out.map(|out| command.env("LOCKDEP_OUT", out));
        let output = command.output().expect("cargo runs");
        let text = [output.stderr, output.stdout].map(|it| String::from_utf8(it).unwrap());
        (output.status.code().expect("it ends by itself"), text.concat())
    }
}

#[test]
fn a_detached_worker_fails_the_run() {
    for runner in Runner::all() {
        let (status, text) = runner.run(&["--test", "detached"], None);
        assert_eq!(status, if runner == Runner::Nextest { 100 } else { 101 }, "{text}");
        assert!(text.contains("test a_detached_worker ... ok"), "{text}");
        assert!(
            text.contains("lockdep: 1 unhandled finding (1 inversion); exiting with status 101\n"),
            "{runner:?}: {text}"
        );
        let line = "error[lockdep::inversion]: `self.ledger` and `self.accounts` are acquired in \
                    both orders, at bank/src/lib.rs:22:51\n";
        assert!(text.contains(line), "{runner:?}: {text}");
        // It was not discarded, and appears once.
        let report = "`self.ledger` and `self.accounts` are acquired in both orders\n";
        assert_eq!(text.matches(report).count(), 1, "{runner:?}: {text}");
    }
}

#[test]
fn an_expected_finding_does_not() {
    for runner in Runner::all() {
        let (status, text) = runner.run(&["--test", "expected"], None);
        assert_eq!(status, 0, "{text}");
        assert!(!text.contains("lockdep: "), "{text}");
    }
}

/// The lines of an example are counted in the program that rustdoc generates. It names the file of
/// the documentation; where many are merged, its own, which has their origins.
#[test]
fn the_lines_of_doctests_are_in_the_documentation_or_left_out() {
    let report = |package: &str| {
        let (status, text) = Runner::CargoTest.run(&["--doc", "--package", package], None);
        assert_eq!(status, 101, "{text}");
        let (_, report) =
            text.split_once("error[lockdep::single_thread_inversion]: ").expect(&text);
        assert!(!report.contains("innocent"), "{text}");
        report.to_owned()
    };
    let merged = report("tour");
    assert!(merged.contains("\n   ╭▸ tour/src/lib.rs:32:28\n"), "{merged}");
    for line in
        ["31 │ /// let end = tour.end.lock();\n", "32 │ /// let start = tour.start.lock();\n"]
    {
        assert!(merged.contains(line), "{merged}");
    }
    assert!(merged.contains("19 │         let _start = self.start.lock();\n"), "{merged}");
    assert!(!merged.contains("doctest_bundle_2024.rs"), "{merged}");

    let single = report("tour_2021");
    assert!(single.contains("tour/src/lib.rs:"), "{single}");
    for line in single.lines().filter(|line| line.contains("tour/src/lib.rs:")) {
        let is_of_a_stack = line.trim_start().starts_with("at ");
        assert!(is_of_a_stack || line.contains(" (or in a doctest)"), "{line}: {single}");
    }
    assert!(!single.contains(" │ ") && !single.contains("[[allow]]"), "{single}");
}

/// Nextest shows the output of passing tests only on request.
#[test]
fn a_warning_shows_up_at_the_end() {
    for runner in Runner::all() {
        let mut arguments = vec!["--test", "warned"];
        arguments.extend((runner == Runner::Nextest).then_some("--success-output=final"));
        let (status, text) = runner.run(&arguments, None);
        assert_eq!(status, 0, "{text}");
        assert!(
            text.contains("lockdep: 1 unhandled warning (1 wait_while_holding); "),
            "{runner:?}: {text}"
        );
        assert!(text.contains("`outer`, at bank/tests/warned.rs:10:18\n"), "{text}");
    }
}

#[test]
fn two_tests_in_two_processes_and_members_have_two_orders() {
    for runner in Runner::all() {
        let out = PROJECT.join(format!("records/{runner:?}"));
        let _ = fs::remove_dir_all(&out);
        let tests = ["--workspace", "--test", "one_way", "--test", "other_way"];
        let (status, text) = runner.run(&tests, Some(&out));
        assert_eq!(status, 0, "{text}");
        let mut merge = Merge::default();
        assert_eq!(merge.read_folder(&out).unwrap(), []);
        assert_eq!(merge.records(), 2);
        let findings = merge.findings();
        assert_eq!(findings.len(), 1, "{findings:?}");
        let found = &findings[0];
        assert!(found.across_runs && found.kind == FindingKind::ClassInversion, "{found:?}");
        let mut threads: Vec<_> = found.cycle.iter().map(|edge| &*edge.thread).collect();
        threads.sort_unstable();
        assert_eq!(threads, ["one_way", "other_way"]);
        assert!(
            found.to_string().contains("`self.ledger` and `self.accounts` are acquired in both")
        );
        if runner == Runner::Nextest {
            assert_eq!(found.tests, ["one_way", "other_way"]);
        }
    }
}

/// Two tests of one program, each in its own process, which take two statics in different
/// orders. In one process, the second would fail.
#[test]
fn two_tests_of_a_program_have_two_orders_of_its_statics() {
    for runner in Runner::all() {
        let out = PROJECT.join(format!("records/statics/{runner:?}"));
        let _ = fs::remove_dir_all(&out);
        let filters: &[&str] = match runner {
            Runner::CargoTest => &["there", "back"],
            Runner::Nextest => &["statics"],
        };
        for filter in filters {
            let tests = match runner {
                Runner::CargoTest => vec!["--test", "statics", filter],
                Runner::Nextest => vec!["--test", filter],
            };
            let (status, text) = runner.run(&tests, Some(&out));
            assert_eq!(status, 0, "{text}");
        }
        let mut merge = Merge::default();
        assert_eq!(merge.read_folder(&out).unwrap(), []);
        let findings = merge.findings();
        let [found] = &findings[..] else { panic!("{findings:?}") };
        assert!(found.across_runs && found.kind == FindingKind::Inversion, "{found:?}");
        assert!(found.to_string().contains("`ACCOUNTS` and `LEDGER` are acquired in both orders"));
    }
    let (status, text) = Runner::CargoTest.run(&["--test", "statics"], None);
    assert_eq!(status, 101, "{text}");
    assert!(text.contains("error[lockdep::inversion]: `"), "{text}");
}
