//! One experiment: many requests to a bank, and the resulting balance.

use std::{
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rand::{RngExt, SeedableRng, rngs::SmallRng};
use rusqlite::{Connection, Result};

use crate::{
    bank::Bank,
    way::{Outcome, Way},
};

/// The parameters.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// The number of requests that can be served concurrently.
    pub(crate) workers: usize,
    /// The time between the program's read and its write.
    pub(crate) window: Duration,
    /// Requests per second, of all workers together.
    pub(crate) rate: f64,
    /// The number of requests.
    pub(crate) requests: usize,
    /// Seeds the arrival times of the requests.
    pub(crate) seed: u64,
}

/// The outcome of an experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    /// The number of requests.
    pub(crate) asked: usize,
    /// Requests that the database refused.
    pub(crate) refused: usize,
    /// The final balance in the database.
    pub(crate) found: usize,
}

impl Tally {
    /// Returns the correct balance: 1 for each request that succeeded.
    pub(crate) fn expected(self) -> usize {
        self.asked - self.refused
    }

    /// Returns the number of updates that were lost silently.
    pub(crate) fn lost(self) -> usize {
        self.expected() - self.found
    }

    /// Returns the share of lost updates among all requests.
    pub(crate) fn lost_share(self) -> f64 {
        share(self.lost(), self.asked)
    }

    /// Returns the share of refused requests among all.
    pub(crate) fn refused_share(self) -> f64 {
        share(self.refused, self.asked)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

impl Setting {
    /// Lets the workers serve all requests, each by `way`.
    pub(crate) fn run(self, way: Way) -> Result<Tally> {
        let bank = Bank::open()?;
        let connections =
            (0..self.workers).map(|_| bank.connect(way.isolation())).collect::<Result<Vec<_>>>()?;
        let (arrivals, next) = (self.arrivals(), AtomicUsize::new(0));
        let all_ready = Barrier::new(self.workers);

        // Returns how many were refused.
        let serve = |mut connection: Connection| -> Result<usize> {
            let mut refused = 0;
            all_ready.wait();
            let start = Instant::now();
            while let Some(arrival) = arrivals.get(next.fetch_add(1, Ordering::Relaxed)) {
                thread::sleep(arrival.saturating_sub(start.elapsed()));
                let outcome = way.add(&mut connection, || thread::sleep(self.window))?;
                refused += usize::from(outcome == Outcome::Refused);
            }
            Ok(refused)
        };
        let refused = thread::scope(|scope| {
            let workers: Vec<_> = connections
                .into_iter()
                .map(|connection| scope.spawn(|| serve(connection)))
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().expect("no worker panics"))
                .sum::<Result<usize>>()
        })?;
        Ok(Tally {
            asked: self.requests,
            refused,
            found: usize::try_from(bank.balance()?).expect("nobody takes anything out"),
        })
    }

    /// Returns the arrival times of the requests: independent of each other, as of many customers.
    fn arrivals(self) -> Vec<Duration> {
        let mut random = SmallRng::seed_from_u64(self.seed);
        let mut at = 0.0;
        (0..self.requests)
            .map(|_| {
                at -= (1.0 - random.random::<f64>()).ln() / self.rate;
                Duration::from_secs_f64(at)
            })
            .collect()
    }

    /// Returns the expected share of lost updates without locks.
    ///
    /// While one request is in its window, x = rate × window others arrive, but no more than there
    /// are workers left. Among these 1 + x writes only the last one survives.
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn theory(self) -> f64 {
        let others = (self.rate * self.window.as_secs_f64()).min(self.workers as f64 - 1.0);
        others / (1.0 + others)
    }
}
