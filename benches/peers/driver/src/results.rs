//! What was measured, as it is kept on disk, and what is made of it.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// Everything. Peers go by the names of their packages, measurements by those of the harness.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// The machine and the compiler, in words.
    pub(crate) machine: String,
    /// By measurement and peer.
    pub(crate) rounds: BTreeMap<String, BTreeMap<String, Rounds>>,
    /// Instructions of one operation, by measurement and peer.
    pub(crate) instructions: BTreeMap<String, BTreeMap<String, u64>>,
    /// Seconds of all cores that a clean debug build takes, by peer.
    pub(crate) builds: BTreeMap<String, Vec<f64>>,
    /// The test suites of published crates, with their locks replaced in the source.
    pub(crate) programs: Vec<Program>,
    /// The test suites of published crates under `cargo lockdep test`.
    #[serde(default)]
    pub(crate) suites: Vec<Program>,
}

/// What one peer did at one measurement.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Rounds {
    /// A result for each round, in their order.
    pub(crate) results: Vec<f64>,
    /// Why there are no more.
    pub(crate) trouble: Option<String>,
}

/// A test suite with the locks that it was written for, and with ours.
#[derive(Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) plain: Runs,
    pub(crate) checked: Runs,
}

/// Seconds, one for each run.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Runs {
    pub(crate) wall: Vec<f64>,
    pub(crate) cpu: Vec<f64>,
}

impl Runs {
    /// Adds the wall time and the CPU time of a run.
    pub(crate) fn push(&mut self, (wall, cpu): (f64, f64)) {
        self.wall.push(wall);
        self.cpu.push(cpu);
    }
}

impl Results {
    /// Reads them, if there are any.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not ours", path.display()))
    }

    /// Writes them.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_string(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// What a peer did at a measurement.
    pub(crate) fn of(&self, measurement: &str, peer: &str) -> Option<&Rounds> {
        self.rounds.get(measurement)?.get(peer)
    }
}

/// The value in the middle.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Half of what lies between the quarters: how far the middle half is spread.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    Some((quantile(values, 0.75)? - quantile(values, 0.25)?) / 2.0)
}

/// The smallest value.
pub(crate) fn fastest(values: &[f64]) -> Option<f64> {
    quantile(values, 0.0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((values.len().saturating_sub(1) as f64 * part).round() as usize).copied()
}

/// How many times as much, round by round: the median. What slows down a whole round does so to
/// both.
pub(crate) fn ratio(values: &[f64], raw: &[f64]) -> Option<f64> {
    let ratios: Vec<_> = values.iter().zip(raw).map(|(value, raw)| value / raw).collect();
    median(&ratios)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles() {
        let values = [3.0, 1.0, 5.0, 2.0, 4.0];
        assert_eq!(median(&values), Some(3.0));
        assert_eq!(spread(&values), Some(1.0));
        assert_eq!(fastest(&values), Some(1.0));
        assert_eq!(median(&[]), None);
    }

    #[test]
    fn a_slow_round_does_not_change_the_ratio() {
        assert_eq!(ratio(&[2.0, 200.0, 2.0], &[1.0, 100.0, 1.0]), Some(2.0));
    }
}
