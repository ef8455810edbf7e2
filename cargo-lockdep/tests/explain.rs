//! The example of each explanation compiles, runs, and leads to a finding of its kind.

use std::{env, fs, path::Path, process::Command};

use lockdep::{record::Merge, tokio};

include!(concat!(env!("OUT_DIR"), "/examples.rs"));

/// The `std` of a program under `cargo lockdep`.
mod checked {
    pub(super) use ::std::*;

    pub(super) mod sync {
        pub(crate) use lockdep::sync::*;
    }

    pub(super) mod thread {
        pub(crate) use lockdep::thread::*;
    }
}

/// The example that a child process runs.
const EXAMPLE: &str = "LOCKDEP_EXAMPLE";

#[test]
fn every_example_shows_its_kind() {
    if let Ok(wanted) = env::var(EXAMPLE) {
        let (_, main) = EXAMPLES.iter().find(|(kind, _)| *kind == wanted).unwrap();
        return main();
    }
    if !lockdep::ENABLED {
        eprintln!("skipped: locks are not checked in this build");
        return;
    }
    for (kind, _) in EXAMPLES {
        let with_it: &[&str] = match *kind {
            // The inversion that predicts it, and the barrier at which both threads hold a lock.
            "deadlock" => &["deadlock", "inversion", "wait_while_holding"],
            // The examples are compiled from a generated file, whose lines create no classes. The fixture's
            // `Bank` shows that those of a program do.
            "class_inversion" | "same_class_nesting" => &[],
            kind => &[kind],
        };
        assert_eq!(found(kind), with_it);
    }
}

/// Returns the kinds of the findings in an example, each once. The example runs in a separate
/// process. Joins are allowed because it depends on timing whether they wait.
fn found(example: &str) -> Vec<&'static str> {
    let records = Path::new(env!("CARGO_TARGET_TMPDIR")).join("explain").join(example);
    let _ = fs::remove_dir_all(&records);
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "every_example_shows_its_kind", "--nocapture"])
        .env(EXAMPLE, example)
        .env("LOCKDEP", "allow,self_deadlock=deny,deadlock=deny,futurelock=deny")
        .env("LOCKDEP_OUT", &records)
        .env("LOCKDEP_EXIT", "0")
        .output()
        .unwrap();
    assert!(output.status.success(), "{example}: {}", String::from_utf8_lossy(&output.stderr));
    let mut merge = Merge::default();
    assert_eq!(merge.read_folder(&records).unwrap(), []);
    let kinds = merge.findings().into_iter().map(|finding| finding.kind.name());
    let mut kinds: Vec<_> = kinds.collect();
    kinds.dedup();
    kinds
}
