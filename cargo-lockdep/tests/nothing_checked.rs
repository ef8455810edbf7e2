//! `cargo lockdep` where nothing is checked, and on a program that depends on lockdep itself.

#[path = "support/copied.rs"]
mod copied;
#[path = "support/workspace.rs"]
mod workspace;

use std::{fs, path::Path};

use workspace::Fixture;

#[test]
fn a_run_that_checks_nothing_says_so_and_fails() {
    let fixture = Fixture::new("nothing");
    for (arguments, why) in [
        ("run --only parking_lot -p shop", "no program has the locks of `--only parking_lot`"),
        ("test -p shop --no-run", "`--no-run` runs no program"),
    ] {
        let summary =
            format!("lockdep: 0 locks, 0 edges, 0 processes: nothing was checked: {why}\n");
        let ended = fixture.run(arguments).has_status(4).says(&[&summary]);
        // Other projects have built theirs in the same folder.
        assert!(!ended.stderr.contains("unchecked:"), "{}", ended.stderr);
    }
    fs::write(fixture.0.join("shop/src/main.rs"), "fn main() {}").unwrap();
    fixture.run("run -p shop").has_status(4).says(&[
        "lockdep: 0 locks, 0 edges, 1 process: nothing was checked: no process has acquired a checked lock\n",
    ]);
    // The program's own status comes first.
    fs::write(fixture.0.join("shop/src/main.rs"), "fn main() { std::process::exit(3) }").unwrap();
    fixture.run("run -p shop").has_status(3).says(&["nothing was checked: "]);
}

/// It behaves as in `cargo test`, and its findings are in the report, although it lacks the feature `records`.
#[test]
fn a_program_with_its_own_lockdep_is_reported() {
    let fixture = Fixture::new("own");
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let manifest = format!(
        "[package]\nname = \"own\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n\
         [dependencies]\nlockdep = {{ path = {library:?}, default-features = false }}\n",
    );
    let own = fixture.0.join("own");
    fs::create_dir_all(own.join("src")).unwrap();
    fs::write(own.join("Cargo.toml"), manifest).unwrap();
    let program = r#"use lockdep::sync::Mutex;

fn main() {
    let (state, log) = (Mutex::new(0), Mutex::new(0));
    let both = |turned: bool| {
        let (first, second) = if turned { (&log, &state) } else { (&state, &log) };
        let first = first.lock().unwrap();
        *first + *second.lock().unwrap()
    };
    std::thread::scope(|scope| scope.spawn(|| both(false)).join()).unwrap();
    let found = std::thread::scope(|scope| scope.spawn(|| both(true)).join());
    assert!(found.is_err(), "the second order is denied");
}
"#;
    fs::write(own.join("src/main.rs"), program).unwrap();
    let mut run = fixture.command("run --manifest-path own/Cargo.toml");
    // What stands in this repository's configuration would hide it.
    run.env("LOCKDEP_EXIT", "1");
    workspace::Ended::new(run)
        .has_status(101)
        .says(&["error[lockdep::inversion]: ", "1 denied (1 `inversion`)"]);
    // A later status says the same.
    let mut run = fixture.command("run --manifest-path own/Cargo.toml");
    run.env("LOCKDEP_EXIT", "0");
    workspace::Ended::new(run).has_status(100).says(&["1 denied (1 `inversion`)"]);
}
