//! Two tasks acquire two of tokio's locks in opposite orders, and a barrier makes sure that each
//! holds its first before it requests its second. With `tokio::sync::Mutex` this program hangs
//! every time, with no thread blocked anywhere.
//!
//! ```sh
//! cargo run --example task_deadlock --features tokio
//! cargo run --example task_deadlock --features tokio -- --really
//! ```
//!
//! With `lockdep::tokio` the task that would close the cycle panics at its `.await`, with a report;
//! the other continues. With `--really` the lock order is not checked, so both tasks wait for each
//! other and nothing can wake them. The one that closes the cycle reports it and panics.

use std::{process::ExitCode, sync::Arc};

// was: use tokio::{self, sync::{Barrier, Mutex}, task::JoinError};
use lockdep::tokio::{
    self,
    sync::{Barrier, Mutex},
    task::JoinError,
};
use lockdep::{FindingKind, Level};

struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
}

/// Accounts first, then the ledger.
async fn transfer(bank: &Bank, amount: i64, meet: &Barrier) {
    let mut accounts = bank.accounts.lock().await;
    accounts[0] -= amount;
    accounts[1] += amount;
    meet.wait().await;
    bank.ledger.lock().await.push(format!("transferred {amount}"));
}

/// The ledger first, then the accounts.
async fn settle(bank: &Bank, meet: &Barrier) {
    let mut ledger = bank.ledger.lock().await;
    meet.wait().await;
    let accounts = bank.accounts.lock().await;
    ledger.push(format!("settled at {accounts:?}"));
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match std::env::args().nth(1).as_deref() {
        None => {}
        Some("--really") => lockdep::set_level(FindingKind::Inversion, Level::Allow),
        Some(other) => {
            eprintln!("`{other}` is not `--really`");
            return ExitCode::from(2);
        }
    }
    let bank =
        Arc::new(Bank { accounts: Mutex::new(vec![100, 0]), ledger: Mutex::new(Vec::new()) });
    let meet = Arc::new(Barrier::new(2));

    let transfer = tokio::spawn({
        let (bank, meet) = (Arc::clone(&bank), Arc::clone(&meet));
        async move { transfer(&bank, 30, &meet).await }
    });
    let settle = tokio::spawn({
        let (bank, meet) = (Arc::clone(&bank), Arc::clone(&meet));
        async move { settle(&bank, &meet).await }
    });

    let (transfer, settle) = (transfer.await, settle.await);
    println!("transfer {}, settle {}", ended(&transfer), ended(&settle));
    println!("the ledger says {:?}", bank.ledger.lock().await);
    if transfer.is_ok() && settle.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn ended(result: &Result<(), JoinError>) -> &'static str {
    if result.is_ok() { "finished" } else { "panicked" }
}
