//! Ships an order: locks its key, and then the account of the customer.

use std::error::Error;

use resources::postgres::Transaction;
use two_services::{DATABASE, ORDERS, connect};

fn main() -> Result<(), Box<dyn Error>> {
    let (mut redis, mut postgres) = connect()?;
    let order = ORDERS.lock(&mut redis, "order:42")?;
    let mut transaction = Transaction::begin(&mut postgres, DATABASE)?;
    transaction.lock_row("accounts", &7)?;
    transaction
        .run(|it| it.execute("UPDATE accounts SET shipped = shipped + 1 WHERE id = 7", &[]))?;
    transaction.commit()?;
    order.release()?;
    Ok(())
}
