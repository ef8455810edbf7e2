//! Bills an order: locks the account of the customer, and then the order's key. The fixed version takes them in the
//! order of the other service.

use std::error::Error;

use resources::postgres::Transaction;
use two_services::{DATABASE, ORDERS, Version, connect};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut redis, mut postgres) = connect()?;
    let bill = "UPDATE accounts SET billed = billed + 1 WHERE id = 7";
    match Version::of_arguments()? {
        Version::Buggy => {
            let mut transaction = Transaction::begin(&mut postgres, DATABASE)?;
            transaction.lock_row("accounts", &7)?;
            let order = ORDERS.lock(&mut redis, "order:42")?;
            transaction.run(|it| it.execute(bill, &[]))?;
            transaction.commit()?;
            order.release()?;
        }
        Version::Fixed => {
            let order = ORDERS.lock(&mut redis, "order:42")?;
            let mut transaction = Transaction::begin(&mut postgres, DATABASE)?;
            transaction.lock_row("accounts", &7)?;
            transaction.run(|it| it.execute(bill, &[]))?;
            transaction.commit()?;
            order.release()?;
        }
    }
    Ok(())
}
