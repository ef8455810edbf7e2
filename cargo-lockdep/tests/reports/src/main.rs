//! A bank whose settlement takes its locks the other way round.

mod bank;
mod rates;

use std::thread;

use bank::Bank;
use rates::Rates;

fn main() {
    let bank = Bank::default();
    let rates = Rates::new();
    let run = |name: &str, work: &(dyn Fn() + Sync)| {
        thread::scope(|scope| {
            thread::Builder::new().name(name.to_owned()).spawn_scoped(scope, work).unwrap();
        });
    };
    run("transfer", &|| bank.transfer(5));
    run("settle", &|| bank.settle());
    run("audit", &|| bank.audit(&rates));
    run("quote", &|| assert_eq!(rates.quote(), 3));
}
