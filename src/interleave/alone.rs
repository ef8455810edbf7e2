//! Serializes `confirm` and `explore`, which watch all threads of the process.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::points;

static ALONE: Mutex<()> = Mutex::new(());

/// Waits until no other `confirm` or `explore` runs. Panics when called from within one.
#[track_caller]
pub(super) fn wait() -> MutexGuard<'static, ()> {
    /// Longer than any `confirm` or `explore` should take.
    const TIMEOUT: Duration = Duration::from_mins(5);

    let is_within = points::controller().is_some_and(|script| script.is_for_all());
    assert!(!is_within, "`confirm` and `explore` cannot be used within each other");
    let alone = ALONE.try_lock_for(TIMEOUT);
    alone.expect("another `confirm` or `explore` has not ended for five minutes")
}
