//! The start and end of a thread's wait for a contended lock.

use std::ptr;

use crate::{
    finding::{Detail, Edge, Finding, FindingKind, Level, Mode, Role, Until, WaitKind},
    ledger::{self, Backtraces},
    stack::RawStack,
    validator::{
        clock::Moment,
        context::{
            Context, State as ThreadState,
            current::inside,
            held::Entry,
            job,
            leaks::{self, Leak},
            orphans::{self, Orphan},
            wait::Wait,
        },
        deadlock::{self, Deadlock},
        found::{Found, capture, own_edge, submit},
        identity::Identity,
        tasks,
    },
};

/// Marks the thread as waiting for a lock, until it is dropped.
pub(crate) struct Waited {
    context: &'static Context,
    /// The thread's own wait, if this one is in a signal handler that has interrupted it, or in a job that the thread
    /// runs while it waits for others.
    interrupted: Option<Wait>,
    /// The call that waits for the job in which it was interrupted.
    job_of: u64,
}

impl Drop for Waited {
    fn drop(&mut self) {
        self.context.end_wait();
        self.context.wait_in_job_of(self.job_of);
        if let Some(Wait { wanted, until, since, holds, .. }) = &self.interrupted {
            self.context.waiting.begin(wanted, *until, *since, *holds, &RawStack::EMPTY);
        }
    }
}

/// Called when a lock, which has this identity, is contended and the thread is about to block.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn begin_wait(
    context: &'static Context,
    identity: &Identity,
    wanted: &Entry,
    until: Until,
) -> Waited {
    // Readers will wait behind this thread.
    let is_writer = identity.has_writer() && wanted.tag.mode() == Mode::Exclusive;
    // So will the thread that waits for the job of this one, if that holds a lock.
    let is_awaited = job::under() != 0 || context.awaited_exit().is_some();
    let holds = !context.held.is_empty() || is_awaited;
    let may_capture = holds && ledger::settings().backtraces != Backtraces::Off;
    // A signal handler must not walk the stack while its thread does.
    let stack = if may_capture { inside(RawStack::capture) } else { RawStack::EMPTY };
    let interrupted = context.waiting.read();
    let job_of = context.wait_in_job_of(job::under());
    context.waiting.begin(wanted, until, Moment::now(), context.held.depth(), &stack);
    let waited = Waited { context, interrupted, job_of };
    if context.held.is_empty() {
        context.has_no_guards();
    }
    // Checked again after the wait was published, because a thread that begins to wait for this one
    // afterwards reads it.
    let holds = holds || context.awaited_exit().is_some();
    // A wait for a notification cannot close a cycle: the thread that takes its mutex arrives
    // later.
    let may_close = match until {
        Until::Acquired => holds || is_writer || context.notes.are_on(),
        Until::Happened(WaitKind::Send | WaitKind::Barrier) => holds,
        _ => false,
    };
    let may_be_orphan = until == Until::Acquired && orphans::are_any();
    let may_last = until != Until::TimedOut && (may_close || leaks::are_any() || may_be_orphan);
    // A thread that confirms a cycle waits for exactly this finding.
    let is_looked_at = !context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming);
    if may_last && is_looked_at {
        let found: Vec<Found> = {
            let _inside = context.enter(ThreadState::InValidator);
            let leak = leaks::blocking(wanted).map(|leak| wait_for_leak(context, wanted, leak));
            let at = ptr::from_ref(identity).addr();
            let orphan = if may_be_orphan { orphans::blocking(wanted, at) } else { None };
            let orphan = orphan.map(|orphan| wait_for_orphan(context, wanted, orphan));
            let wait_cycle = || {
                let of_threads = deadlock::closed_by(context).map(Found::from);
                of_threads.or_else(|| tasks::closed_by_thread(context))
            };
            let wait_cycle = may_close.then(wait_cycle).flatten();
            leak.into_iter().chain(orphan).chain(wait_cycle).collect()
        };
        if !found.is_empty() {
            print_for_threads_at_barrier(&found);
            submit(context, found);
        }
    }
    waited
}

/// Prints a deadlock with a barrier in it. The panic does not wake the threads at the barrier, so
/// its own message may never be seen.
fn print_for_threads_at_barrier(found: &[Found]) {
    let at_barrier = |it: &&Found| {
        it.kind == FindingKind::Deadlock
            && it.cycle.iter().any(|edge| edge.wanted.kind.role == Role::Barrier)
    };
    if let Some(found) = found.iter().find(at_barrier)
        && ledger::level(found.kind) == Level::Deny
    {
        let finding =
            Finding::new(found.kind, Level::Warn, found.cycle.clone(), found.detail.clone());
        ledger::print_past_capture(&finding.render(false));
    }
}

impl From<Deadlock> for Found {
    fn from(Deadlock { cycle, threads }: Deadlock) -> Self {
        let kind = FindingKind::Deadlock;
        Self { kind, cycle, detail: Detail::Threads(threads.into()) }
    }
}

/// Describes a wait for a lock that an ended thread left held.
fn wait_for_leak(context: &'static Context, wanted: &Entry, leak: Leak) -> Found {
    let edge = own_edge(context, &leak.held, wanted, leak.held.site, &capture());
    let detail = Detail::LeftBy(leak.thread);
    Found { kind: FindingKind::LeakedGuard, cycle: vec![edge], detail }
}

/// Describes a wait for a lock whose holder stayed in the parent of a fork.
fn wait_for_orphan(context: &'static Context, wanted: &Entry, orphan: Orphan) -> Found {
    let Orphan { held, thread, stack } = orphan;
    let edge =
        Edge { held_backtrace: stack, ..own_edge(context, &held, wanted, held.site, &capture()) };
    let detail = Detail::LeftInParent(thread);
    Found { kind: FindingKind::Deadlock, cycle: vec![edge], detail }
}
