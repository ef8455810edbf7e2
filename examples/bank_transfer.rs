//! Transfers between two accounts, each with its own lock. Money goes both ways, so the accounts
//! are locked in both orders: by the same two lines, called with the accounts swapped.
//!
//! ```sh
//! cargo run --example bank_transfer               # reported
//! cargo run --example bank_transfer -- --ordered  # the account with the smaller number first
//! cargo run --example bank_transfer -- --declared # that order is declared, and checked
//! ```

use std::process::ExitCode;
use std::thread;

use lockdep::sync::Mutex; // was: use std::sync::Mutex;

struct Account {
    number: u32,
    balance: Mutex<i64>,
}

impl Account {
    fn new(number: u32, balance: i64) -> Self {
        Self { number, balance: Mutex::new(balance) }
    }
}

/// Locks the paying account first, whichever it is.
fn transfer(from: &Account, to: &Account, amount: i64) {
    let mut payer = from.balance.lock().unwrap();
    let mut payee = to.balance.lock().unwrap();
    *payer -= amount;
    *payee += amount;
}

/// Locks the account with the smaller number first, whichever pays.
fn transfer_ordered(from: &Account, to: &Account, amount: i64) {
    let (mut payer, mut payee);
    if from.number < to.number {
        payer = from.balance.lock().unwrap();
        payee = to.balance.lock().unwrap();
    } else {
        payee = to.balance.lock().unwrap();
        payer = from.balance.lock().unwrap();
    }
    *payer -= amount;
    *payee += amount;
}

fn main() -> ExitCode {
    let option = std::env::args().nth(1);
    let transfer = match option.as_deref() {
        None | Some("--declared") => transfer,
        Some("--ordered") => transfer_ordered,
        Some(other) => {
            eprintln!("`{other}` is not an option: there are `--ordered` and `--declared`");
            return ExitCode::from(2);
        }
    };
    let (alice, bob) = (Account::new(1, 500), Account::new(2, 500));
    if option.as_deref() == Some("--declared") {
        // Then the first transfer from the larger to the smaller number is reported.
        for account in [&alice, &bob] {
            lockdep::order_by_key(&account.balance, account.number);
        }
    }
    let clerk = |name: &str, from: &Account, to: &Account, amount: i64| {
        thread::scope(|bank| {
            let clerk = thread::Builder::new().name(name.into());
            clerk.spawn_scoped(bank, || transfer(from, to, amount)).unwrap().join()
        })
    };
    let there = clerk("clerk-1", &alice, &bob, 100);
    let back = clerk("clerk-2", &bob, &alice, 30);

    println!("alice {}, bob {}", alice.balance.lock().unwrap(), bob.balance.lock().unwrap());
    if there.is_ok() && back.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
