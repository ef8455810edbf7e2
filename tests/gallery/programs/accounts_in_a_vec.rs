//! Accounts in a vector: the two orders come from the same two lines.

use lockdep::sync::Mutex;

struct Bank {
    accounts: Vec<Mutex<i64>>,
}

impl Bank {
    fn transfer(&self, from: usize, to: usize, amount: i64) {
        let mut from = self.accounts[from].lock().unwrap();
        let mut to = self.accounts[to].lock().unwrap();
        *from -= amount;
        *to += amount;
    }
}

pub(crate) fn main() {
    let bank = Bank { accounts: (0..3).map(|_| Mutex::new(100)).collect() };
    crate::one_after_the_other(|| bank.transfer(0, 1, 10), || bank.transfer(1, 0, 20));
}
