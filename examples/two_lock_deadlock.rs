//! Two threads take two locks in opposite orders, and a barrier makes sure that
//! each holds its first before it asks for its second. With `std::sync::Mutex` this
//! program hangs every time. With `lockdep::sync::Mutex` the thread that would
//! close the circle panics with a report, the other goes on, and the program ends.
//!
//! ```sh
//! cargo run --example two_lock_deadlock
//! ```
//!
//! `two_lock_ordered` is the same program with the fix.

use std::process::ExitCode;
use std::thread;

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

fn main() -> ExitCode {
    let bank =
        Arc::new(Bank { accounts: Mutex::new(vec![100, 0]), ledger: Mutex::new(Vec::new()) });
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
