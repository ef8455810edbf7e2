//! Chains of waits: which thread or task keeps a waiting one waiting, which keeps that one, and so
//! on to the end.
//!
//! For the watchdog, which has time. Runs without a lock of the program.

use std::sync::Arc;

use crate::{
    finding::{Activity, ChainEnd, OsThread, Role, Site, ThreadInfo, WaitChain, WaitLink},
    os_threads,
    validator::{
        clock::Moment,
        context::{Context, held::Entry, leaks, registry, wait::Wait},
        deadlock,
        tasks::{self, Hold, Task},
        thread_snapshot::held_lock,
    },
};

/// A thread, or a task that is not being polled.
#[derive(Clone)]
enum Waiter {
    Thread(&'static Context),
    Task(Arc<Task>),
}

/// A wait for a lock, or for a thread's end.
#[derive(Clone)]
pub(in crate::validator) struct LockWait {
    waiter: Waiter,
    wanted: Entry,
    pub(in crate::validator) since: Moment,
}

/// The thread or task that keeps a waiter waiting, and the lock that it holds.
struct Holder {
    by: Waiter,
    held: Entry,
    hold: Hold,
}

impl Waiter {
    fn info(&self) -> ThreadInfo {
        match self {
            Self::Thread(context) => context.info(),
            Self::Task(task) => task.info(),
        }
    }

    fn is(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Thread(one), Self::Thread(other)) => std::ptr::eq(*one, *other),
            (Self::Task(one), Self::Task(other)) => Arc::ptr_eq(one, other),
            _ => false,
        }
    }

    /// Returns the cycle that the waiter is part of, if it will never continue.
    fn wait_cycle(&self) -> Option<Vec<ThreadInfo>> {
        match self {
            Self::Thread(context) => {
                deadlock::wait_cycle_of(context).or_else(|| tasks::wait_cycle_of_thread(context))
            }
            Self::Task(task) => tasks::wait_cycle_of(task),
        }
    }
}

impl LockWait {
    fn of_thread(context: &'static Context, wait: Wait) -> Self {
        let Wait { wanted, since, .. } = wait;
        Self { waiter: Waiter::Thread(context), wanted, since }
    }

    /// Returns the longest current wait of a task.
    fn of_task(task: Arc<Task>) -> Option<Self> {
        let (wanted, since) = task.longest_wait()?;
        Some(Self { waiter: Waiter::Task(task), wanted, since })
    }
}

/// Returns the waits that should be short: for locks, and for the end of a thread while a lock is
/// held. A thread that waits for a notification or a message is idle, and most programs join
/// threads that run for as long as they do.
pub(in crate::validator) fn all() -> Vec<LockWait> {
    let waits = registry::all().filter_map(|context| Some((context, context.waiting.read()?)));
    let is_for_lock = |(context, wait): &(&Context, Wait)| {
        let is_join = wait.wanted.kind().role == Role::Exit;
        wait.until.event().is_none() && !(is_join && context.held.is_empty())
    };
    let of_threads = waits.filter(is_for_lock);
    let of_threads = of_threads.map(|(context, wait)| LockWait::of_thread(context, wait));
    of_threads.chain(tasks::all_waiting().into_iter().filter_map(LockWait::of_task)).collect()
}

/// Follows a wait to its end, or into a cycle.
pub(in crate::validator) fn of(mut wait: LockWait) -> WaitChain {
    let mut passed = Vec::new();
    let mut links = Vec::new();
    loop {
        let LockWait { waiter, wanted, since } = &wait;
        passed.push(waiter.clone());
        let holder = holder_of(wanted);
        let leak = if holder.is_none() { leaks::blocking(wanted) } else { None };
        let held = holder.as_ref().map(|it| (it.by.info(), Site::from(it.held.site)));
        let left = leak.as_ref().map(|leak| (leak.thread.clone(), leak.held.site.into()));
        links.push(WaitLink {
            waiter: waiter.info(),
            wanted: held_lock(wanted, *since),
            is_granted: holder.as_ref().is_some_and(|it| it.hold == Hold::Grant),
            joined: None,
            holder: held.or(left),
        });
        if let Some(members) = waiter.wait_cycle() {
            return WaitChain { links, end: ChainEnd::Deadlock(members) };
        }
        let next = match holder {
            Some(holder) if holder.hold == Hold::SentGuard => Err(ChainEnd::Sent),
            Some(holder) => next_after(&holder.by, &mut links),
            None if leak.is_some() => Err(ChainEnd::Ended),
            None => Err(ChainEnd::Nobody),
        };
        match next {
            // The waits formed a cycle when they were read, one by one, but no longer do.
            Ok(next) if passed.iter().any(|it| it.is(&next.waiter)) => {
                let joins = links.last().is_some_and(|link| link.joined.is_some());
                let end = if joins { ChainEnd::Joined(None) } else { ChainEnd::Nobody };
                return WaitChain { links, end };
            }
            Ok(next) => wait = next,
            Err(end) => return WaitChain { links, end },
        }
    }
}

/// Returns what the holder of a lock waits for, or else what it does.
fn next_after(holder: &Waiter, links: &mut [WaitLink]) -> Result<LockWait, ChainEnd> {
    let context = match holder {
        Waiter::Thread(context) => *context,
        Waiter::Task(task) => {
            return LockWait::of_task(Arc::clone(task)).ok_or(ChainEnd::AtRest);
        }
    };
    if let Some(wait) = context.waiting.read() {
        return match wait.until.event() {
            Some(event) => Err(ChainEnd::Event(event, wait.since.age())),
            None => Ok(LockWait::of_thread(context, wait)),
        };
    }
    let does = os_thread_of(context);
    let Some(joined) = does.as_ref().and_then(joined_by) else {
        return Err(ChainEnd::Holder(does));
    };
    if let Some(last) = links.last_mut() {
        last.joined = Some(joined.info());
    }
    match joined.waiting.read().filter(|wait| wait.until.event().is_none()) {
        Some(wait) => Ok(LockWait::of_thread(joined, wait)),
        None => Err(ChainEnd::Joined(os_thread_of(joined))),
    }
}

/// Returns the thread or task that holds the wanted lock in a mode that blocks it.
fn holder_of(wanted: &Entry) -> Option<Holder> {
    let blocks = |held: &Entry| {
        held.tag.lock() == wanted.tag.lock() && wanted.tag.mode().waits_for(held.tag.mode(), true)
    };
    let thread =
        registry::all().find_map(|other| Some((other, other.first_held(usize::MAX, blocks)?)));
    if let Some((context, held)) = thread {
        return Some(Holder { by: Waiter::Thread(context), held, hold: Hold::Guard });
    }
    let (task, held, hold) = tasks::holder_of(wanted.tag.lock(), blocks)?;
    Some(Holder { by: Waiter::Task(task), held, hold })
}

/// Returns the thread whose end this thread waits for.
fn joined_by(thread: &OsThread) -> Option<&'static Context> {
    let Activity::Joins(joined) = thread.activity else { return None };
    registry::all().find(|context| context.os_thread() == Some(joined))
}

/// Returns what the operating system says about a thread.
fn os_thread_of(context: &Context) -> Option<OsThread> {
    let thread = context.os_thread()?;
    os_threads::look().into_iter().find(|it| it.id == thread)
}
