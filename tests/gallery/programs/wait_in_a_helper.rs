//! A pool whose `get` waits for a free connection, called while the caller holds its own lock.

use lockdep::sync::{Condvar, Mutex};

#[derive(Default)]
struct Pool {
    free: Mutex<Vec<u32>>,
    returned: Condvar,
}

impl Pool {
    fn get(&self) -> u32 {
        let free = self.free.lock().unwrap();
        let mut free = self.returned.wait_while(free, |free| free.is_empty()).unwrap();
        free.pop().unwrap()
    }

    fn put(&self, connection: u32) {
        self.free.lock().unwrap().push(connection);
        self.returned.notify_one();
    }
}

#[derive(Default)]
struct Orders {
    open: Mutex<Vec<u32>>,
}

fn save(orders: &Orders, pool: &Pool) {
    let mut open = orders.open.lock().unwrap();
    let connection = pool.get();
    open.push(connection);
    pool.put(connection);
}

pub(crate) fn main() {
    let (orders, pool) = (Orders::default(), Pool::default());
    let put_later = || {
        while lockdep::findings().is_empty() {
            std::thread::yield_now();
        }
        pool.put(1);
    };
    crate::at_once(|| save(&orders, &pool), put_later);
}
