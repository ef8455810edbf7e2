//! Deadlocks that have happened: threads that wait for each other right now.
//!
//! Runs in a thread that is about to block. Its wait is [published](super::context::wait), but it
//! is not yet in the lock's queue. Takes no lock of the program. Of lockdep's, it takes the lock
//! around reported cycles, briefly, and those that a description needs. Allocates only if another
//! thread waits as well.
//!
//! A thread is blocked by each holder of the lock in a mode that [`Mode::waits_for`] names, and a
//! reader also by each writer that waits for the same lock. A wait with a timeout ends in any case,
//! so it is not part of a cycle.
//!
//! A wait for space in a channel can be part of a cycle if the receiving thread is in a `for` loop
//! over the messages. So can one at a barrier whose threads are all known, because the same ones
//! have arrived twice: each that has not arrived blocks the others.
//!
//! A guard that can be sent may be with another thread. A cycle with one is reported only once it has lasted, and not
//! while a thread may have the guard that is no part of the cycle.
//!
//! A wait for an [event](crate::external::Event) can be part of a cycle if exactly one thread owes
//! the event. If several do, any of them may answer.

pub(super) mod wait_cycle;

use std::{thread, time::Duration};

use parking_lot::Mutex;
use smallvec::SmallVec;

use super::{
    atomic::locked,
    context::{Context, held::Entry, obligations, registry, wait::Wait},
    found::may_be_elsewhere,
    graph,
    lock_id::LockId,
    thread_snapshot,
};
use crate::{
    finding::{Edge, Mode, Role, ThreadInfo, ThreadSnapshot, Until, WaitKind},
    stack::Stack,
};

/// A waiting thread, with its wait as it was read.
struct Waiter {
    context: &'static Context,
    wait: Wait,
}

/// The way in which one thread blocks another.
#[derive(Clone, Copy)]
enum Blocking {
    /// It holds the lock.
    Holds(Entry),
    /// It waits to write the lock, and the other to read it.
    Queues,
    /// It must receive from the channel, or arrive at the barrier, for which the other waits.
    Owes,
}

/// A cycle of waiting threads, starting with the one that searched for it. Each has the way in
/// which it blocks the one before it; the first blocks the last.
struct WaitCycle(Vec<(Waiter, Blocking)>);

/// The identity of a cycle, independent of the starting thread: its threads, each with the epoch of
/// its wait.
type Members = Box<[(&'static Context, u64)]>;

/// Cycles that were reported and may still exist, so that two threads that close one at the same
/// time report it once.
static REPORTED: Mutex<Vec<Members>> = Mutex::new(Vec::new());

/// Returns the lock around the reported cycles, for a fork.
#[cfg(all(unix, not(loom)))]
pub(super) fn lock() -> &'static dyn crate::fork_lock::ForkLock {
    &REPORTED
}

/// How long a cycle must persist before it is reported if a reader in it waits behind a writer.
/// Published waits do not show the order of the lock's queue: a reader that was woken just before
/// the writer came is about to continue.
const QUEUE_SETTLES: Duration = Duration::from_millis(10);

/// The same, if a guard in it can be sent to another thread, which may release it.
const GUARDS_SETTLE: Duration = Duration::from_secs(1);

/// The same, if a thread in it waits for an event. Between the answer and the time when the waiting
/// thread runs again, the thread that answered may already wait for a lock.
const ANSWER_SETTLES: Duration = Duration::from_secs(1);

/// The description of a cycle, for a finding.
pub(super) struct Deadlock {
    pub(super) cycle: Vec<Edge>,
    pub(super) threads: Vec<ThreadSnapshot>,
}

/// Returns the cycle that the calling thread is about to close, if it was not reported yet.
pub(super) fn closed_by(context: &'static Context) -> Option<Deadlock> {
    // A cycle may be gone when it is verified. Then there may be another one.
    while let Some(wait_cycle) = find(context) {
        if wait_cycle.stands()
            && let Some(is_news) = wait_cycle.is_news()
        {
            let deadlock = is_news.then(|| wait_cycle.describe());
            return deadlock.filter(|it| !may_be_elsewhere(&it.cycle));
        }
    }
    None
}

/// Returns the threads that wait for each other, if a waiting thread is one of them.
pub(super) fn wait_cycle_of(context: &'static Context) -> Option<Vec<ThreadInfo>> {
    let wait_cycle = find(context).filter(WaitCycle::stands)?;
    Some(wait_cycle.0.iter().map(|(waiter, _)| waiter.context.info()).collect())
}

/// Returns a candidate for a cycle through a waiting thread.
fn find(context: &'static Context) -> Option<WaitCycle> {
    let own = Waiter { context, wait: context.waiting.read()? };
    let is_other = |other: &&Context| !std::ptr::eq(*other, context) && other.waiting.is_on();
    let waiter =
        |context: &'static Context| context.waiting.read().map(|wait| Waiter { context, wait });
    // Allocates nothing if no other thread waits and this one does not hold what it waits for.
    let mut others = registry::all().filter(is_other).filter_map(waiter).peekable();
    if others.peek().is_none() && !holds_what_it_waits_for(&own) {
        return None;
    }
    let waiters: Vec<_> = std::iter::once(own).chain(others).collect();
    let wait_cycle = wait_cycle::shortest(0, |at| blockers(&waiters, &waiters[at]))?;
    let member = |(at, blocking): (usize, Blocking)| {
        let Waiter { context, wait } = waiters[at];
        (Waiter { context, wait }, blocking)
    };
    Some(WaitCycle(wait_cycle.into_iter().map(member).collect()))
}

/// Returns `true` if the thread waits for itself, the only possible cycle of one thread.
fn holds_what_it_waits_for(Waiter { context, wait }: &Waiter) -> bool {
    context.held.iter().any(|held| held.tag.lock() == wait.wanted.tag.lock())
}

/// Returns those of the waiters that block one of them.
fn blockers(waiters: &[Waiter], blocked: &Waiter) -> Vec<(usize, Blocking)> {
    let wait = &blocked.wait;
    let wanted = wait.wanted.tag;
    let role = wait.wanted.kind().role;
    // Other threads may answer an event, and any thread may add a permit to a semaphore.
    if role == Role::Event && !has_one_holder(wanted.lock()) || role == Role::Pool {
        return Vec::new();
    }
    let owing = owing(blocked);
    let blocking = |blocker: &Waiter| {
        if matches!(blocker.wait.until, Until::TimedOut | Until::HappenedInTime(_)) {
            return None;
        }
        if owing.has(blocker) {
            return Some(Blocking::Owes);
        }
        let blocks = |held: &Entry| {
            held.tag.lock() == wanted.lock() && wanted.mode().waits_for(held.tag.mode(), false)
        };
        let queues = || {
            let theirs = blocker.wait.wanted.tag;
            theirs.lock() == wanted.lock()
                && matches!(theirs.mode(), Mode::Exclusive | Mode::Upgrade)
                && wanted.mode().queues_behind_writers(Mode::Shared)
                && wait.wanted.kind().readers_may_queue()
        };
        let held = blocker.context.first_held(blocker.wait.holds, blocks);
        held.map(Blocking::Holds).or_else(|| queues().then_some(Blocking::Queues))
    };
    let each = waiters.iter().enumerate();
    each.filter_map(|(at, blocker)| Some((at, blocking(blocker)?))).collect()
}

/// The threads that must all act before a wait for an event ends, if they are known.
enum Owing<'a> {
    /// These, by number, unless they wait for the same event, and so have done their part.
    These(SmallVec<[u64; 2]>, LockId),
    /// Those that run a job for which this thread waits.
    RunningJobsOf(&'a Context),
}

/// Returns the threads that owe the event for which another waits.
fn owing(blocked: &Waiter) -> Owing<'_> {
    let event = blocked.wait.wanted.tag.lock();
    match blocked.wait.until {
        Until::Happened(WaitKind::Send | WaitKind::Barrier) => {
            Owing::These(obligations::obligors(event), event)
        }
        Until::Happened(WaitKind::Jobs) => Owing::RunningJobsOf(blocked.context),
        _ => Owing::These(SmallVec::new(), event),
    }
}

impl Owing<'_> {
    fn has(&self, Waiter { context, wait }: &Waiter) -> bool {
        match self {
            Self::These(numbers, event) => {
                numbers.contains(&context.number()) && wait.wanted.tag.lock() != *event
            }
            Self::RunningJobsOf(waiting) => waiting.waits_for_job_of(context),
        }
    }
}

/// Returns `true` if exactly one thread holds a lock.
pub(super) fn has_one_holder(lock: LockId) -> bool {
    let holds = |held: &Entry| held.tag.lock() == lock;
    registry::all().filter(|it| it.first_held(usize::MAX, holds).is_some()).take(2).count() == 1
}

impl WaitCycle {
    /// Returns `true` if the cycle exists, rather than being composed of reads at different times.
    fn stands(&self) -> bool {
        const TICK: Duration = Duration::from_millis(1);
        let mut left = self.settles();
        loop {
            if !self.still_stands() {
                return false;
            }
            if left.is_zero() {
                return !self.may_have_left();
            }
            thread::sleep(TICK);
            left = left.saturating_sub(TICK);
        }
    }

    /// Returns `true` if each thread has waited since it was first read, so that all of them wait
    /// now. Each still holds what it held then, unless another thread has released it.
    fn still_stands(&self) -> bool {
        let before = self.0.iter().cycle().skip(self.0.len() - 1);
        self.0.iter().zip(before).all(|((waiter, blocking), (blocked, _))| {
            let Waiter { context, wait } = waiter;
            let blocks = match blocking {
                Blocking::Holds(held) => {
                    let is_alone = || !held.kind().is_event() || has_one_holder(held.tag.lock());
                    context.first_held(wait.holds, |it| it.tag == held.tag).is_some() && is_alone()
                }
                Blocking::Queues => true,
                Blocking::Owes => owing(blocked).has(waiter),
            };
            blocks && context.waiting.is_still(wait.epoch)
        })
    }

    /// Returns `true` if one of the guards may be with a thread outside of the cycle.
    fn may_have_left(&self) -> bool {
        let stuck: SmallVec<[&Context; 4]> = self.0.iter().map(|(it, _)| it.context).collect();
        self.0.iter().any(|(waiter, blocking)| {
            matches!(blocking, Blocking::Holds(held) if waiter.context.may_have_given_away(held.tag, &stuck))
        })
    }

    /// Returns how long the cycle must persist before it is certain.
    fn settles(&self) -> Duration {
        let before = self.0.iter().cycle().skip(self.0.len() - 1);
        let settles = |((_, blocking), (blocked, _)): (&(_, Blocking), &(Waiter, _))| match blocking
        {
            Blocking::Holds(held) if held.kind().is_event() => ANSWER_SETTLES,
            Blocking::Holds(held) if held.kind().guards_can_be_sent() => GUARDS_SETTLE,
            Blocking::Holds(_) => Duration::ZERO,
            Blocking::Queues => QUEUE_SETTLES,
            // A job is not done before the locks that it waits for are free.
            Blocking::Owes if blocked.wait.until == Until::Happened(WaitKind::Jobs) => {
                Duration::ZERO
            }
            Blocking::Owes => ANSWER_SETTLES,
        };
        self.0.iter().zip(before).map(settles).max().unwrap_or_default()
    }

    /// Returns `true` if no other thread of the cycle has reported it; `None` if it is gone.
    fn is_news(&self) -> Option<bool> {
        let mut members: Members =
            self.0.iter().map(|(it, _)| (it.context, it.wait.epoch)).collect();
        let key = |members: &Members| -> Vec<_> {
            members.iter().map(|&(context, epoch)| (std::ptr::from_ref(context), epoch)).collect()
        };
        members.sort_by_key(|&(context, _)| std::ptr::from_ref(context));
        let mut reported = locked(&REPORTED);
        // The thread that reported it may have continued since. Then the entry is stale.
        if !members.iter().all(|(it, epoch)| it.waiting.is_still(*epoch)) {
            return None;
        }
        reported.retain(|known| known.iter().all(|(it, epoch)| it.waiting.is_still(*epoch)));
        let is_news = !reported.iter().any(|known| key(known) == key(&members));
        if is_news {
            reported.push(members);
        }
        Some(is_news)
    }

    fn describe(&self) -> Deadlock {
        let before = self.0.iter().cycle().skip(self.0.len() - 1);
        let edge = |((waiter, blocking), (blocked, _)): (&(Waiter, Blocking), &(Waiter, _))| {
            let Waiter { context, wait } = waiter;
            let wanted = &wait.wanted;
            let (held, held_mode, held_at, is_queued) = match blocking {
                Blocking::Holds(held) => (held, held.tag.mode(), held.site, false),
                Blocking::Queues => (&blocked.wait.wanted, wanted.tag.mode(), wanted.site, true),
                Blocking::Owes => {
                    let owed = &blocked.wait.wanted;
                    (owed, owed.tag.mode(), owed.site, false)
                }
            };
            let graph = graph::lock();
            Edge {
                held: graph.lock_of(held, held_at),
                held_mode,
                held_at: held_at.into(),
                held_backtrace: if is_queued {
                    Stack::default()
                } else {
                    context.trace_of(held.tag)
                },
                wanted: graph.lock_of(wanted, wanted.site),
                wanted_mode: wanted.tag.mode(),
                acquired_at: wanted.site.into(),
                backtrace: context.waiting.stack(wait.epoch),
                thread: context.info(),
                is_queued,
                is_granted: false,
                may_have_left: false,
                waited: wait.since.age(),
            }
        };
        Deadlock {
            cycle: self.0.iter().zip(before).map(edge).collect(),
            threads: self.0.iter().map(|(waiter, _)| thread_snapshot::of(waiter.context)).collect(),
        }
    }
}
