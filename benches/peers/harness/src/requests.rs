//! A server's day: eight threads that serve requests, more than there are cores.

use std::hint::black_box;

use crate::{Locks, clock::each, threads::together};

const THREADS: usize = 8;
const REQUESTS: u64 = 500;

struct Server<L: Locks> {
    settings: L::RwLock,
    connections: L::Mutex,
    sessions: Vec<L::Mutex>,
    statistics: L::Mutex,
}

/// Nanoseconds for each request, on the clock on the wall.
pub(crate) fn serve<L: Locks>() -> f64 {
    let server = Server::<L> {
        settings: L::rw_lock(1),
        connections: L::mutex(0),
        sessions: (0..64).map(|_| L::mutex(0)).collect(),
        statistics: L::mutex(0),
    };
    let serve = |thread: usize, requests: u64| {
        for number in 0..requests {
            server.request(thread as u64 * 31 + number);
        }
    };
    together(THREADS, |thread| move || serve(thread, 100));
    let time = together(THREADS, |thread| move || serve(thread, REQUESTS));
    each(time, THREADS as u64 * REQUESTS)
}

impl<L: Locks> Server<L> {
    /// Five locks in some 5 µs: a small request.
    fn request(&self, number: u64) {
        let parsed = work(number, 1_000) + *L::read(&self.settings);
        *L::lock(&self.connections) += 1;
        let session = usize::try_from(number % 64).expect("below 64");
        {
            let mut session = L::lock(&self.sessions[session]);
            *session += work(parsed, 100);
            *L::lock(&self.statistics) += 1;
        }
        black_box(work(parsed, 1_000));
        *L::lock(&self.connections) -= 1;
    }
}

/// Something to compute.
fn work(seed: u64, steps: u64) -> u64 {
    (0..steps).fold(black_box(seed), |sum, step| (sum ^ step).wrapping_mul(0x100_0000_01b3))
}
