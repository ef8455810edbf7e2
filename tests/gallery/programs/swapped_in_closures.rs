//! A transfer between two accounts, each changed in a closure under its lock, in both directions.

use lockdep::sync::Mutex;

struct Account {
    balance: Mutex<i64>,
}

impl Account {
    fn change(&self, by: i64, then: impl FnOnce()) {
        let mut balance = self.balance.lock().unwrap();
        *balance += by;
        then();
    }
}

fn transfer(from: &Account, to: &Account, amount: i64) {
    from.change(-amount, || to.change(amount, || ()));
}

pub(crate) fn main() {
    let [anna, ben] = [100, 50].map(|balance| Account { balance: Mutex::new(balance) });
    crate::one_after_the_other(|| transfer(&anna, &ben, 10), || transfer(&ben, &anna, 20));
}
