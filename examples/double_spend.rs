//! Two payments of 500 from a balance of 700. Each checks whether there is enough, and then pays:
//! if both check first, both pay. The schedule makes this happen every time.
//!
//! ```sh
//! cargo run --example double_spend             # 300 more than there is are spent
//! cargo run --example double_spend -- --fixed  # the same schedule, and one is refused
//! cargo run --example double_spend -- --strict # fixed, and the schedule must be followed
//! ```

use std::process::ExitCode;
use std::thread;

use lockdep::interleave::{Schedule, acquire, at, inside, point};
use lockdep::sync::Mutex; // was: use std::sync::Mutex;

struct Account {
    balance: Mutex<i64>,
}

impl Account {
    /// Checks, then pays; the lock is not held in between.
    fn pay(&self, amount: i64) -> Result<(), &'static str> {
        if *self.balance.lock().unwrap() < amount {
            return Err("not enough");
        }
        point!("looked");
        point!("pays");
        *self.balance.lock().unwrap() -= amount;
        Ok(())
    }

    /// Checks and pays under one lock.
    fn pay_at_once(&self, amount: i64) -> Result<(), &'static str> {
        let mut balance = self.balance.lock().unwrap();
        if *balance < amount {
            return Err("not enough");
        }
        point!("looked");
        point!("pays");
        *balance -= amount;
        Ok(())
    }
}

fn main() -> ExitCode {
    let argument = std::env::args().nth(1);
    let pay = match argument.as_deref() {
        None => Account::pay,
        Some("--fixed" | "--strict") => Account::pay_at_once,
        Some(other) => {
            eprintln!("`{other}` is neither `--fixed` nor `--strict`");
            return ExitCode::from(2);
        }
    };
    let account = Account { balance: Mutex::new(700) };

    // The rent checks first, and both have checked before it pays.
    let mut schedule = Schedule::new()
        .order([at("rent", "looked"), at("bike", acquire(&account.balance))])
        .order([at("bike", "looked"), at("rent", "pays")]);
    if argument.as_deref() != Some("--strict") {
        // If a lock prevents this order, abandon the schedule.
        schedule = schedule.yield_to_locks();
    }
    let [rent, bike] = schedule.run(|| {
        thread::scope(|scope| {
            ["rent", "bike"]
                .map(|name| scope.spawn(inside(name, || pay(&account, 500))))
                .map(|payment| payment.join().unwrap())
        })
    });

    let balance = account.balance.into_inner().unwrap();
    let paid = [rent, bike].iter().filter(|result| result.is_ok()).count();
    println!("{paid} of 2 payments of 500 were made from 700: {balance} are left");
    if balance >= 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
