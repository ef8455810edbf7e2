//! One at a time: whoever looks at all threads that come.

use std::time::Duration;

use parking_lot::{Mutex, MutexGuard};

use crate::points;

static ALONE: Mutex<()> = Mutex::new(());

/// Waits until nobody else looks at all threads. Not from within.
#[track_caller]
pub(super) fn wait() -> MutexGuard<'static, ()> {
    /// Longer than any of them should take.
    const TIMEOUT: Duration = Duration::from_mins(5);

    let is_within = points::controller().is_some_and(|script| script.is_for_all());
    assert!(!is_within, "`confirm` and `explore` cannot be used within each other");
    let alone = ALONE.try_lock_for(TIMEOUT);
    alone.expect("another `confirm` or `explore` has not ended for five minutes")
}
