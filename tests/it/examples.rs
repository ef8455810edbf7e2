//! The examples exit as documented, and their output matches the golden files in `tests/golden`.
//! `SNAPSHOTS=overwrite cargo test --test it examples::` updates the files.
#![cfg(all(feature = "excerpts", feature = "interleave"))]
#![cfg(debug_assertions)] // the golden files have the lines of a debug build's stacks

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::LazyLock,
};

use snapbox::assert_data_eq;

/// The folder in which cargo puts the examples. `cargo test` builds them, but `cargo test --test it`
/// does not.
static EXAMPLES: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--examples"]);
    for (is_on, feature) in [
        (cfg!(feature = "enforce"), "enforce"),
        (cfg!(feature = "rayon"), "rayon"),
        (cfg!(feature = "tokio"), "tokio"),
    ] {
        if is_on {
            build.args(["--features", feature]);
        }
    }
    assert!(build.status().expect("cargo runs").success());
    let this = std::env::current_exe().expect("this test is a file");
    this.ancestors().nth(2).expect("it stands in deps").join("examples")
});

fn run(example: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(EXAMPLES.join(example));
    command.args(arguments).stdin(Stdio::null());
    for (variable, _) in std::env::vars_os() {
        let name = variable.to_string_lossy();
        if name.starts_with("LOCKDEP") || name.starts_with("RUST_") || name.contains("COLOR") {
            command.env_remove(variable);
        }
    }
    command.envs(environment.iter().copied()).output().expect("the example runs")
}

/// Returns both outputs and the status as one text, as on a terminal, without parts that differ
/// between runs and machines.
fn transcript(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let status = output.status.code().expect("it ended by itself");
    let text = format!("{}{}[status {status}]\n", text(&output.stderr), text(&output.stdout));
    let without_thread_number = |line: &str| match line.split_once("' (") {
        Some((thread, rest)) if thread.starts_with("thread '") => {
            let (_, rest) = rest.split_once(") ").expect("the number ends");
            format!("{thread}' {rest}\n")
        }
        _ => format!("{line}\n"),
    };
    // A task that would wait for ever panics inside this crate, whose line numbers change.
    let without_own_line = |line: String| match line.split_once("' panicked at src/") {
        Some((thread, _)) => format!("{thread}' panicked at src/...\n"),
        None => line,
    };
    // What the operating system knows about threads is left out, because it differs between
    // systems.
    let is_ours = |line: &&str| {
        let number = line.strip_suffix(')').and_then(|line| line.rsplit_once("` ("));
        let has_number = number.is_some_and(|(_, number)| number.parse::<u64>().is_ok());
        !line.starts_with("    is         ") && !has_number
    };
    text.lines()
        .filter(is_ours)
        .map(without_thread_number)
        .map(without_own_line)
        .collect::<String>()
        .replace(env!("CARGO_MANIFEST_DIR"), "[here]")
}

macro_rules! golden {
    ($($test:ident: $example:literal $arguments:expr;)*) => {$(
        #[test]
        fn $test() {
            let output = run($example, &$arguments, &[]);
            let golden = concat!("golden/", stringify!($test), ".txt");
            let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests").join(golden);
            assert_data_eq!(transcript(&output), snapbox::Data::read_from(&golden, None).raw());
        }
    )*};
}

golden! {
    two_lock_deadlock: "two_lock_deadlock" [];
    two_lock_ordered: "two_lock_ordered" [];
    channel_under_lock: "channel_under_lock" [];
    channel_under_lock_fixed: "channel_under_lock" ["--fixed"];
    join_under_lock: "join_under_lock" [];
    join_under_lock_fixed: "join_under_lock" ["--fixed"];
    dining_philosophers: "dining_philosophers" [];
    dining_philosophers_ordered: "dining_philosophers" ["--ordered"];
    dining_philosophers_help: "dining_philosophers" ["none"];
    bank_transfer: "bank_transfer" [];
    bank_transfer_ordered: "bank_transfer" ["--ordered"];
    bank_transfer_declared: "bank_transfer" ["--declared"];
    diagnostics: "diagnostics" [];
    double_spend: "double_spend" [];
    double_spend_fixed: "double_spend" ["--fixed"];
    double_spend_strict: "double_spend" ["--strict"];
    lost_update: "lost_update" [];
    lost_update_locked: "lost_update" ["--locked"];
    lost_update_retried: "lost_update" ["--retried"];
    main_thread_round_trip: "main_thread_round_trip" [];
    stuck: "stuck" [];
}

#[cfg(feature = "rayon")]
golden! {
    stolen_job: "stolen_job" [];
    stolen_job_fixed: "stolen_job" ["--fixed"];
}

#[cfg(feature = "tokio")]
golden! {
    task_deadlock: "task_deadlock" [];
    task_deadlock_really: "task_deadlock" ["--really"];
    futurelock: "futurelock" [];
    futurelock_fixed: "futurelock" ["--fixed"];
    recursive_async_read: "recursive_async_read" [];
    recursive_async_read_really: "recursive_async_read" ["--really"];
}

// On other systems the report does not say what the holder does.
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
golden! {
    stuck_watchdog: "stuck" ["--watchdog"];
}

/// It depends on timing which of the two threads closes the cycle.
#[test]
fn a_prediction_is_confirmed() {
    for _ in 0..10 {
        let text = transcript(&run("two_lock_deadlock", &["--confirm"], &[]));
        assert!(text.contains("error[lockdep::inversion]: `bank.ledger` and"), "{text}");
        let deadlock = text.split_once("error[lockdep::deadlock]: threads `").expect(&text).1;
        assert!(deadlock.contains("` wait for each other"), "{text}");
        assert!(
            text.contains("confirmed: the deadlock has happened with this schedule:"),
            "{text}"
        );
        assert!(text.ends_with("    then all continued\n[status 0]\n"), "{text}");
    }
}

/// Pages show the output of the examples: a part of a golden file, given by its beginning and end,
/// and the page that contains it.
#[test]
fn pages_show_what_the_examples_print() {
    const READ_ME: &str = include_str!("../../README.md");
    const DEADLOCKS: &str = include_str!("../../docs/deadlocks.md");
    const INTERLEAVE: &str = include_str!("../../docs/interleave.md");
    const CI: &str = include_str!("../../docs/ci.md");
    let shown = [
        ("two_lock_deadlock", "thread 'settler'", "\n\nstack of", READ_ME),
        ("two_lock_deadlock", "lockdep: 1 unhandled finding", "\nworker-2 finished", CI),
        ("stuck", "thread 'clerk'", "\nnote: `shop", DEADLOCKS),
        ("stuck_watchdog", "warning[", "\nstock: 5", DEADLOCKS),
        ("diagnostics", "thread `cashier`\n", "\n\n== the lock order", DEADLOCKS),
        ("double_spend_strict", "the schedule", "\nnote: run with", INTERLEAVE),
    ];
    for (golden, first, end, page) in shown {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/golden/{golden}.txt"));
        let text = std::fs::read_to_string(file).expect("the golden file");
        let text = &text[text.find(first).expect(first)..];
        let text = &text[..text.find(end).expect(end)];
        assert!(page.contains(&format!("\n{text}\n```")), "copy it from {golden}.txt:\n{text}");
    }
}

#[test]
fn colours_are_asked_for() {
    let forced = run("two_lock_deadlock", &[], &[("CLICOLOR_FORCE", "1")]);
    assert!(transcript(&forced).contains("\u{1b}["));
    let plain = run("two_lock_deadlock", &[], &[("NO_COLOR", "1")]);
    assert!(!transcript(&plain).contains('\u{1b}'));
}

#[test]
fn a_warning_is_printed_once_and_the_program_goes_on() {
    // Without the certain deadlock at the barrier: the same two lines, one after the other.
    let output = run("bank_transfer", &[], &[("LOCKDEP", "warn")]);
    let text = transcript(&output);
    let report = "warning[lockdep::inversion]: `to.balance` (Mutex #2) and `from.balance` \
                  (Mutex #1) are acquired in both orders";
    assert_eq!(text.matches(&format!("{report}\n")).count(), 1, "{text}");
    // Repeated at the end, in one line.
    assert_eq!(text.matches(&format!("{report}, at examples/")).count(), 1, "{text}");
    assert!(text.ends_with("alice 430, bob 570\n[status 0]\n"), "{text}");
}

#[test]
fn off_is_off() {
    let output = run("bank_transfer", &[], &[("LOCKDEP", "off")]);
    assert_eq!(transcript(&output), "alice 430, bob 570\n[status 0]\n");
}

#[test]
fn what_the_environment_says_wrongly_is_named_once() {
    let bad = [("LOCKDEP", "inversoin=warn"), ("LOCKDEP_BACKTRACE", "yes")];
    let text = transcript(&run("bank_transfer", &[], &bad));
    assert_eq!(text.matches("`inversoin=warn` in LOCKDEP is ignored").count(), 1, "{text}");
    assert_eq!(text.matches("`yes` in LOCKDEP_BACKTRACE is ignored").count(), 1, "{text}");
    // The default stays in force.
    assert!(text.contains("error[lockdep::inversion]"), "{text}");
}

#[test]
fn backtraces_can_be_off() {
    let off = transcript(&run("bank_transfer", &[], &[("LOCKDEP_BACKTRACE", "0")]));
    assert!(!off.contains("stack of thread"), "{off}");
    // Those of the first locks are left out, because they lead through the same functions.
    let on = transcript(&run("bank_transfer", &[], &[]));
    assert_eq!(on.matches("stack of thread").count(), 2, "{on}");
}

/// By default the report of a deadlock of tasks has no stacks of their waits, because recording one
/// for each wait would be too expensive.
#[test]
#[cfg(feature = "tokio")]
fn a_task_keeps_the_stacks_of_its_waits_if_it_is_asked_to() {
    let full = [("LOCKDEP_BACKTRACE", "full")];
    let text = transcript(&run("futurelock", &[], &full));
    let (_, stacks) = text.split_once("\n\nstack of task ").expect(&text);
    let (number, stacks) = stacks.split_once(',').expect(&text);
    let line = stacks.lines().nth(8).unwrap_or_default();
    assert!(line.starts_with("             at examples/futurelock.rs:"), "{text}");
    let expected = format!(
        " requesting `cache`:\n\
         \u{20}  0: futurelock::fetch\n\
         \u{20}            at examples/futurelock.rs:27:34\n\
         \u{20}  1: futurelock::request\n\
         \u{20}            in `tokio::select!`\n\
         \n\
         stack of task {number}, waiting for `cache`:\n\
         \u{20}  0: futurelock::fetch\n\
         \u{20}            at examples/futurelock.rs:27:34\n\
         \u{20}  1: futurelock::request\n"
    );
    assert!(stacks.starts_with(&expected), "{text}");
    let text = transcript(&run("task_deadlock", &["--really"], &full));
    let stack = ", waiting for `bank.ledger`:\n   0: task_deadlock::transfer\n";
    assert!(text.contains(stack), "{text}");
}

/// A test harness does not capture standard error when the process aborts.
#[test]
#[cfg(unix)]
fn a_deadlock_aborts_if_it_is_asked_to() {
    use std::os::unix::process::ExitStatusExt;

    let output = run("stuck", &[], &[("LOCKDEP", "deadlock=abort")]);
    assert!(output.status.signal().is_some(), "{}", output.status);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(text.starts_with("error[lockdep::deadlock]"), "{text}");
    assert!(text.contains("help: the process is aborted"), "{text}");
}

/// A program without access to its sources still names places.
#[test]
fn without_sources() {
    let nowhere = tempdir("without_sources");
    let mut command = Command::new(EXAMPLES.join("bank_transfer"));
    command.current_dir(&nowhere).env("NO_COLOR", "1").env_remove("RUST_BACKTRACE");
    let text = transcript(&command.output().expect("the example runs"));
    let golden = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden/without_sources.txt");
    assert_data_eq!(text, snapbox::Data::read_from(&golden, None).raw());
}

/// Returns an empty folder with no source file above it.
fn tempdir(name: &str) -> PathBuf {
    let folder = std::env::temp_dir().join(format!("lockdep-{}-{name}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder for temporary files");
    folder
}
