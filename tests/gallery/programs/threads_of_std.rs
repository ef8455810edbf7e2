//! Two threads that std has started, without names.

use std::{sync::Barrier, thread};

use lockdep::sync::Mutex;

#[derive(Default)]
struct Stock {
    shelves: Mutex<Vec<u32>>,
    orders: Mutex<Vec<u32>>,
}

impl Stock {
    fn deliver(&self) {
        let mut orders = self.orders.lock().unwrap();
        if let Some(item) = orders.pop() {
            self.shelves.lock().unwrap().push(item);
        }
    }

    fn refill(&self) {
        let shelves = self.shelves.lock().unwrap();
        self.orders.lock().unwrap().push(shelves.iter().sum());
    }
}

pub(crate) fn main() {
    let (stock, turn) = (Stock::default(), Barrier::new(2));
    stock.orders.lock().unwrap().push(1);
    thread::scope(|scope| {
        scope.spawn(|| {
            stock.deliver();
            turn.wait();
            turn.wait();
        });
        scope.spawn(|| {
            turn.wait();
            crate::caught(|| stock.refill());
            turn.wait();
        });
    });
}
