//! Whose threads may have which names: one schedule's at a time.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::plan::Plan;
use crate::points;

/// The names of the threads of schedules that are followed right now.
static RESERVED: Mutex<Vec<Box<str>>> = Mutex::new(Vec::new());
static GIVEN_BACK: Condvar = Condvar::new();

/// Names that no other schedule uses meanwhile.
pub(super) struct Reserved(Vec<Box<str>>);

/// Waits until no other schedule has threads of these names.
#[track_caller]
pub(super) fn reserve(plan: &Plan) -> Reserved {
    /// Longer than any test should take that has one of the names.
    const TIMEOUT: Duration = Duration::from_mins(1);

    let mut names: Vec<_> =
        plan.events().into_iter().map(|at| plan.event(at).role.clone()).collect();
    names.sort_unstable();
    names.dedup();
    let mut reserved = RESERVED.lock();
    while let Some(taken) = reserved.iter().find(|name| names.contains(name)) {
        let taken = taken.clone();
        let is_within_itself =
            points::controller().is_some_and(|controller| controller.has_role(&taken));
        if is_within_itself || GIVEN_BACK.wait_for(&mut reserved, TIMEOUT).timed_out() {
            drop(reserved);
            panic!("another schedule runs that has a thread `{taken}`: rename one of the two");
        }
    }
    reserved.extend(names.iter().cloned());
    Reserved(names)
}

impl Drop for Reserved {
    fn drop(&mut self) {
        RESERVED.lock().retain(|name| !self.0.contains(name));
        GIVEN_BACK.notify_all();
    }
}
