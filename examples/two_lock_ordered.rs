//! `two_lock_deadlock` with the fix: both threads lock the accounts before the ledger. Nothing is
//! reported, and nothing can hang.
//!
//! ```sh
//! cargo run --example two_lock_ordered
//! ```

use std::thread;

use lockdep::sync::{Arc, Mutex}; // was: use std::sync::{Arc, Mutex};

struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
}

/// Accounts first, then the ledger.
fn transfer(bank: &Bank, amount: i64) {
    let mut accounts = bank.accounts.lock().unwrap();
    accounts[0] -= amount;
    accounts[1] += amount;
    bank.ledger.lock().unwrap().push(format!("transferred {amount}"));
}

/// Accounts first here as well: this is the whole fix.
fn settle(bank: &Bank) {
    let accounts = bank.accounts.lock().unwrap();
    let mut ledger = bank.ledger.lock().unwrap();
    ledger.push(format!("settled at {accounts:?}"));
}

fn main() {
    let bank =
        Arc::new(Bank { accounts: Mutex::new(vec![100, 0]), ledger: Mutex::new(Vec::new()) });
    // There is no barrier: with one order, the two cannot both hold their first
    // lock at the same time.
    let worker = thread::Builder::new().name("worker-2".into()).spawn({
        let bank = Arc::clone(&bank);
        move || {
            transfer(&bank, 20);
            transfer(&bank, 30);
        }
    });
    let settler = thread::Builder::new().name("settler".into()).spawn({
        let bank = Arc::clone(&bank);
        move || settle(&bank)
    });
    worker.unwrap().join().expect("the worker finishes");
    settler.unwrap().join().expect("the settler finishes");

    let entries = bank.ledger.lock().unwrap().len();
    println!("{entries} entries, {} findings", lockdep::findings().len());
}
