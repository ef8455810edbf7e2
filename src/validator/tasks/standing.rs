//! Deadlocks are believed once they have stood: what was read of several tasks one after the other may not have been
//! true at one moment.
//!
//! A guard that may have left its task may be released elsewhere, and a future that may have left be polled
//! elsewhere. A future in a box leaves rarely after it was polled, and unless the task spawns another, so if
//! nothing has changed for some time, the task is woken and reports the deadlock as if it had just found it. A
//! deadlock by a guard of unknown whereabouts is a warning at most, and no task is made to panic for it.

use std::{
    sync::{Arc, Once, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    Task,
    census::{Actor, Key, Member, describe, first_to_report, moments, stuck_with, whereabouts},
    hands::Whereabouts,
};
use crate::validator::helpers::Helper;

/// How long.
pub(super) const SETTLES: Duration = Duration::from_millis(100);
/// The same by a future in a box, which may have left.
const BOXES_SETTLE: Duration = Duration::from_secs(1);
/// How often it is looked whether a candidate has gone on.
const INTERVAL: Duration = Duration::from_millis(20);

/// A task that seems to be stuck, and when it began to.
struct Candidate {
    task: Arc<Task>,
    /// How often it had been polled and woken.
    at: (u64, u64),
    /// The same of all that are stuck with it.
    all: Vec<(Key, (u64, u64))>,
    /// When it is believed.
    ripens: Instant,
}

impl Candidate {
    fn has_gone_on(&self) -> bool {
        moment(&self.task) != self.at
    }
}

fn moment(task: &Task) -> (u64, u64) {
    (task.polls.load(SeqCst), task.wakes.load(SeqCst))
}

static CANDIDATES: Mutex<Vec<Candidate>> = Mutex::new(Vec::new());
static IS_ANY: Condvar = Condvar::new();

/// The locks around them.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::renewable::Renewable> {
    [&CANDIDATES as &dyn crate::renewable::Renewable].into_iter()
}

/// The task has come to rest in a deadlock that may resolve itself.
pub(super) fn watch(task: &Arc<Task>, members: &[Member]) {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        // Without the thread, nothing is reported.
        let _ = thread::Builder::new().name("lockdep-tasks".into()).spawn(run);
    });
    let settles = match whereabouts(members) {
        Whereabouts::Task => SETTLES,
        _ => BOXES_SETTLE,
    };
    let (at, all, ripens) = (moment(task), moments(members), Instant::now() + settles);
    let candidate = Candidate { task: Arc::clone(task), at, all, ripens };
    let mut candidates = CANDIDATES.lock();
    let known = candidates.iter_mut().find(|it| Arc::ptr_eq(&it.task, task));
    match known {
        Some(known) => *known = candidate,
        None => candidates.push(candidate),
    }
    IS_ANY.notify_one();
}

fn run() {
    let helper = Helper::this_thread();
    loop {
        let gone: Vec<Candidate>;
        let settled: Vec<Candidate>;
        {
            let mut candidates = CANDIDATES.lock();
            if candidates.is_empty() {
                Helper::rest(helper, || IS_ANY.wait(&mut candidates));
            }
            let all = std::mem::take(&mut *candidates);
            let (left, waiting): (Vec<_>, Vec<_>) =
                all.into_iter().partition(Candidate::has_gone_on);
            let (ripe, young) =
                waiting.into_iter().partition(|it: &Candidate| it.ripens <= Instant::now());
            *candidates = young;
            (gone, settled) = (left, ripe);
        }
        // With no lock held: a runtime's waker may go with them.
        drop(gone);
        settled.into_iter().for_each(report);
        thread::sleep(INTERVAL);
    }
}

fn report(Candidate { task, all, .. }: Candidate) {
    let Some(members) = stuck_with(Actor::Task(Arc::clone(&task))) else { return };
    if moments(&members) != all {
        return watch(&task, &members);
    }
    let found = if first_to_report(&members) { describe(&members) } else { None };
    let Some(found) = found else { return };
    if whereabouts(&members) <= Whereabouts::Box {
        task.set_verdict(found);
        task.wake();
    }
}
