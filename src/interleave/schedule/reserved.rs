//! Keeps concurrent schedules from using the same names of threads.

use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use super::plan::Plan;
use crate::points;

/// The names of the threads of all running schedules.
static RESERVED: Mutex<Vec<Box<str>>> = Mutex::new(Vec::new());
static GIVEN_BACK: Condvar = Condvar::new();

/// Names that no other schedule can use until this is dropped.
pub(super) struct Reserved(Vec<Box<str>>);

/// Waits until no other schedule uses one of the plan's names.
#[track_caller]
pub(super) fn reserve(plan: &Plan) -> Reserved {
    /// Longer than any test that has one of the names should take.
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
            panic!("another running schedule has a thread `{taken}`: rename one of the two");
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
