//! Deadlocks of tasks are reported only after they have persisted: several tasks were read one
//! after the other, and what was read may not have been true at one time.
//!
//! A future in a box may have left its task and be polled elsewhere, and its guards with it. It
//! rarely leaves after it was polled, so a deadlock with one must persist for longer. So must one
//! with a guard that [may have left](Whereabouts::may_have_left) its task, and then it is a warning
//! at most. A guard with [unknown](Whereabouts::Unknown) whereabouts may be released at any time,
//! so nothing that depends on one is reported.
//!
//! After that time, the deadlock is searched for again. If nothing has changed, the task is
//! woken, and reports it when it is polled.

use std::{
    sync::{
        Arc, Once,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use parking_lot::{Condvar, Mutex};

use super::{
    Task,
    census::{Actor, At, Member, describe, first_to_report, moments, stuck_with, whereabouts},
    hands::Whereabouts,
};
use crate::validator::helpers::Helper;

/// How long a deadlock must persist.
const SETTLES: Duration = Duration::from_millis(100);
/// The same, if it involves a future in a box or a guard that may have left its task.
const LOOSE_SETTLES: Duration = Duration::from_secs(1);
/// The interval at which candidates are checked.
const INTERVAL: Duration = Duration::from_millis(20);

/// A task that seems to be stuck.
struct Candidate {
    task: Arc<Task>,
    /// The states of all that are stuck with it, including its own.
    moments: Vec<At>,
    /// When it is reported.
    ripens: Instant,
}

impl Candidate {
    fn has_gone_on(&self) -> bool {
        !self.moments.contains(&Actor::Task(Arc::clone(&self.task)).now())
    }
}

static CANDIDATES: Mutex<Vec<Candidate>> = Mutex::new(Vec::new());
static IS_ANY: Condvar = Condvar::new();
/// Starts the thread that checks candidates, with the first of them.
static STARTED: Once = Once::new();

/// Returns the locks around the candidates, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn locks() -> impl Iterator<Item = &'static dyn crate::fork_lock::ForkLock> {
    [&CANDIDATES as &dyn crate::fork_lock::ForkLock].into_iter()
}

/// `true` if everything that is read is true at one time, and no future in a box leaves its task.
static IS_ALONE: AtomicBool = AtomicBool::new(false);

/// Makes deadlocks be reported at once, for an executor that is the only thread: while it polls a
/// task, no other task changes.
pub fn believe_at_once() {
    IS_ALONE.store(true, Relaxed);
}

/// Waits until an existing deadlock would be reported, as long as it `stands`. If no guard in it may have left its task,
/// that is short, so it is asked at the end only, by the caller.
pub(super) fn settle(whereabouts: Whereabouts, stands: impl Fn() -> bool) {
    const TICK: Duration = Duration::from_millis(1);
    if whereabouts == Whereabouts::Task {
        return thread::sleep(SETTLES);
    }
    let begin = Instant::now();
    while begin.elapsed() < LOOSE_SETTLES && stands() {
        thread::sleep(TICK);
    }
}

/// Called when the task has come to rest and seems to be stuck with these members.
pub(super) fn watch(task: &Arc<Task>, members: &[Member]) {
    let settles = match whereabouts(members) {
        Whereabouts::Task | Whereabouts::Box if IS_ALONE.load(Relaxed) => Duration::ZERO,
        Whereabouts::Task => SETTLES,
        Whereabouts::Box | Whereabouts::Free | Whereabouts::Spawned => LOOSE_SETTLES,
        Whereabouts::Unknown => return,
    };
    let (moments, ripens) = (moments(members), Instant::now() + settles);
    let candidate = Candidate { task: Arc::clone(task), moments, ripens };
    if settles.is_zero() {
        return report(&candidate);
    }
    STARTED.call_once(|| {
        // If no thread can be started, nothing is reported.
        let _ = thread::Builder::new().name("lockdep-tasks".into()).spawn(run);
    });
    let mut candidates = CANDIDATES.lock();
    match candidates.iter_mut().find(|it| Arc::ptr_eq(&it.task, task)) {
        Some(known) => *known = candidate,
        None => candidates.push(candidate),
    }
    IS_ANY.notify_one();
}

fn run() {
    let helper = Helper::this_thread();
    loop {
        let due: Vec<Candidate> = {
            let mut candidates = CANDIDATES.lock();
            if candidates.is_empty() {
                Helper::rest(helper, || IS_ANY.wait(&mut candidates));
            }
            let now = Instant::now();
            candidates.extract_if(.., |it| it.ripens <= now || it.has_gone_on()).collect()
        };
        // With no lock held, because a runtime's waker may be dropped or called.
        due.iter().for_each(report);
        drop(due);
        thread::sleep(INTERVAL);
    }
}

/// Reports a deadlock that has persisted. Starts over if a member has continued and is stuck again.
fn report(Candidate { task, moments: before, .. }: &Candidate) {
    let Some(members) = stuck_with(Actor::Task(Arc::clone(task))) else { return };
    if moments(&members) != *before {
        return watch(task, &members);
    }
    let is_known = whereabouts(&members) != Whereabouts::Unknown;
    let found = if is_known && first_to_report(&members) { describe(&members) } else { None };
    if let Some(found) = found {
        task.set_verdict(found);
        task.wake();
    }
}
