//! A pool whose workers have one name. One takes a job and counts it, another puts back a job that failed.

use std::sync::Barrier;

use lockdep::{
    sync::{Arc, Mutex},
    thread,
};

#[derive(Default)]
struct Pool {
    jobs: Mutex<Vec<u32>>,
    failures: Mutex<u32>,
}

impl Pool {
    fn take(&self) {
        let mut jobs = self.jobs.lock().unwrap();
        if jobs.pop().is_none() {
            *self.failures.lock().unwrap() += 1;
        }
    }

    fn put_back(&self) {
        let failures = self.failures.lock().unwrap();
        self.jobs.lock().unwrap().push(*failures);
    }
}

pub(crate) fn main() {
    let pool = Arc::<Pool>::default();
    let turn = Arc::new(Barrier::new(2));
    let workers = [0, 1].map(|number| {
        let (pool, turn) = (Arc::clone(&pool), Arc::clone(&turn));
        let work = move || {
            if number == 0 {
                pool.take();
            }
            turn.wait();
            if number == 1 {
                crate::caught(|| pool.put_back());
            }
            turn.wait();
        };
        thread::Builder::new().name("worker".to_owned()).spawn(work).unwrap()
    });
    for worker in workers {
        worker.join().unwrap();
    }
}
