//! Two threads acquire two locks in opposite orders, and a barrier makes sure that each holds its
//! first before it requests its second. With `std::sync::Mutex` this program hangs every time. With
//! `lockdep::sync::Mutex` the thread that would close the cycle panics with a report, the other
//! continues, and the program ends.
//!
//! ```sh
//! cargo run --example two_lock_deadlock
//! cargo run --example two_lock_deadlock -- --confirm
//! ```
//!
//! With `--confirm` there is no barrier. The inversion is found in a run in which one thread ends
//! before the other begins; then the program runs again, and its threads are driven into the
//! deadlock, to prove that it can happen.
//!
//! `two_lock_ordered` is the same program with the fix.

use std::process::ExitCode;
use std::thread;

use lockdep::interleave::{self, Schedule, acquire, at, release};
use lockdep::sync::{Arc, Barrier, Mutex}; // was: use std::sync::{Arc, Barrier, Mutex};

struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
}

/// Accounts first, then the ledger.
fn transfer(bank: &Bank, amount: i64, meanwhile: impl FnOnce()) {
    let mut accounts = bank.accounts.lock().unwrap();
    accounts[0] -= amount;
    accounts[1] += amount;
    meanwhile();
    bank.ledger.lock().unwrap().push(format!("transferred {amount}"));
}

/// The ledger first, then the accounts.
fn settle(bank: &Bank, meanwhile: impl FnOnce()) {
    let mut ledger = bank.ledger.lock().unwrap();
    meanwhile();
    let accounts = bank.accounts.lock().unwrap();
    ledger.push(format!("settled at {accounts:?}"));
}

impl Bank {
    fn open() -> Arc<Self> {
        Arc::new(Self { accounts: Mutex::new(vec![100, 0]), ledger: Mutex::new(Vec::new()) })
    }
}

fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => meet_and_hang(),
        Some("--confirm") => predict_and_confirm(),
        Some(other) => {
            eprintln!("`{other}` is not `--confirm`");
            ExitCode::from(2)
        }
    }
}

/// Both threads hold their first lock when they request their second.
fn meet_and_hang() -> ExitCode {
    let bank = Bank::open();
    let meet = Arc::new(Barrier::new(2));

    let worker = thread::Builder::new().name("worker-2".into()).spawn({
        let (bank, meet) = (Arc::clone(&bank), Arc::clone(&meet));
        move || {
            transfer(&bank, 20, || {});
            meet.wait();
            transfer(&bank, 30, || _ = meet.wait());
        }
    });
    let settler = thread::Builder::new().name("settler".into()).spawn({
        let (bank, meet) = (Arc::clone(&bank), Arc::clone(&meet));
        move || {
            meet.wait();
            settle(&bank, || _ = meet.wait());
        }
    });

    let worker = worker.unwrap().join();
    let settler = settler.unwrap().join();
    println!("worker-2 {}, settler {}", ended(&worker), ended(&settler));
    println!("the ledger says {:?}", bank.ledger.lock().unwrap());
    if worker.is_ok() && settler.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ended(result: &thread::Result<()>) -> &'static str {
    if result.is_ok() { "finished" } else { "panicked" }
}

/// Runs the same two threads without a barrier.
fn transfer_and_settle() {
    let bank = Bank::open();
    let worker = thread::Builder::new().name("worker-2".into()).spawn({
        let bank = Arc::clone(&bank);
        move || transfer(&bank, 20, || {})
    });
    let settler = thread::Builder::new().name("settler".into()).spawn(move || settle(&bank, || {}));
    for thread in [worker, settler] {
        let _ = thread.unwrap().join();
    }
}

fn predict_and_confirm() -> ExitCode {
    println!("== one after the other: predicted ==");
    let one_after_the_other =
        [at("worker-2", release("accounts")), at("settler", acquire("ledger"))];
    Schedule::new().order(one_after_the_other).run(transfer_and_settle);
    let findings = lockdep::take_findings();
    let Some(inversion) = findings.first() else {
        println!("nothing was predicted");
        return ExitCode::FAILURE;
    };

    println!("== once more, and on purpose: it happens ==");
    let confirmation = interleave::confirm(inversion, transfer_and_settle);
    println!("{confirmation}");
    if confirmation.is_confirmed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
