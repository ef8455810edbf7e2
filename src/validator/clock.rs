//! A coarse clock for the ages of holds and waits.
//!
//! A wait reads the clock, since blocking costs microseconds anyway. An acquisition does not: the
//! [watchdog](super::monitor::watchdog), if there is one, dates a held lock when it first sees it.

use std::time::Duration;

use crate::ledger;

/// A moment in milliseconds since the first lock of the process, from 1; 0 if unknown.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::validator) struct Moment(pub(in crate::validator) u64);

impl Moment {
    pub(in crate::validator) const UNKNOWN: Self = Self(0);

    pub(in crate::validator) fn now() -> Self {
        let Some(start) = ledger::settings().start else { return Self::UNKNOWN };
        Self(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1)
    }

    /// Returns the time since the first lock of the process; zero if unknown.
    #[cfg(unix)]
    pub(in crate::validator) fn since_first_lock(self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(1))
    }

    /// Returns the time that has passed since, if known.
    pub(in crate::validator) fn age(self) -> Option<Duration> {
        let then = Duration::from_millis(self.0.checked_sub(1)?);
        Some(ledger::settings().start?.elapsed().saturating_sub(then))
    }
}
