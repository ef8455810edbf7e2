//! One experiment: many requests at a bank of their own, and what is found in it after.

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

/// The knobs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Setting {
    /// How many requests can be served at a time.
    pub(crate) workers: usize,
    /// What the program takes between its read and its write.
    pub(crate) window: Duration,
    /// Requests per second, of all workers together.
    pub(crate) rate: f64,
    /// How many requests there are.
    pub(crate) requests: usize,
    /// Decides when the requests come.
    pub(crate) seed: u64,
}

/// What came of an experiment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tally {
    /// Requests.
    pub(crate) asked: usize,
    /// Requests to which the database said no.
    pub(crate) refused: usize,
    /// The balance that is in the database.
    pub(crate) found: usize,
}

impl Tally {
    /// The balance that there has to be: 1 for each request that was told that all is well.
    pub(crate) fn expected(self) -> usize {
        self.asked - self.refused
    }

    /// Updates of which nobody was told that they are gone.
    pub(crate) fn lost(self) -> usize {
        self.expected() - self.found
    }

    /// Lost updates, as a part of all requests.
    pub(crate) fn lost_share(self) -> f64 {
        share(self.lost(), self.asked)
    }

    /// Refused requests, as a part of all.
    pub(crate) fn refused_share(self) -> f64 {
        share(self.refused, self.asked)
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
fn share(part: usize, of: usize) -> f64 {
    part as f64 / of as f64
}

impl Setting {
    /// Has its workers serve its requests, each as `way` does it.
    pub(crate) fn run(self, way: Way) -> Result<Tally> {
        let bank = Bank::open()?;
        let connections =
            (0..self.workers).map(|_| bank.connect(way.isolation())).collect::<Result<Vec<_>>>()?;
        let (arrivals, next) = (self.arrivals(), AtomicUsize::new(0));
        let all_ready = Barrier::new(self.workers);

        // How many were refused.
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

    /// When requests come: independent of each other, as those of many customers.
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

    /// The share of lost updates that is to be expected where nothing locks.
    ///
    /// While one request is in its window, x = rate × window others come, but no more than there
    /// are workers left. Of those 1 + x writes only the last one stays.
    #[allow(clippy::cast_precision_loss, reason = "counts stay far below 2^53")]
    pub(crate) fn theory(self) -> f64 {
        let others = (self.rate * self.window.as_secs_f64()).min(self.workers as f64 - 1.0);
        others / (1.0 + others)
    }
}
