use lockdep::sync::Mutex;

use crate::rates::Rates;

pub struct Bank {
    accounts: Mutex<Vec<i64>>,
    ledger: Mutex<Vec<String>>,
    audited: Mutex<bool>,
}

impl Default for Bank {
    fn default() -> Self {
        Self {
            accounts: Mutex::new(vec![100, 20]),
            ledger: Mutex::new(Vec::new()),
            audited: Mutex::new(false),
        }
    }
}

impl Bank {
    /// Moves an amount from the first account to the second, and writes it down.
    pub fn transfer(&self, amount: i64) {
        let mut accounts = self.accounts.lock().unwrap();
        accounts[0] -= amount;
        accounts[1] += amount;
        self.ledger.lock().unwrap().push(format!("<{amount}> & \"done\""));
    }

    pub fn settle(&self) {
        let mut ledger = self.ledger.lock().unwrap();
        if !ledger.is_empty() {
            let mut accounts = self.accounts.lock().unwrap();
            accounts[1] += 1;
        }
        ledger.clear();
    }

    pub fn audit(&self, rates: &Rates) {
        let mut audited = self.audited.lock().unwrap();
        let accounts = self.accounts.lock().unwrap();
        *audited = accounts.iter().sum::<i64>() * rates.quote() > 0;
    }
}
