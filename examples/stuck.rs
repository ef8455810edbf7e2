//! A program that hangs, and the reports about it.
//!
//! The check of the lock order is disabled, as if it had not been used in time: three threads
//! really wait for each other. The one that closes the cycle reports it and panics, which releases
//! its locks, so that the others continue.
//!
//! ```sh
//! cargo run --example stuck                # names the three threads, and ends
//! LOCKDEP=deadlock=abort cargo run --example stuck    # leaves a core dump instead
//! cargo run --example stuck -- --watchdog  # nothing hangs, one thread is slow
//! ```

use std::{
    process::ExitCode,
    sync::Barrier,
    thread::{self, ScopedJoinHandle},
    time::Duration,
};

// The barriers only bring the threads together. They are std's, so that the tables list only
// locks.
use lockdep::{FindingKind, Level, sync::Mutex};

#[derive(Default)]
struct Shop {
    orders: Mutex<Vec<&'static str>>,
    stock: Mutex<u32>,
    bills: Mutex<Vec<u32>>,
}

fn main() -> ExitCode {
    lockdep::set_level(FindingKind::Inversion, Level::Allow);
    let shop = Shop::default();
    match std::env::args().nth(1).as_deref() {
        None => deadlock(&shop),
        Some("--watchdog") => slow_holder(&shop),
        Some(other) => {
            eprintln!("`{other}` is not an option: there is `--watchdog`");
            ExitCode::from(2)
        }
    }
}

/// Each of three threads holds one lock and wants the lock of the next one.
fn deadlock(shop: &Shop) -> ExitCode {
    let all_hold_one = Barrier::new(3);
    let ended_well = thread::scope(|scope| {
        let seller = spawn(scope, "seller", || {
            let _orders = shop.orders.lock().unwrap();
            all_hold_one.wait();
            *shop.stock.lock().unwrap() -= 1;
        });
        let packer = spawn(scope, "packer", || {
            let mut stock = shop.stock.lock().unwrap();
            *stock += 7;
            all_hold_one.wait();
            shop.bills.lock().unwrap().push(12);
        });
        let clerk = spawn(scope, "clerk", || {
            let _bills = shop.bills.lock().unwrap();
            all_hold_one.wait();
            until_waiting(2); // so that it is always this one that closes the circle
            shop.orders.lock().unwrap().push("a chair");
        });
        [("seller", seller), ("packer", packer), ("clerk", clerk)].map(|(name, thread)| {
            let ended_well = thread.join().is_ok();
            println!("{name}: {}", if ended_well { "done" } else { "panicked" });
            ended_well
        })
    });
    if ended_well == [true; 3] { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One thread holds the stock for too long; the others wait, and get it in the end.
fn slow_holder(shop: &Shop) -> ExitCode {
    let holds_stock = Barrier::new(2);
    thread::scope(|scope| {
        spawn(scope, "counter", || {
            let mut stock = shop.stock.lock().unwrap();
            holds_stock.wait();
            until_waiting(2);
            // Begins once both wait, so that they are in its report.
            lockdep::watchdog(Duration::from_millis(400));
            thread::sleep(Duration::from_millis(600)); // counts, slowly
            *stock = 7;
        });
        holds_stock.wait();
        spawn(scope, "seller", || {
            let mut orders = shop.orders.lock().unwrap();
            *shop.stock.lock().unwrap() -= 1;
            orders.push("a chair");
        });
        until_waiting(1);
        spawn(scope, "packer", || *shop.stock.lock().unwrap() -= 1);
    });
    println!("stock: {}", shop.stock.lock().unwrap());
    ExitCode::SUCCESS
}

/// Waits until that many threads wait for a lock. The text of `held` is for people, but sufficient
/// for this.
fn until_waiting(threads: usize) {
    while lockdep::ENABLED && lockdep::held().to_string().matches("waits for ").count() < threads {
        thread::yield_now();
    }
}

fn spawn<'scope>(
    scope: &'scope thread::Scope<'scope, '_>,
    name: &str,
    body: impl FnOnce() + Send + 'scope,
) -> ScopedJoinHandle<'scope, ()> {
    thread::Builder::new().name(name.into()).spawn_scoped(scope, body).unwrap()
}
