//! Signals that end `cargo lockdep` while a test of the program hangs.
#![cfg(target_os = "linux")]
#![allow(unsafe_code, reason = "std sends no signals")]

#[path = "support/copied.rs"]
mod copied;
#[path = "support/workspace.rs"]
mod workspace;

use std::{
    fs,
    io::{BufRead, BufReader, Read},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};

use libc::{SIGHUP, SIGINT, SIGTERM};
use workspace::{Ended, Fixture, TMP};

const HANGS: &str = r#"use std::{sync::{Mutex, mpsc}, thread};

static STATE: Mutex<u32> = Mutex::new(0);

fn main() {}

#[test]
fn it_hangs() {
    let (ask, asked) = mpsc::channel::<()>();
    let guard = STATE.lock().unwrap();
    let worker = thread::Builder::new().name("worker".into()).spawn(move || {
        *STATE.lock().unwrap() += 1;
        drop(ask);
    });
    println!("process {}", std::process::id());
    asked.recv().unwrap();
    println!("{guard} {}", worker.is_ok());
}
"#;

#[test]
fn a_signal_ends_the_program_and_what_it_waits_for_is_reported() {
    let fixture = Fixture::new("interrupted");
    fs::write(fixture.0.join("shop/src/main.rs"), HANGS).unwrap();
    fixture.run("test -p shop --bin shop --no-run").has_status(4);
    let before = records();
    // `kill` and CI send to us alone, a terminal to all.
    for (signal, name, to_all) in [
        (SIGTERM, "SIGTERM", false),
        (SIGHUP, "SIGHUP", false),
        (SIGINT, "SIGINT", true),
        (SIGTERM, "SIGTERM", true),
    ] {
        let mut command = fixture.command("test -p shop --bin shop -- --nocapture");
        command.process_group(0).stdout(Stdio::piped()).stderr(Stdio::piped());
        // A job in the background of a script ignores them, and so would the program.
        let restore = || {
            for signal in [SIGHUP, SIGINT, SIGTERM] {
                // SAFETY: the default action is always valid.
                unsafe { libc::signal(signal, libc::SIG_DFL) };
            }
            Ok(())
        };
        // SAFETY: `signal` is async-signal-safe.
        unsafe { command.pre_exec(restore) };
        let mut running = command.spawn().unwrap();
        let mut stdout = BufReader::new(running.stdout.take().unwrap());
        let mut line = String::new();
        let process = loop {
            line.clear();
            assert_ne!(stdout.read_line(&mut line).unwrap(), 0, "it has ended");
            if let Some((_, process)) = line.split_once("process ") {
                break process.trim().to_owned();
            }
        };
        while !catches(&process, signal) {
            thread::yield_now();
        }
        let ours = i32::try_from(running.id()).unwrap();
        // SAFETY: the process has not been waited for.
        assert_eq!(unsafe { libc::kill(if to_all { -ours } else { ours }, signal) }, 0);

        let mut stderr = String::new();
        running.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        let status = running.wait().unwrap().code();
        let until = format!(", until {name} ended the run\n");
        Ended { status, stdout: line, stderr }.has_status(128 + signal).says(&[
            &format!("{name} ends this process. What its threads did:"),
            "thread `worker` has waited ",
            &until,
        ]);
        let stat = fs::read_to_string(format!("/proc/{process}/stat"));
        assert!(
            stat.is_ok_and(|stat| stat.contains(") Z "))
                || !Path::new("/proc").join(&process).exists(),
            "it runs"
        );
        assert_eq!(records(), before, "records have stayed");
    }
}

/// Returns the folders of records below all runtimes.
fn records() -> Vec<PathBuf> {
    let entries =
        |folder: &Path| fs::read_dir(folder).into_iter().flatten().flatten().map(|it| it.path());
    let runtimes: Vec<_> = entries(&Path::new(TMP).join("target/lockdep")).collect();
    let mut all: Vec<_> =
        runtimes.iter().flat_map(|folder| entries(&folder.join("records"))).collect();
    all.sort();
    all
}

/// Returns `true` if the process has a handler for a signal: it is installed a moment after the first lock.
fn catches(process: &str, signal: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("it hangs");
    let caught = status.lines().find_map(|line| line.strip_prefix("SigCgt:")).unwrap();
    u64::from_str_radix(caught.trim(), 16).unwrap() & (1 << (signal - 1)) != 0
}
