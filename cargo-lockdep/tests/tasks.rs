//! `cargo lockdep` on crates that await locks, `tests/fixture/courier` with tokio and `tests/fixture/kiosk` with smol and
//! futures: tasks are reported without changes to their source.

#[path = "support/copied.rs"]
mod copied;
#[path = "support/workspace.rs"]
mod workspace;

use std::process::Command;

use workspace::{Ended, Fixture};

fn courier(fixture: &Fixture, scenario: &str) -> Ended {
    fixture.run(&format!("run -p courier -- {scenario}"))
}

#[test]
fn locks_that_tasks_take_in_both_orders_are_found() {
    let fixture = Fixture::new("tasks_both_orders");
    let ended = courier(&fixture, "both_orders").has_status(100).says(&[
        "error[lockdep::inversion]: `self.letters` and `self.parcels` are acquired in both orders",
        "courier/src/lib.rs:21:",
        "courier/src/lib.rs:26:",
        "courier/src/main.rs:16:13",
        "each of them is a `tokio::Mutex<u32>`",
        "1 denied (1 `inversion`)",
    ]);
    assert!(!ended.stderr.contains("unchecked: the tasks"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("own locks"), "{}", ended.stderr);

    let ended = courier(&fixture, "main_and_task")
        .has_status(100)
        .says(&["1 denied (1 `inversion`)", "stack of thread `main`"]);
    // Our frame that polls the future is hidden.
    assert!(!ended.stderr.contains("lockdep_tracing"), "{}", ended.stderr);
    courier(&fixture, "task_and_thread").has_status(100).says(&[
        "error[lockdep::inversion]: `LOG` and ",
        "is a `tokio::Mutex<u32>`",
        "1 denied (1 `inversion`)",
    ]);
    // No guard moves to the thread on which tokio reads a file.
    courier(&fixture, "static_locks_and_files").has_status(100).says(&[
        "error[lockdep::inversion]: `right` and `left` are acquired in both orders",
        "1 denied (1 `inversion`)",
    ]);
    fixture
        .run("run --only std,parking_lot -p courier -- both_orders")
        .has_status(0)
        .says(&["nothing found", " may have its own locks"]);
}

#[test]
fn tasks_that_would_wait_for_ever_panic_instead() {
    let fixture = Fixture::new("tasks_for_ever");
    for (scenario, kind) in [("futurelock", "futurelock"), ("twice", "self_deadlock")] {
        let ended = courier(&fixture, scenario)
            .has_status(100)
            .says(&[&format!("error[lockdep::{kind}]: "), &format!("1 denied (1 `{kind}`)")]);
        assert_eq!(ended.stdout, "it panics\n");
    }
    courier(&fixture, "read_twice").has_status(100).says(&["1 denied (1 `recursive_read`)"]);
}

#[test]
fn tasks_that_take_locks_as_they_should_are_left_alone() {
    let fixture = Fixture::new("tasks_well");
    let ended = fixture.run("test -p courier --test well").has_status(0).says(&["nothing found"]);
    assert!(ended.stdout.contains("6 passed"), "{}", ended.stdout);
    assert!(!ended.stderr.contains("unchecked: the tasks"), "{}", ended.stderr);
}

/// Chooses the version of a package.
fn choose(fixture: &Fixture, package: &str, version: &str) {
    let mut cargo = Command::new("cargo");
    cargo.args(["update", "--package", package, "--precise", version]).current_dir(&fixture.0);
    Ended::new(cargo).has_status(0);
}

#[test]
fn tasks_of_old_versions_of_tokio_are_seen_as_well() {
    let fixture = Fixture::new("tasks_old");
    for version in ["1.28.2", "1.38.1"] {
        choose(&fixture, "tokio", version);
        let ended = courier(&fixture, "both_orders")
            .has_status(100)
            .says(&["courier/src/main.rs:16:13", "1 denied (1 `inversion`)"]);
        for unseen in ["unchecked: tokio", "unchecked: the tasks"] {
            assert!(!ended.stderr.contains(unseen), "{version}: {}", ended.stderr);
        }
        courier(&fixture, "futurelock").has_status(100).says(&["1 denied (1 `futurelock`)"]);
        fixture.run("test -p courier --test well").has_status(0).says(&["nothing found"]);
    }
}

#[test]
fn a_program_that_traces_its_tasks_keeps_its_tracing() {
    let fixture = Fixture::new("tasks_traced");
    let mut command = fixture.command("run -p courier --features traced -- both_orders");
    command.env("RUSTFLAGS", "--cfg tokio_unstable");
    Ended::new(command).has_status(0).says(&[
        "nothing found",
        "unchecked: the tasks of tokio 1.",
        "because it has its own `tracing`: its locks are checked where threads block, but not in tasks",
    ]);
    // The feature alone enables no tracing.
    fixture.run("run -p courier --features traced -- both_orders").has_status(100);
}

#[test]
fn tasks_of_smol_and_futures_are_seen() {
    let fixture = Fixture::new("tasks_of_smol");
    let kiosk = |scenario| fixture.run(&format!("run -p kiosk -- {scenario}"));
    let title =
        "error[lockdep::inversion]: `self.coins` and `self.papers` are acquired in both orders";
    let ended = kiosk("both_orders").has_status(100).says(&[
        title,
        "`self.papers` is an `async_lock::Mutex<u32>`",
        "   0: kiosk::Kiosk::count\n",
        "1 denied (1 `inversion`)",
    ]);
    let (_, report) = ended.stderr.split_once("error[").unwrap();
    for unseen in ["unchecked: ", "async-lock", "async_executor", "flavours"] {
        assert!(!report.contains(unseen), "{unseen}: {report}");
    }
    let ended = kiosk("main_and_task")
        .has_status(100)
        .says(&[title, "thread `main` acquired them in the opposite order"]);
    assert!(!ended.stderr.contains("async_io.rs"), "{}", ended.stderr);
    kiosk("futures").has_status(100).says(&[
        "error[lockdep::inversion]: `second` (futures::Mutex #",
        "is a `futures::Mutex<()>` made at kiosk/src/main.rs:",
        "1 denied (1 `inversion`)",
    ]);
    kiosk("branches").has_status(0).says(&["nothing found"]);

    // Its mutex has no `const` constructor.
    for package in ["futures", "futures-executor", "futures-util"] {
        choose(&fixture, package, "0.3.31");
    }
    let ended = kiosk("futures").has_status(100);
    assert!(!ended.stderr.contains("unchecked: "), "{}", ended.stderr);
}

/// With another executor, it is unknown which futures belong to one task.
#[test]
fn locks_that_another_executor_awaits_are_named() {
    let fixture = Fixture::new("tasks_elsewhere");
    let main = "use std::{pin::pin, task::{Context, Waker}};

fn main() {
    let depot = courier::Depot::default();
    let mut context = Context::from_waker(Waker::noop());
    assert!(pin!(depot.load()).poll(&mut context).is_ready());
    assert!(pin!(depot.unload()).poll(&mut context).is_ready());
}
";
    std::fs::write(fixture.0.join("courier/src/main.rs"), main).unwrap();
    courier(&fixture, "").has_status(0).says(&[
        "nothing found",
        "unchecked: locks of tokio 1.",
        " in some tasks, which an unknown executor polls\n",
    ]);
}
