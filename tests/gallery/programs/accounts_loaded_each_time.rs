//! Accounts that are loaded for each transfer: (1, 2), and later (2, 1), but never the same two locks.

use std::sync::Arc;

use lockdep::{
    FindingKind, Level,
    sync::{Mutex, MutexGuard},
};

struct Account {
    number: u32,
    balance: Mutex<i64>,
}

impl Account {
    fn load(number: u32) -> Arc<Self> {
        Arc::new(Self { number, balance: Mutex::new(100) })
    }

    fn balance(&self) -> MutexGuard<'_, i64> {
        self.balance.lock().unwrap()
    }
}

fn transfer(from: &Account, to: &Account, amount: i64) {
    assert_ne!(from.number, to.number);
    let mut debit = from.balance();
    let mut credit = to.balance();
    *debit -= amount;
    *credit += amount;
}

pub(crate) fn main() {
    lockdep::set_level(FindingKind::SameClassNesting, Level::Warn);
    crate::one_after_the_other(
        || transfer(&Account::load(1), &Account::load(2), 10),
        || transfer(&Account::load(2), &Account::load(1), 20),
    );
}
