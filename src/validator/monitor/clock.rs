//! Since when.
//!
//! A wait asks the clock, since it is about to lose microseconds anyway. An acquisition does
//! not: while there is a [watchdog](super::watchdog), that notes when it first sees one.

use std::time::Duration;

use crate::ledger;

/// A moment: milliseconds since the first lock of the process, from 1; or 0, not known.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in crate::validator) struct Moment(pub(in crate::validator) u64);

impl Moment {
    pub(in crate::validator) const UNKNOWN: Self = Self(0);

    pub(in crate::validator) fn now() -> Self {
        let Some(start) = ledger::settings().start else { return Self::UNKNOWN };
        Self(u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX - 1) + 1)
    }

    /// How long after the first lock of the process it was; nothing if that is not known.
    #[cfg(unix)]
    pub(in crate::validator) fn since_first_lock(self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(1))
    }

    /// How long ago it was, if that is known.
    pub(in crate::validator) fn age(self) -> Option<Duration> {
        let then = Duration::from_millis(self.0.checked_sub(1)?);
        Some(ledger::settings().start?.elapsed().saturating_sub(then))
    }
}
