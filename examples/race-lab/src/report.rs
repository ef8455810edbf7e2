//! The experiments and their results, as data.

use std::time::Duration;

use rusqlite::Result;

use crate::{
    bank::Isolation::{ReadUncommitted, Serializable},
    experiment::{Setting, Tally},
    way::Way,
};

/// Explains the columns of this name.
pub(crate) const THEORY: &str = "Theory: x / (1 + x) are lost, where x = frequency × window, \
    the requests that come meanwhile, but at most the other workers";

/// All results.
pub(crate) struct Report {
    /// The default parameters.
    setting: Setting,
    /// The duration of a short window.
    short: Duration,
    /// The five ways.
    pub(crate) ways: Vec<Row>,
    /// One parameter varied after the other.
    pub(crate) factors: Vec<Factor>,
}

impl Report {
    /// Describes the parameters.
    pub(crate) fn intro(&self) -> String {
        let Setting { workers, window, rate, requests, seed } = self.setting;
        let [short, long] = [self.short, window].map(humantime::format_duration);
        format!(
            "{requests} requests at {rate} per second, {workers} workers, a short window is \
             {short}, a long one {long}, seed {seed}"
        )
    }
}

/// A named experiment.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) tally: Tally,
    /// The expected share of lost updates.
    pub(crate) theory: f64,
}

/// A parameter that is varied while all others stay fixed.
pub(crate) struct Factor {
    pub(crate) name: &'static str,
    /// What it influences.
    pub(crate) decides: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// An experiment to run.
struct Planned {
    name: String,
    way: Way,
    setting: Setting,
}

/// Runs all experiments. Calls `next` before each one with the number done, the total, and its
/// name.
pub(crate) fn measure(
    setting: Setting,
    short: Duration,
    next: impl Fn(usize, usize, &str),
) -> Result<Report> {
    let ways = the_ways(setting, short);
    let factors = the_factors(setting);
    let all = ways.len() + factors.iter().map(|(_, _, rows)| rows.len()).sum::<usize>();
    let mut done = 0;
    let mut run_all = |planned: Vec<Planned>| {
        planned
            .into_iter()
            .map(|planned| {
                next(done, all, &planned.name);
                done += 1;
                planned.run()
            })
            .collect::<Result<Vec<_>>>()
    };
    Ok(Report {
        setting,
        short,
        ways: run_all(ways)?,
        factors: factors
            .into_iter()
            .map(|(name, decides, rows)| Ok(Factor { name, decides, rows: run_all(rows)? }))
            .collect::<Result<_>>()?,
    })
}

impl Planned {
    fn new(name: impl Into<String>, way: Way, setting: Setting) -> Self {
        Self { name: name.into(), way, setting }
    }

    fn run(self) -> Result<Row> {
        let theory = match self.way {
            Way::NoTransaction | Way::Transaction(ReadUncommitted) => self.setting.theory(),
            Way::Transaction(Serializable) | Way::Locked | Way::OneStatement => 0.0,
        };
        Ok(Row { name: self.name, tally: self.setting.run(self.way)?, theory })
    }
}

fn the_ways(long: Setting, short: Duration) -> Vec<Planned> {
    let short = Setting { window: short, ..long };
    let (weak, strict) = (Way::Transaction(ReadUncommitted), Way::Transaction(Serializable));
    vec![
        Planned::new("1  short window, no transaction", Way::NoTransaction, short),
        Planned::new("2  long window, no transaction", Way::NoTransaction, long),
        Planned::new("3a short window, transaction, as most databases", weak, short),
        Planned::new("3b short window, transaction, as SQLite", strict, short),
        Planned::new("4a long window, transaction, as most databases", weak, long),
        Planned::new("4b long window, transaction, as SQLite", strict, long),
        Planned::new("5  long window, row locked", Way::Locked, long),
    ]
}

type PlannedFactor = (&'static str, &'static str, Vec<Planned>);

fn the_factors(setting: Setting) -> Vec<PlannedFactor> {
    const WHETHER: &str = "whether a race is possible at all";
    const HOW_OFTEN: &str = "how often";
    let open = Way::NoTransaction;

    let mut counts = vec![1, 2, setting.workers / 2, setting.workers];
    counts.sort_unstable();
    counts.dedup();
    let workers = counts
        .into_iter()
        .map(|workers| Planned::new(workers.to_string(), open, Setting { workers, ..setting }));

    let windows = [
        ("none: one statement reads and writes", Way::OneStatement),
        ("locked", Way::Locked),
        ("open", open),
    ];
    let windows = windows.map(|(name, way)| Planned::new(name, way, setting));

    let lengths = [0.0, 0.25, 1.0, 4.0].map(|times| {
        let window = setting.window.mul_f64(times);
        Planned::new(
            humantime::format_duration(window).to_string(),
            open,
            Setting { window, ..setting },
        )
    });

    let rates = [0.25, 1.0, 4.0].map(|times| {
        let rate = setting.rate * times;
        Planned::new(format!("{rate} per second"), open, Setting { rate, ..setting })
    });

    vec![
        ("workers at a time", WHETHER, workers.collect()),
        ("a window between read and write, without a lock", WHETHER, windows.into()),
        ("length of the window", HOW_OFTEN, lengths.into()),
        ("frequency of requests", HOW_OFTEN, rates.into()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUSY: Setting = Setting {
        workers: 4,
        window: Duration::from_millis(10),
        // All arrive at once.
        rate: 1e6,
        requests: 24,
        seed: 1,
    };

    fn run(way: Way, setting: Setting) -> Tally {
        setting.run(way).unwrap()
    }

    #[test]
    fn the_locked_way_loses_nothing_at_any_setting() {
        for workers in [1, 2, 7] {
            for window in [Duration::ZERO, Duration::from_micros(300)] {
                for rate in [5e3, 1e6] {
                    let setting = Setting { workers, window, rate, requests: 50, ..BUSY };
                    let tally = run(Way::Locked, setting);
                    assert_eq!((tally.refused, tally.found), (0, 50), "{setting:?}");
                }
            }
        }
    }

    #[test]
    fn one_worker_loses_nothing_in_any_way() {
        let alone = Setting { workers: 1, window: Duration::from_micros(100), ..BUSY };
        for way in [
            Way::NoTransaction,
            Way::Transaction(ReadUncommitted),
            Way::Transaction(Serializable),
            Way::Locked,
            Way::OneStatement,
        ] {
            let tally = run(way, alone);
            assert_eq!((tally.refused, tally.found), (0, 24), "{way:?}");
        }
    }

    #[test]
    fn without_a_window_nothing_is_lost() {
        assert_eq!(run(Way::OneStatement, BUSY).lost(), 0);
    }

    /// Four workers in a window that is far longer than everything else: if they keep step, three
    /// of four updates are lost. The test requires half, because machines are slow at times.
    #[test]
    fn a_long_window_loses_most_with_and_without_a_transaction() {
        for way in [Way::NoTransaction, Way::Transaction(ReadUncommitted)] {
            let tally = run(way, BUSY);
            assert_eq!(tally.refused, 0);
            assert!(tally.lost() >= 12, "{way:?}: {tally:?}");
        }
    }

    #[test]
    fn sqlites_own_transaction_refuses_and_loses_nothing() {
        let tally = run(Way::Transaction(Serializable), BUSY);
        assert_eq!(tally.lost(), 0);
        assert!(tally.refused >= 12, "{tally:?}");
    }

    #[test]
    fn theory_follows_the_product_of_rate_and_window_up_to_the_workers() {
        let theory = |rate, millis, workers| {
            let window = Duration::from_millis(millis);
            format!("{:.3}", Setting { workers, window, rate, ..BUSY }.theory())
        };
        assert_eq!(theory(100.0, 10, 8), "0.500");
        assert_eq!(theory(1000.0, 1, 8), "0.500");
        assert_eq!(theory(1e6, 10, 8), "0.875");
        assert_eq!(theory(1e6, 10, 1), "0.000");
    }
}
