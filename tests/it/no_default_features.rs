//! A build without default features: reports are plain text, and a setting that needs a feature is reported.
//! `SNAPSHOTS=overwrite cargo test --no-default-features --test it no_default_features::` writes the golden files.
#![cfg(all(
    debug_assertions,
    not(any(
        feature = "config",
        feature = "excerpts",
        feature = "interleave",
        feature = "signals"
    ))
))]

use std::{fs, process::Command, thread};

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, RwLock},
};
use snapbox::{Data, assert_data_eq};

use crate::support::{child_command, is_child, name_of};

/// What a child of a test has printed to standard error.
fn stderr(command: &mut Command) -> String {
    command.env("LOCKDEP_BACKTRACE", "0").env("LOCKDEP_EXIT", "0").env("CLICOLOR_FORCE", "1");
    let output = command.output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{}: {stderr}", output.status);
    stderr
}

fn check_golden(test: impl Fn() + Copy) {
    let text = stderr(&mut child_command(test));
    let (_, name) = name_of(test).rsplit_once("::").unwrap();
    let golden = format!("{}/tests/golden/plain_{name}.txt", env!("CARGO_MANIFEST_DIR"));
    assert_data_eq!(text, Data::read_from(golden.as_ref(), None).raw());
}

#[derive(Default)]
struct Bank {
    accounts: Mutex<Vec<u32>>,
    ledger: Mutex<Vec<u32>>,
    rates: RwLock<()>,
}

/// Runs a closure on a thread of this name.
fn on_thread(name: &str, body: impl FnOnce() + Send) {
    thread::scope(|scope| {
        let thread = thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, body);
        thread.unwrap().join().unwrap();
    });
}

fn transfer(bank: &Bank) {
    let mut accounts = bank.accounts.lock().unwrap();
    accounts.push(10);
    bank.ledger.lock().unwrap().push(10);
}

#[test]
fn inversion() {
    if !is_child() {
        return check_golden(inversion);
    }
    lockdep::set_level(FindingKind::Inversion, Level::Warn);
    let bank = Bank::default();
    on_thread("worker-2", || transfer(&bank));
    on_thread("settler", || {
        let ledger = bank.ledger.lock().unwrap();
        bank.accounts.lock().unwrap().extend(&*ledger);
    });
}

#[test]
fn cycle_of_three() {
    if !is_child() {
        return check_golden(cycle_of_three);
    }
    lockdep::set_level(FindingKind::Inversion, Level::Warn);
    let bank = Bank::default();
    on_thread("worker-2", || transfer(&bank));
    on_thread("settler", || {
        let ledger = bank.ledger.lock().unwrap();
        let rates = bank.rates.write().unwrap();
        drop((rates, ledger));
    });
    on_thread("auditor", || {
        let rates = bank.rates.write().unwrap();
        let accounts = bank.accounts.lock().unwrap();
        drop((accounts, rates));
    });
}

#[test]
fn self_deadlock() {
    if !is_child() {
        return check_golden(self_deadlock);
    }
    // The panic's message has the number of the thread, which changes.
    std::panic::set_hook(Box::new(|_| ()));
    let bank = Bank::default();
    on_thread("settler", || {
        let ledger = bank.ledger.lock().unwrap();
        let again = std::panic::AssertUnwindSafe(|| drop(bank.ledger.lock()));
        let panic = std::panic::catch_unwind(again).unwrap_err();
        drop(ledger);
        assert!(panic.is::<String>());
    });
    for finding in lockdep::take_findings() {
        eprintln!("{finding}");
    }
}

/// A file is not ignored in silence. It is reported once, and the checks go on.
#[test]
fn a_lockdep_toml_is_reported() {
    let test = a_lockdep_toml_is_reported;
    if is_child() {
        let bank = Bank::default();
        transfer(&bank);
        return transfer(&bank);
    }
    let folder = std::env::temp_dir().join(format!("lockdep-unread-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let path = folder.join("lockdep.toml");
    fs::write(&path, "[[allow]]\nlocks = [\"a\"]\nreason = \"known\"\n").unwrap();
    let text = stderr(child_command(test).current_dir(&folder));
    fs::remove_dir_all(&folder).unwrap();
    let message = format!(
        "lockdep: the configuration is ignored: {} is not read: this build lacks the feature `config` of lockdep\n",
        path.display()
    );
    assert_eq!(text.matches("lockdep: ").count(), 1, "{text}");
    assert!(text.contains(&message), "{text}");
}

#[test]
#[cfg(unix)]
fn a_signal_is_reported() {
    let test = a_signal_is_reported;
    if is_child() {
        return transfer(&Bank::default());
    }
    let text = stderr(child_command(test).env("LOCKDEP_SIGNAL", "USR1,INT"));
    let message = "lockdep: LOCKDEP_SIGNAL=USR1,INT is ignored: this build lacks the feature `signals` of lockdep\n";
    assert_eq!(text.matches("lockdep: ").count(), 1, "{text}");
    assert!(text.contains(message), "{text}");
}
