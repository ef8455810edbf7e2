//! Why a thread or task waits for a lock: what keeps it waiting, what keeps that one waiting, and so on to
//! the end.
//!
//! For the watchdog, which has time. Runs without a lock of the program.

use std::sync::Arc;

use super::{clock::Moment, snapshot};
use crate::{
    finding::{Activity, ChainEnd, OsThread, Role, Site, ThreadInfo, WaitChain, WaitLink},
    os_threads,
    validator::{
        context::{Context, held::Entry, registry, wait::Wait},
        deadlock::{self, leaks},
        tasks::{self, Hold, Task},
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

/// What keeps a waiter waiting.
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

    /// The circle that it is part of, if it will never go on.
    fn circle(&self) -> Option<Vec<ThreadInfo>> {
        match self {
            Self::Thread(context) => {
                deadlock::circle_of(context).or_else(|| tasks::circle_of_thread(context))
            }
            Self::Task(task) => tasks::circle_of(task),
        }
    }
}

impl LockWait {
    fn of_thread(context: &'static Context, wait: Wait) -> Self {
        let Wait { wanted, since, .. } = wait;
        Self { waiter: Waiter::Thread(context), wanted, since }
    }

    /// What a task has waited for the longest.
    fn of_task(task: Arc<Task>) -> Option<Self> {
        let (wanted, since) = task.longest_wait()?;
        Some(Self { waiter: Waiter::Task(task), wanted, since })
    }
}

/// The waits that should be short: for locks, and for another thread to end while a lock is held. A
/// thread that waits for a notification or a message is idle, and most programs join what runs for as
/// long as they do.
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

/// Follows a wait to its end, or into a circle.
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
            wanted: snapshot::held_lock(wanted, *since),
            is_granted: holder.as_ref().is_some_and(|it| it.hold == Hold::Grant),
            joined: None,
            holder: held.or(left),
        });
        if let Some(members) = waiter.circle() {
            return WaitChain { links, end: ChainEnd::Deadlock(members) };
        }
        let next = match holder {
            Some(holder) if holder.hold == Hold::SentGuard => Err(ChainEnd::Sent),
            Some(holder) => next_after(&holder.by, &mut links),
            None if leak.is_some() => Err(ChainEnd::Ended),
            None => Err(ChainEnd::Nobody),
        };
        match next {
            // It was a circle when its parts were read, and no longer is.
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

/// What the holder of a lock waits for itself, or else what it does.
fn next_after(holder: &Waiter, links: &mut [WaitLink]) -> Result<LockWait, ChainEnd> {
    let context = match holder {
        Waiter::Thread(context) => *context,
        Waiter::Task(task) => {
            return LockWait::of_task(Arc::clone(task)).ok_or(ChainEnd::AtRest);
        }
    };
    if let Some(wait) = context.waiting.read() {
        return match wait.until.event() {
            Some(event) => Err(ChainEnd::Event(event)),
            None => Ok(LockWait::of_thread(context, wait)),
        };
    }
    let does = what_it_does(context);
    let Some(joined) = does.as_ref().and_then(joined_by) else {
        return Err(ChainEnd::Holder(does));
    };
    if let Some(last) = links.last_mut() {
        last.joined = Some(joined.info());
    }
    match joined.waiting.read().filter(|wait| wait.until.event().is_none()) {
        Some(wait) => Ok(LockWait::of_thread(joined, wait)),
        None => Err(ChainEnd::Joined(what_it_does(joined))),
    }
}

/// A thread or task that holds what is wanted, in a mode that keeps the other waiting.
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

/// The thread for whose end another one waits.
fn joined_by(thread: &OsThread) -> Option<&'static Context> {
    let Activity::Joins(joined) = thread.activity else { return None };
    registry::all().find(|context| context.os_thread() == Some(joined))
}

/// What the system says of a thread.
fn what_it_does(context: &Context) -> Option<OsThread> {
    let thread = context.os_thread()?;
    os_threads::look().into_iter().find(|it| it.id == thread)
}
