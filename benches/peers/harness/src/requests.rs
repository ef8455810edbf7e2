//! A server: eight threads, more than there are cores, that serve requests.

use std::{hint::black_box, time::Duration};

use crate::{
    Locks,
    clock::{self, each},
    threads::together,
};

const THREADS: usize = 8;
const REQUESTS: u64 = 2_000;

struct Server<L: Locks> {
    settings: L::RwLock,
    connections: L::Mutex,
    sessions: Vec<L::Mutex>,
    statistics: L::Mutex,
}

/// Returns the wall nanoseconds per request.
pub(crate) fn wall<L: Locks>() -> f64 {
    each(serve::<L>().0, THREADS as u64 * REQUESTS)
}

/// Returns the CPU nanoseconds per request.
pub(crate) fn cpu<L: Locks>() -> f64 {
    each(serve::<L>().1, THREADS as u64 * REQUESTS)
}

/// Serves all requests. Returns wall time and CPU time.
fn serve<L: Locks>() -> (Duration, Duration) {
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
    let before = clock::process();
    let wall = together(THREADS, |thread| move || serve(thread, REQUESTS));
    (wall, clock::process().saturating_sub(before))
}

impl<L: Locks> Server<L> {
    /// Five locks in some 2 µs: a very small request, so that the cost of the locks is visible.
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

/// Some computation.
fn work(seed: u64, steps: u64) -> u64 {
    (0..steps).fold(black_box(seed), |sum, step| (sum ^ step).wrapping_mul(0x100_0000_01b3))
}
