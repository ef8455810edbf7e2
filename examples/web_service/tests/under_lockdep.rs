//! The service under `cargo lockdep`, with a short load: the inversion in `cancel_order` is found,
//! and nothing in `cancel_order_fixed`. No order meets a cancellation, so nothing depends on
//! timing.
#![cfg(unix)]

use std::{
    env,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

const CUSTOMERS: &str = "4";
const ROUNDS: &str = "3";

/// Returns a `cargo` command without the variables that cargo has set for this test.
fn cargo() -> Command {
    let mut cargo = Command::new("cargo");
    for (name, _) in env::vars_os() {
        let name = name.to_string_lossy();
        let is_of_build = ["CARGO_", "RUSTC", "RUSTFLAGS", "RUST_", "LOCKDEP"];
        if is_of_build.iter().any(|it| name.starts_with(it)) && name != "CARGO_HOME" {
            cargo.env_remove(&*name);
        }
    }
    cargo.env("CARGO_TERM_COLOR", "never");
    cargo
}

/// Returns the `cargo lockdep` of this repository.
fn cargo_lockdep() -> Command {
    let repository = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Reuses the build of the repository's own tests, if there is one.
    let target = env::var_os("CARGO_TARGET_DIR").map_or(repository.join("target"), PathBuf::from);
    let mut build = cargo();
    build.args(["build", "--quiet", "--locked", "--package", "cargo-lockdep", "--target-dir"]);
    assert!(build.arg(&target).current_dir(&repository).status().unwrap().success());

    let mut lockdep = cargo();
    let path = env::var_os("PATH").unwrap_or_default();
    let program = target.join("debug");
    let path = env::join_paths([program].into_iter().chain(env::split_paths(&path))).unwrap();
    lockdep.env("PATH", path).arg("lockdep").current_dir(env!("CARGO_MANIFEST_DIR"));
    lockdep.env("CARGO_TARGET_DIR", Path::new(env!("CARGO_TARGET_TMPDIR")).join("checked"));
    lockdep
}

/// Interrupts the service as Ctrl-C in a terminal does: the signal goes to all processes of the
/// command.
fn interrupt(service: &Child) {
    let group = format!("-{}", service.id());
    assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
}

/// Runs the service under the load. Returns its exit status and its standard error.
fn run(cargo_options: &[&str], options: &[&str]) -> (Option<i32>, String) {
    let mut command = cargo_lockdep();
    command.arg("run").args(cargo_options).args(["--", "--port", "0"]).args(options);
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut service = command.spawn().unwrap();
    let mut stderr = service.stderr.take().unwrap();
    let report = std::thread::spawn(move || {
        let mut report = String::new();
        stderr.read_to_string(&mut report).unwrap();
        report
    });

    let mut line = String::new();
    BufReader::new(service.stdout.take().unwrap()).read_line(&mut line).unwrap();
    if let Some(address) = line.trim().strip_prefix("listening on ") {
        let mut load = Command::new(env!("CARGO_BIN_EXE_load"));
        load.args(["--address", address, "--customers", CUSTOMERS, "--rounds", ROUNDS]);
        let is_served = load.status().unwrap().success();
        interrupt(&service);
        assert!(is_served);
    }
    (service.wait().unwrap().code(), report.join().unwrap())
}

fn check(cargo_options: &[&str]) {
    let (status, report) = run(cargo_options, &[]);
    assert_eq!(status, Some(100), "{report}");
    for said in [
        "error[lockdep::inversion]: ",
        "`shop.orders`",
        "`shop.inventory`",
        ": web_service::cancel_order\n",
        ": web_service::place_order\n",
        "1 process: 1 denied (1 `inversion`)",
    ] {
        assert!(report.contains(said), "no {said:?} in\n{report}");
    }

    let (status, report) = run(cargo_options, &["--fixed"]);
    assert_eq!(status, Some(0), "{report}");
    assert!(report.contains("1 process: nothing found"), "{report}");
    assert!(!report.contains("lockdep::"), "{report}");
}

#[test]
#[ignore = "it takes minutes to compile, and tells no more than the release build"]
fn a_debug_build_has_the_inversion_until_it_is_fixed() {
    check(&[]);
}

#[test]
fn a_release_build_has_the_same_findings() {
    check(&["--release"]);
}
