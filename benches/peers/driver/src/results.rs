//! The results, as stored on disk, and statistics.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// All results. Peers are identified by their packages, measurements by their names in the harness.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Results {
    /// Describes the machine and the compiler.
    pub(crate) machine: String,
    /// By measurement and peer.
    pub(crate) rounds: BTreeMap<String, BTreeMap<String, Rounds>>,
    /// Instructions of one operation, by measurement and peer.
    pub(crate) instructions: BTreeMap<String, BTreeMap<String, u64>>,
    /// CPU seconds of clean debug builds, by peer.
    pub(crate) builds: BTreeMap<String, Vec<f64>>,
    /// The test suites of published crates, with their locks replaced in the source.
    pub(crate) programs: Vec<Program>,
    /// The test suites of published crates under `cargo lockdep test`.
    #[serde(default)]
    pub(crate) suites: Vec<Program>,
}

/// The rounds of one peer at one measurement.
#[derive(Default, Serialize, Deserialize)]
pub(crate) struct Rounds {
    /// One result per round, in order.
    pub(crate) results: Vec<f64>,
    /// Why there are no more results.
    pub(crate) trouble: Option<String>,
}

/// A test suite with its original locks, and with ours.
#[derive(Serialize, Deserialize)]
pub(crate) struct Program {
    pub(crate) name: String,
    pub(crate) plain: Runs,
    pub(crate) checked: Runs,
}

/// Seconds, one entry per run.
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
    /// Reads the results from a file.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text = fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        serde_json::from_slice(&text).with_context(|| format!("{} is not ours", path.display()))
    }

    /// Writes the results to a file.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        fs::write(path, serde_json::to_string(self)? + "\n")
            .with_context(|| format!("cannot write {}", path.display()))
    }

    /// Returns the rounds of a peer at a measurement.
    pub(crate) fn of(&self, measurement: &str, peer: &str) -> Option<&Rounds> {
        self.rounds.get(measurement)?.get(peer)
    }
}

/// Returns the median.
pub(crate) fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// Returns half of the interquartile range.
pub(crate) fn spread(values: &[f64]) -> Option<f64> {
    Some((quantile(values, 0.75)? - quantile(values, 0.25)?) / 2.0)
}

/// Returns the smallest value.
pub(crate) fn fastest(values: &[f64]) -> Option<f64> {
    quantile(values, 0.0)
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
fn quantile(values: &[f64], part: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get((values.len().saturating_sub(1) as f64 * part).round() as usize).copied()
}

/// Returns the median of the ratios of each round, so that a slow round affects both sides.
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
