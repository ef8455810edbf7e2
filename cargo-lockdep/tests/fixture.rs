//! `cargo lockdep` on a small workspace, `tests/fixture`, whose crates take two locks in both
//! orders: findings, files, exit status.

#[path = "support/copied.rs"]
mod copied;
#[path = "support/workspace.rs"]
mod workspace;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use cargo_metadata::Message;
use workspace::{Ended, Fixture, TMP};

/// Returns all files with their contents.
fn files(fixture: &Fixture) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut folders = vec![fixture.0.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                files.insert(path.clone(), fs::read(path).unwrap());
            }
        }
    }
    files
}

#[test]
fn an_inversion_hidden_in_a_dependency_is_found_and_nothing_is_touched() {
    let fixture = Fixture::new("found");
    let before = files(&fixture);
    let ended = fixture.run("test -p shop -p store -p stubborn").has_status(100).says(&[
        "error[lockdep::inversion]: `self.bills` and `self.stock` are acquired in both orders",
        "store/src/lib.rs:26:20",
        "store/src/lib.rs:32:25",
        "1 denied (1 `inversion`)",
        "unchecked: stubborn 0.1.0 (`stubborn`) has the real locks, because it does not compile with checked \
         ones: stubborn/src/lib.rs:5:15: evaluation panicked: a lock is small",
        "lockdep: 1 package not checked: plain 0.1.0 has no std. See `cargo lockdep doctor`\n",
    ]);
    // The tests run as usual, also those of the documentation.
    for test in ["tests::nothing_is_lost", "store/src/lib.rs - Store (line 5)", "it_is_taken"] {
        let line = ended.stdout.lines().find(|line| line.contains(test)).unwrap();
        assert!(line.ends_with(" ... ok"), "{line}");
    }
    assert_eq!(ended.stderr.matches("[lockdep::").count(), 1, "{}", ended.stderr);
    assert!(files(&fixture) == before, "a file has changed, or is new");

    // Nothing is built again, and the report is the same.
    let again = fixture.run("test -p shop -p store -p stubborn").has_status(100);
    assert!(!again.stderr.contains("Compiling"), "{}", again.stderr);
    again.says(&["1 denied (1 `inversion`)", "unchecked: stubborn 0.1.0", "plain 0.1.0"]);
}

/// Standard output has cargo's messages and one about the finding, and nothing else.
#[test]
fn with_messages_of_cargo_findings_are_messages() {
    let fixture = Fixture::new("messages");
    // `Ended` would change the backslashes of JSON.
    let run = |arguments: &str| {
        let Output { status, stdout, stderr } = fixture.command(arguments).output().unwrap();
        let stderr = String::from_utf8(stderr).unwrap();
        assert_eq!(status.code(), Some(100), "{stderr}");
        let messages = Message::parse_stream(&*stdout).map(Result::unwrap).collect::<Vec<_>>();
        let is_text = |it: &Message| matches!(it, Message::TextLine(_));
        assert!(!messages.iter().any(is_text), "{messages:?}");
        (messages, stderr)
    };
    for how in ["--message-format json", "--message-format=json-diagnostic-rendered-ansi"] {
        let (messages, text) = run(&format!("test -p shop -p store {how}"));
        for said in ["tests::nothing_is_lost ... ok", "1 denied (1 `inversion`)"] {
            assert!(text.contains(said), "{text}");
        }
        let [.., Message::BuildFinished(_), Message::CompilerMessage(found)] = &messages[..] else {
            panic!("{messages:?}")
        };
        assert!(found.package_id.repr.ends_with("/store#0.1.0"), "{found:?}");
        assert_eq!(found.target.name, "store");
        let span = &found.message.spans[0];
        assert!(span.is_primary, "{span:?}");
        assert_eq!((&*span.file_name, span.line_start), ("store/src/lib.rs", 32));
        assert!(messages.iter().any(|it| matches!(it, Message::CompilerArtifact(_))));
    }

    // In one line, as cargo's, and only as text.
    let (mut messages, text) = run("run -p shop --message-format json-diagnostic-short");
    let Some(Message::CompilerMessage(found)) = messages.pop() else { panic!("{messages:?}") };
    let title =
        "error[lockdep::inversion]: `self.bills` and `self.stock` are acquired in both orders";
    assert_eq!(found.message.rendered.unwrap(), format!("store/src/lib.rs:32:25: {title}\n"));
    assert!(text.contains("100 left\n"), "{text}");
    let (messages, _) = run("run -p shop --message-format json-render-diagnostics");
    assert!(matches!(messages.last(), Some(Message::BuildFinished(_))), "{messages:?}");

    let both = fixture.run("run --format json --output - --message-format json").has_status(101);
    let why = "error: `--output -` and `--message-format json` both write to standard output\n";
    assert_eq!((&*both.stdout, &*both.stderr), ("", why));
}

/// What is below the checked std implements no trait of std for a type of std: see `foreign_impls.rs`.
#[test]
fn types_are_inferred_as_with_the_real_std() {
    let fixture = Fixture::new("inference");
    let ended = fixture.run("test -p inference").has_status(0).says(&["1 lock, "]);
    assert!(!ended.stderr.contains("unseen"), "{}", ended.stderr);
}

/// One line creates all cells of `lazy_static!`, and another all locks of a wrapper: they are not
/// of one kind.
#[test]
fn locks_that_a_line_elsewhere_creates_are_no_class() {
    let fixture = Fixture::new("classes");
    let ended = fixture.run("run -p lazily").has_status(0).says(&["nothing found"]);
    assert_eq!(ended.stdout, "13\n");
    fixture.run("run -p lazily -- banks").says(&[
        "warning[lockdep::class_inversion]",
        "made at lazily/src/main.rs:37:26",
        "1 warned (1 `class_inversion`)",
    ]);
}

/// The locks of the streams are inside std. The program's output does not change.
#[test]
fn an_inversion_of_a_lock_and_a_standard_stream_is_found() {
    let fixture = Fixture::new("streams");
    fs::write(fixture.0.join("input"), "one\ntwo\n").unwrap();
    let mut run = fixture.command("run -p narrator");
    run.stdin(fs::File::open(fixture.0.join("input")).unwrap());
    let ended = Ended::new(run).has_status(100).says(&[
        "error[lockdep::inversion]: `TOTAL` and `stdout` are acquired in both orders",
        "error[lockdep::inversion]: `SCREEN` and `stdout` are acquired in both orders",
        "error[lockdep::inversion]: `stderr` and `LOG` are acquired in both orders",
        "error[lockdep::inversion]: `stdin` and `INPUT` are acquired in both orders",
        "narrator/src/main.rs:21:43",
        "narrator/src/main.rs:31:20",
        "`stdout` is a `Stdout`",
        "8 locks,",
        "4 denied (4 `inversion`)",
    ]);
    assert_eq!(
        ended.stdout,
        "a shop with 3, 1\n3 in all\ndrawn\nagain\ncleared\nread: two\n4\n4 again\na child\n\
         [false, false] Stderr { .. }\n"
    );

    // Also when the test harness captures the output. A crate that needs std's own types gets them.
    let ended = fixture.run("test -p narrator -p printer").has_status(100).says(&[
        "error[lockdep::inversion]: `TOTAL` and `stdout` are acquired in both orders",
        "error[lockdep::inversion]: `PAPER` and `INK` are acquired in both orders",
        "printer/src/lib.rs:24:27",
        "2 denied (2 `inversion`)",
        "printer 0.1.0 uses std's own stdin, stdout and stderr",
    ]);
    assert!(!ended.stdout.contains("a shop with"), "{}", ended.stdout);
    let example = ended.stdout.lines().find(|line| line.contains("src/lib.rs - print (line 12)"));
    assert!(example.is_some_and(|line| line.ends_with(" ... ok")), "{}", ended.stdout);
}

#[test]
fn an_inversion_between_a_dependencys_parking_lot_and_a_std_lock_is_found() {
    let fixture = Fixture::new("parking_lot");
    let ended = fixture.run("test -p till").has_status(100).says(&[
        "error[lockdep::inversion]: `self.entries` and `TOTAL` are acquired in both orders",
        "ledger/src/lib.rs:13:22",
        "ledger/src/lib.rs:17:36",
        "till/src/main.rs:17:24",
        "till/src/main.rs:22:33",
        "`self.entries` is a `parking_lot::Mutex`",
        // Two of parking_lot 0.12, one of 0.13, one of once_cell, one of std.
        "5 locks,",
    ]);
    assert!(ended.stdout.contains("test all_is_there ... ok"), "{}", ended.stdout);
    assert!(
        !ended.stderr.contains("shop"),
        "a program that did not run is reported: {}",
        ended.stderr
    );

    for (only, summary) in [("std", "2 locks, "), ("parking_lot,once_cell", "4 locks, ")] {
        let ended = fixture.run(&format!("run --only {only} -p till")).has_status(0);
        assert_eq!(ended.stdout, "7 in the till\n");
        ended.says(&[summary, "nothing found"]);
    }
    fixture.run("run --release -p till").has_status(100).says(&["6 locks, "]);

    // Doc examples use the types of their crate.
    let examples = fixture.run("test -p ledger --doc").has_status(0).says(&["1 edge, "]);
    assert!(examples.stdout.contains("taken (line "), "{}", examples.stdout);
}

#[test]
fn a_crate_that_rejects_checked_parking_lot_gets_the_real_one() {
    let fixture = Fixture::new("real");
    fixture.run("run -p till --features counter,impostor").has_status(100).says(&[
        "unchecked: counter 0.1.0 (`counter`) has the real locks, because it does not compile with \
         checked ones: counter/src/lib.rs:7:15: evaluation panicked: a lock is small",
        "unchecked: parking_lot 0.12.0 (`parking_lot`) has the real locks",
        "1 denied (1 `inversion`)",
    ]);
    let unchecked = fixture.run("test -p counter").has_status(4);
    unchecked.says(&["nothing was checked: ", "unchecked: counter 0.1.0"]);
}

#[test]
fn a_level_changes_the_verdict_and_not_the_run() {
    let fixture = Fixture::new("level");
    fixture
        .run("test --level inversion=warn -p shop")
        .has_status(0)
        .says(&["warning[lockdep::inversion]: `self.bills`", "1 warned (1 `inversion`)"]);
    let allowed = fixture.run("test --level allow -p shop").has_status(0).says(&["1 allowed"]);
    assert!(!allowed.stderr.contains("[lockdep::"));
    fixture.run("test --level inversoin=warn").says(&["unknown kind of finding `inversoin`"]);
}

#[test]
fn a_lock_that_is_made_of_lock_api_is_checked() {
    let fixture = Fixture::new("lock_api");
    let ended = fixture.run("test -p spinner").has_status(100).says(&[
        "each of them is a `spinner::Mutex`",
        "spinner/src/lib.rs:34:20",
        "spinner/src/lib.rs:39:20",
        // One made of lock_api 0.5.
        "error[lockdep::inversion]: `FAR` and `NEAR` are acquired in both orders",
        "5 locks, 4 edges, 1 process: 2 denied (2 `inversion`)",
    ]);
    assert!(!ended.stderr.contains("not checked"), "all is seen: {}", ended.stderr);
    fixture
        .run("test --only std -p spinner")
        .has_status(0)
        .says(&["1 lock, ", "spinner 0.1.0 may have its own locks"]);
}

#[test]
fn waits_for_threads_and_messages_are_seen() {
    let fixture = Fixture::new("waits");
    let main = "use std::{sync::{Arc, Mutex, mpsc}, thread, time::Duration};

fn main() {
    let (state, (sender, receiver)) = (Arc::new(Mutex::new(0)), mpsc::channel());
    let shared = Arc::clone(&state);
    let worker = thread::spawn(move || {
        *shared.lock().unwrap() += 1;
        sender.send(()).unwrap();
        sender
    });
    receiver.recv().unwrap();
    let _state = state.lock().unwrap();
    let _sender = worker.join().unwrap(); // this time it has been done with the lock
    receiver.recv_timeout(Duration::from_millis(1)).unwrap_err();
}
";
    fs::write(fixture.0.join("shop/src/main.rs"), main).unwrap();
    fixture.run("run -p shop").has_status(100).says(&[
        "is held while thread `worker` is joined, which acquires",
        "note: thread `worker` acquired `shared` before it ended",
        "shop/src/main.rs:7:17",
        "shop/src/main.rs:13:26",
        // The wait for the message is allowed, and so is the join if the worker is still running.
        "lockdep: 1 lock, 2 edges, 1 process: 1 denied (1 `inversion`), ",
    ]);
    fixture
        .run("run --level inversion=warn,wait_while_holding.recv=deny -p shop")
        .has_status(100)
        .says(&["waits for a message while it holds", "shop/src/main.rs:14:14"]);
}

#[test]
fn only_selected_packages_are_checked() {
    let fixture = Fixture::new("chosen");
    fixture.run("run --crates till -p till").has_status(0).says(&[
        "4 locks, ",
        "nothing found",
        " were not selected",
    ]);
    fixture.run("run --no-deps -p till").has_status(100).says(&["6 locks, "]);
    fixture
        .run("run --crates till,leger -p till")
        .has_status(101)
        .says(&["error: no package of this program is called `leger`"]);
}

#[test]
fn nextest_and_benchmarks_are_run() {
    let fixture = Fixture::new("nextest");
    if Command::new("cargo").args(["nextest", "--version"]).output().unwrap().status.success() {
        let ended = fixture.run("nextest -p shop -p store --no-fail-fast").has_status(100);
        ended.says(&["1 test run: 1 passed", "1 denied (1 `inversion`)"]);
    } else {
        let ended = fixture.run("nextest -p shop").has_status(101);
        ended.says(&["error: cargo-nextest is not installed"]);
    }
    // They have no benchmarks, so nothing runs that acquires a lock.
    let idle = fixture.run("bench -p store -p shop").has_status(4);
    idle.says(&["0 edges, ", "nothing was checked: no process has acquired a checked lock"]);
}

#[test]
fn the_doctor_says_who_holds_locks() {
    let fixture = Fixture::new("doctor");
    let ended = fixture.run("doctor --offline").has_status(0);
    let table: Vec<Vec<_>> = ended
        .stdout
        .lines()
        .map(|line| line.split("  ").map(str::trim).filter(|part| !part.is_empty()).collect())
        .collect();
    for row in [
        ["store 0.1.0", "std: Mutex", "yes"],
        ["ledger 0.1.0", "lock_api 0.4.14: RwLock", "yes"],
        ["counter 0.1.0", "once_cell 1.21.4: Lazy", "yes"],
    ] {
        assert!(table.contains(&row.to_vec()), "no {row:?} in\n{}", ended.stdout);
    }
    assert!(table.contains(&vec!["parking_lot 0.12.5: Mutex, RwLock", "yes"]));
    let tokio = "tokio 1.54.1: Mutex, OnceCell, RwLock, Semaphore";
    assert!(table.contains(&vec![tokio, "yes"]), "{}", ended.stdout);
    // A proc-macro runs at build time.
    assert!(!ended.stdout.contains("derive "), "{}", ended.stdout);
    // The option enables the feature by which `till` uses `counter`.
    fixture.run("doctor --offline --features till/counter --locked").has_status(0);
    fixture
        .run("doctor --offline -p till")
        .has_status(101)
        .says(&["error: `cargo lockdep doctor` does not take `-p`: it takes `--manifest-path`, "]);
}

#[test]
fn lockdep_toml_silences_findings() {
    let fixture = Fixture::new("silenced");
    let known = fixture.0.join("known.toml");
    let locks = "[\"self.bills\", \"self.stock\"]";
    fs::write(&known, format!("[[allow]]\nlocks = {locks}\nreason = \"it is joined\"\n")).unwrap();
    let used = fixture.run("test --config known.toml -p shop").has_status(0).says(&["1 silenced"]);
    assert!(!used.stderr.contains("unused entry"), "{}", used.stderr);

    let more =
        fs::read_to_string(&known).unwrap() + "[[allow]]\nlocks = [\"no\"]\nreason = \"gone\"\n";
    fs::write(&known, more).unwrap();
    fixture.run("test --config known.toml -p shop").has_status(0).says(&[
        "lockdep: note: unused entry: ",
        "/silenced/known.toml:4 matched no finding of this run\n",
    ]);
    fixture.run("test --config unknown.toml").has_status(101).says(&["cannot read unknown.toml"]);
}

#[cfg(unix)]
#[test]
fn a_process_without_its_environment_is_left_alone() {
    let fixture = Fixture::new("cleared");
    let test = r#"#[test]
        fn it_runs() {
            let mut shop = std::process::Command::new(env!("CARGO_BIN_EXE_shop"));
            let output = shop.env_clear().output().unwrap();
            assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
            // What calls cargo builds what it would build otherwise.
            for name in ["RUSTC_WRAPPER", "RUSTDOC"] {
                assert_eq!(std::env::var_os(name), None);
            }
        }"#;
    fs::create_dir(fixture.0.join("shop/tests")).unwrap();
    fs::write(fixture.0.join("shop/tests/child.rs"), test).unwrap();
    // Neither has the test acquired a lock.
    fixture.run("test -p shop --test child").has_status(4).says(&["0 locks, 0 edges, 1 process"]);
}

#[test]
fn a_program_is_run_and_its_own_status_comes_first() {
    let fixture = Fixture::new("run");
    let ended = fixture.run("run -p shop").has_status(100);
    assert_eq!(ended.stdout, "100 left\n");
    fixture.run("run -p shop -- 3").has_status(3).says(&["1 denied (1 `inversion`)"]);
    // Release builds are checked as well, and profiles with `lto` or `panic = "abort"` link.
    fixture.run("run -p shop --release").has_status(100).says(&["store/src/lib.rs:32:25"]);
    let mut linked = fixture.command("run -p shop --release");
    linked.env("CARGO_PROFILE_RELEASE_LTO", "thin").env("CARGO_PROFILE_RELEASE_PANIC", "abort");
    Ended::new(linked).has_status(100).says(&["store/src/lib.rs:32:25"]);

    // The sources and the `lockdep.toml` are not where it runs.
    let elsewhere = || {
        let manifest = fixture.0.join("Cargo.toml");
        let mut command =
            fixture.command(&format!("run -p shop --manifest-path {}", manifest.display()));
        command.current_dir("/");
        Ended::new(command)
    };
    elsewhere()
        .has_status(100)
        .says(&["`self.bills` and `self.stock`", "acquires `self.stock` here"]);
    let known = "[[allow]]\nlocks = [\"self.bills\", \"self.stock\"]\nreason = \"it is joined\"\n";
    fs::write(fixture.0.join("lockdep.toml"), known).unwrap();
    elsewhere().has_status(0).says(&["1 silenced"]);
}

#[test]
fn each_error_is_reported_once() {
    let fixture = Fixture::new("wrong");
    fs::write(fixture.0.join("store/src/lib.rs"), "pub fn broken() { 1 }\n").unwrap();
    let ended = fixture.run("test -p store").has_status(101);
    assert_eq!(ended.stderr.matches("error[E0308]").count(), 1, "{}", ended.stderr);

    // The first test to run builds the runtime.
    let mut ours = ended.stderr.lines().filter(|line| line.contains("lockdep: "));
    assert!(ours.all(|line| line.contains("building the checked std")), "{}", ended.stderr);
    let no_test = fixture.run("test -p shop --test no_such").has_status(101);
    assert_eq!(no_test.stderr.matches("error").count(), 1, "{}", no_test.stderr);

    fixture.run("test -p shop --format=json").has_status(1).says(&[
        "error: unexpected argument '--format' found",
        "lockdep: `--format` is an option of cargo lockdep; place it before cargo's arguments",
    ]);

    let mut command = fixture.command("test");
    command.env("CARGO", "no-such-cargo");
    Ended::new(command).has_status(101).says(&["cannot start `no-such-cargo`"]);

    let mut nowhere = fixture.command("test");
    nowhere.current_dir("/").env_remove("CARGO_TARGET_DIR");
    Ended::new(nowhere).has_status(101).says(&["could not find `Cargo.toml`"]);
}

#[test]
fn a_toolchain_that_will_not_do_is_said() {
    let fixture = Fixture::new("toolchain");
    fixture.run("test --target s390x-unknown-linux-gnu").has_status(101).says(&[
        "error: the target `s390x-unknown-linux-gnu` is not installed: `rustup target add s390x",
    ]);
    fixture.run("test --target x86_65").has_status(101).says(&["rustc knows no target `x86_65`"]);
    fixture
        .run("test --target-dir Cargo.toml/target")
        .has_status(101)
        .says(&["error: cannot write to", "Cargo.toml/target"]);
}

/// The terminal sends the signal to the whole process group.
#[cfg(unix)]
#[test]
fn ctrl_c_still_leads_to_a_report() {
    use std::{
        io::{BufRead, BufReader, Read},
        os::unix::process::CommandExt,
        process::Stdio,
    };

    let fixture = Fixture::new("server");
    let main = "fn main() { println!(\"{}\", shop::a_day()); loop { std::thread::park() } }";
    fs::write(fixture.0.join("shop/src/main.rs"), main).unwrap();
    let mut command = fixture.command("run -p shop");
    command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut line = String::new();
    BufReader::new(running.stdout.take().unwrap()).read_line(&mut line).unwrap();
    assert_eq!(line, "100\n");
    let group = format!("kill -INT -{}", running.id());
    assert!(Command::new("sh").args(["-c", &group]).status().unwrap().success());

    let mut stderr = String::new();
    running.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    let status = running.wait().unwrap().code();
    Ended { status, stdout: line, stderr }.has_status(130).says(&["1 denied (1 `inversion`)"]);
}

/// The deadlock is reported at once; Ctrl-C adds a report of all threads.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
#[test]
fn a_hanging_program_reports_why() {
    use std::{
        io::{BufRead, BufReader, Read},
        os::unix::process::CommandExt,
        process::Stdio,
        thread,
        time::Duration,
    };

    let fixture = Fixture::new("hangs");
    let main = r#"use std::{sync::{Mutex, mpsc}, thread};

static STATE: Mutex<u32> = Mutex::new(0);

fn main() {
    let (ask, asked) = mpsc::channel::<()>();
    let guard = STATE.lock().unwrap();
    let worker = thread::Builder::new().name("worker".into()).spawn(move || {
        *STATE.lock().unwrap() += 1;
        drop(ask);
    });
    asked.recv().unwrap();
    println!("{guard} {}", worker.is_ok());
}
"#;
    fs::write(fixture.0.join("shop/src/main.rs"), main).unwrap();
    let mut command = fixture.command("run -p shop");
    command.process_group(0).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut running = command.spawn().unwrap();
    let mut lines = BufReader::new(running.stderr.take().unwrap());
    let mut stderr = String::new();
    while !stderr.contains("error[lockdep::deadlock]: all 2 threads sleep") {
        assert_ne!(lines.read_line(&mut stderr).unwrap(), 0, "it has ended: {stderr}");
    }
    // Signal handlers are installed three seconds after the first lock.
    thread::sleep(Duration::from_secs(5));
    let group = format!("kill -INT -{}", running.id());
    assert!(Command::new("sh").args(["-c", &group]).status().unwrap().success());
    lines.read_to_string(&mut stderr).unwrap();
    let status = running.wait().unwrap().code();
    Ended { status, stdout: String::new(), stderr }.has_status(130).says(&[
        "SIGINT ends this process. What its threads did:",
        "note: thread `worker` has waited ",
        "thread `worker` waits here for `STATE`, which thread `main` holds",
        "1 denied (1 `deadlock`)",
    ]);
}

/// Writes an executable shell script.
#[cfg(unix)]
fn script(fixture: &Fixture, name: &str, text: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt;

    let path = fixture.0.join(name);
    fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    path
}

#[cfg(unix)]
#[test]
fn an_old_rustc_is_said() {
    let fixture = Fixture::new("old");
    let mut command = fixture.command("test");
    let old = "rustc \"$@\" | sed s/1\\.[0-9]*/1.60/";
    command.env("RUSTC", script(&fixture, "old", old));
    let ended = Ended::new(command).has_status(101);
    assert_eq!(ended.stderr.matches("error").count(), 1, "{}", ended.stderr);
    ended.says(&["error: rustc 1.60.", " is too old: checked locks need 1.95"]);
}

/// The wrapper stands for sccache.
#[cfg(unix)]
#[test]
fn a_configured_wrapper_is_called() {
    let fixture = Fixture::new("wrapper");
    let log = fixture.0.join("log");
    let logging = format!("echo \"$@\" >>'{}'\nexec \"$@\"", log.display());
    let wrapper = script(&fixture, "wrapper", &logging);
    fs::create_dir(fixture.0.join(".cargo")).unwrap();
    let config = format!("[build]\nrustc-wrapper = \"{}\"\n", wrapper.display());
    fs::write(fixture.0.join(".cargo/config.toml"), config).unwrap();
    fixture.run("run -p shop").has_status(100);

    let log = fs::read_to_string(log).unwrap();
    let call = |name: &str| {
        let wanted = format!("--crate-name {name} ");
        log.lines().find(|line| line.contains(&wanted)).unwrap()
    };
    assert!(call("store").contains("--extern std="));
    assert!(call("shop").contains("--extern std="));
    assert!(!call("plain").contains("--extern std=") && call("plain").contains("-L dependency="));
    assert!(!call("derive").contains("--extern std="));

    // The environment overrides the configuration file.
    fs::write(fixture.0.join("shop/src/main.rs"), "fn main() {}").unwrap();
    let mut failing = fixture.command("run -p shop");
    let no_compiler = script(&fixture, "failing", "echo no such compiler >&2; exit 3");
    failing.env("RUSTC_WRAPPER", &no_compiler);
    let ended = Ended::new(failing).has_status(101).says(&["no such compiler"]);
    assert_eq!(ended.stderr.matches("error: ").count(), 1, "{}", ended.stderr);
    // So do cargo's arguments.
    let config = format!("build.rustc-wrapper='{}'", no_compiler.display());
    fixture
        .run(&format!("run --config {config} -p shop"))
        .has_status(101)
        .says(&["no such compiler"]);
}

#[test]
fn the_target_in_cargos_configuration_is_used() {
    let fixture = Fixture::new("config");
    fixture
        .run("test --config build.target='s390x-unknown-linux-gnu'")
        .has_status(101)
        .says(&["the target `s390x-unknown-linux-gnu` is not installed"]);
    fixture.run("test --config a=").has_status(101).says(&["error: "]);
    let folder = fixture.0.join(".cargo");
    fs::create_dir(&folder).unwrap();
    let write = |target| fs::write(folder.join("config.toml"), format!("build.target = {target}"));
    write("\"s390x-unknown-linux-gnu\"").unwrap();
    fixture
        .run("test")
        .has_status(101)
        .says(&["the target `s390x-unknown-linux-gnu` is not installed"]);
    write("[\"s390x-unknown-linux-gnu\", \"x86_64-unknown-linux-gnu\"]").unwrap();
    fixture.run("test").has_status(101).says(&["more than one target"]);
    write("1").unwrap();
    fixture.run("test").has_status(101).says(&["error: "]);
}

#[test]
fn a_folder_of_the_users_builds_is_left_alone() {
    let fixture = Fixture::new("build_folder");
    let folder = fixture.0.join("a \"build\"");
    let mut command = fixture.command("run -p shop --target host-tuple");
    command.env("CARGO_BUILD_BUILD_DIR", &folder);
    Ended::new(command).has_status(100).says(&["1 denied (1 `inversion`)"]);
    assert!(!folder.join("x86_64-unknown-linux-gnu").exists(), "it was built there");
}

#[test]
fn reports_are_written_beside_the_run_and_records_kept() {
    let fixture = Fixture::new("reports");
    let ended = fixture.run("test --format sarif,html --records kept -p shop").has_status(100);
    assert!(!ended.stdout.contains("<html"), "{}", ended.stdout);
    ended.says(&["target/lockdep/report.sarif\n", "target/lockdep/report.html\n"]);
    let written =
        |name: &str| fs::read_to_string(Path::new(TMP).join("target/lockdep").join(name)).unwrap();
    assert!(written("report.sarif").contains("store/src/lib.rs\""));
    assert!(written("report.html").contains(r#"<mark class="held">lock</mark>"#));

    // The records of a CI shard, copied here from another machine.
    let first = fs::read_dir(fixture.0.join("kept")).unwrap().next().unwrap().unwrap().path();
    fs::rename(first, fixture.0.join("kept/of another")).unwrap();
    fixture.run("run --records kept --level allow -p shop").has_status(0);
    let both = fixture.run("report kept").has_status(100);
    assert!(both.stdout.contains("1 denied (1 `inversion`)"), "{}", both.stdout);
    assert!(both.stdout.contains("`shop`"), "{}", both.stdout);
    fixture.run("report kept --level allow").has_status(0);
}

#[test]
fn records_of_the_last_run_are_read_without_a_folder() {
    let fixture = Fixture::new("last_run");
    let _ = fs::remove_dir_all(Path::new(TMP).join("target/lockdep/last-run"));
    for command in ["report", "order"] {
        let says = "error: no run has left records here: run `cargo lockdep test`, or name a folder with records\n";
        assert_eq!(fixture.run(command).has_status(101).stderr, says);
    }
    fixture.run("run -p shop").has_status(100);
    let report = fixture.run("report").has_status(100);
    assert!(report.stdout.contains("1 denied (1 `inversion`)"), "{}", report.stdout);
    let order = fixture.run("order").has_status(0).stdout;
    for part in ["1 of 2 nestings", "against the order: ", "lockdep::declare_class_order(&["] {
        assert!(order.contains(part), "{part}: {order}");
    }
    // Neither a run that builds nothing nor one with its own folder replaces them.
    fixture.run("run -p no_such_package").has_status(101);
    fixture.run("run -p plain --records kept");
    assert_eq!(fixture.run("order").has_status(0).stdout, order);
}
