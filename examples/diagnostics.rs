//! What the library reports about a running program: the locks that threads hold and wait for, the
//! lock order as a graph, and a report of each kind of finding.
//!
//! ```sh
//! cargo run --example diagnostics
//! cargo run --example diagnostics | sed -n '/^digraph/,/^}/p' | dot -Tsvg > order.svg
//! ```

use std::{sync::Barrier, thread};

use lockdep::{
    FindingKind, Level,
    sync::{Condvar, Mutex, RwLock},
};

#[derive(Default)]
struct Shop {
    stock: Mutex<Vec<&'static str>>,
    prices: RwLock<Vec<u32>>,
    till: Mutex<u32>,
    sold: Condvar,
}

fn main() {
    let shop = Shop::default();

    println!("== who holds what, and who waits ==\n");
    who_holds_what(&shop);

    println!("== the lock order ==\n");
    println!("{}", lockdep::order_graph().to_dot());

    println!("== a report of each kind ==\n");
    // So as not to panic at the first one; `Warn` would print them on standard error.
    for kind in [FindingKind::Inversion, FindingKind::RecursiveRead, FindingKind::WaitWhileHolding]
    {
        lockdep::set_level(kind, Level::Allow);
    }
    inversion(&shop);
    recursive_read(&shop);
    wait_while_holding(&shop);
    self_deadlock(&shop);
    // Taken findings do not make this process exit with status 101.
    for finding in lockdep::take_findings() {
        println!("{finding}");
    }
}

/// The cashier holds the till and the prices; a customer waits for the till.
fn who_holds_what(shop: &Shop) {
    let (served, looked) = (Barrier::new(2), Barrier::new(2));
    thread::scope(|scope| {
        let cashier = thread::Builder::new().name("cashier".into());
        let serve = || {
            let _till = shop.till.lock().unwrap();
            let _prices = shop.prices.read().unwrap();
            served.wait();
            looked.wait();
        };
        cashier.spawn_scoped(scope, serve).unwrap();
        served.wait();
        let customer = thread::Builder::new().name("customer".into());
        customer.spawn_scoped(scope, || *shop.till.lock().unwrap() += 1).unwrap();
        // Until the customer waits.
        while !lockdep::held().to_string().contains("waits for") {
            thread::yield_now();
        }
        print!("{}", lockdep::held());
        looked.wait();
    });
    println!();
}

/// The till before the prices in `who_holds_what`, and after them here.
fn inversion(shop: &Shop) {
    let _prices = shop.prices.write().unwrap();
    *shop.till.lock().unwrap() += 1;
}

/// Two read guards in one thread; a writer may queue between them.
fn recursive_read(shop: &Shop) {
    let prices = shop.prices.read().unwrap();
    let total: u32 = shop.prices.read().unwrap().iter().sum();
    assert!(prices.is_empty() && total == 0);
}

/// Waits for stock while holding the till, which the supplier may need.
fn wait_while_holding(shop: &Shop) {
    let _till = shop.till.lock().unwrap();
    let stock = shop.stock.lock().unwrap();
    thread::scope(|scope| {
        scope.spawn(|| {
            shop.stock.lock().unwrap().push("bread");
            shop.sold.notify_one();
        });
        drop(shop.sold.wait_while(stock, |stock| stock.is_empty()).unwrap());
    });
}

/// A guard that lives to the end of a `match` is the most common deadlock. This one is certain, and
/// its level stays `Deny`.
fn self_deadlock(shop: &Shop) {
    let result = thread::scope(|scope| {
        let clerk = thread::Builder::new().name("clerk".into());
        let restock = || match shop.stock.lock().unwrap().pop() {
            Some(item) => shop.stock.lock().unwrap().push(item),
            None => println!("sold out"),
        };
        clerk.spawn_scoped(scope, restock).unwrap().join()
    });
    assert!(result.is_err());
}
