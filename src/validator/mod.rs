//! Is this acquisition safe in the order seen so far?
//!
//! Owns what every thread holds and what is known of the order. Knows locks by
//! their identity and facts, not by their types; says what it finds to the ledger,
//! and panics if the ledger says so. This file is the events, in the order of a
//! lock's life; none of them holds a lock of ours when it calls the ledger.

mod atomic;
mod held;
mod identity;
mod interned;
mod judge;
mod knowledge;
mod order;
mod presence;
mod publish;
mod seen;
mod threads;

use std::panic::Location;

pub(crate) use self::{
    held::{Entry, Place, Tag},
    identity::Identity,
    knowledge::Acquisition,
    threads::{Context, State as ThreadState, current, current_if_attached},
};
use self::{identity::LockId, knowledge::SEEN};
use crate::{
    finding::{
        Edge, FindingKind, HeldLock, Level, Mode, OrderGraph, Stack, Stats, ThreadSnapshot,
        Waiting, Writer,
    },
    ledger::{self, Backtraces, Verdict},
};

type Found = (FindingKind, Vec<Edge>);

/// The key of the chain that a lock would make at its place, unless it is the first one
/// or the thread has had this chain lately.
#[inline]
pub(crate) fn unjudged(context: &Context, place: Place) -> Option<u64> {
    if place.is_first() {
        return None;
    }
    let key = seen::key(place.chain());
    (!context.recent.contains(key)).then_some(key)
}

/// Looks at an acquisition that may block, of an [unjudged] chain.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn about_to_block(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) {
    if context.is(ThreadState::Allowing) {
        return;
    }
    if context.settle_released_elsewhere() {
        // The chain was another one.
        let place = context.held.any_place_for(acquisition.wanted.tag);
        if let Some(key) = unjudged(context, place) {
            about_to_block(context, acquisition, key);
        }
        return;
    }
    if !SEEN.contains(key) {
        let found = {
            let _inside = context.enter(ThreadState::Inside);
            judge(context, acquisition, key)
        };
        if !found.is_empty() {
            return submit(context, found, None);
        }
    }
    context.recent.insert(key);
}

/// Judges a chain that is not known to be harmless, and learns its edges.
fn judge(context: &'static Context, acquisition: &Acquisition<'_>, key: u64) -> Vec<Found> {
    let wanted = &acquisition.wanted;
    let mut held: Vec<Entry> = context.held.iter().collect();
    if let Some(found) = reentry(context, &held, wanted) {
        return vec![found];
    }
    held.retain(|held| held.tag.lock() != wanted.tag.lock());

    // The stack is captured only if an edge is new, and outside the lock.
    let is_known = knowledge::lock().has_all_edges(&held, wanted);
    let backtrace = if is_known { Stack::default() } else { capture() };

    let mut knowledge = knowledge::lock();
    let cycles = knowledge.learn(context, &held, acquisition, backtrace);
    if cycles.is_empty() || ledger::level(FindingKind::Inversion) == Level::Allow {
        // Otherwise the chain is judged again each time, and denied each time.
        knowledge.settle(key);
    }
    cycles.into_iter().map(|cycle| (FindingKind::Inversion, cycle)).collect()
}

/// Whether the thread already holds the lock, in a mode that makes it wait for
/// itself.
fn reentry(context: &Context, held: &[Entry], wanted: &Entry) -> Option<Found> {
    let mode = wanted.tag.mode();
    if mode == Mode::Upgrade {
        // It holds the lock, as it must.
        return None;
    }
    let mut same = held.iter().filter(|held| held.tag.lock() == wanted.tag.lock());
    let queues = same.clone().find(|held| mode.queues_behind_writers(held.tag.mode()));
    let (kind, entry) = match (same.find(|held| judge::waits(mode, held.tag.mode(), false)), queues)
    {
        (Some(entry), _) => (FindingKind::SelfDeadlock, entry),
        (None, Some(entry)) => (FindingKind::RecursiveRead, entry),
        (None, None) => return None,
    };
    Some((kind, vec![own_edge(context, entry, wanted, entry.site, capture())]))
}

/// An edge that the calling thread makes right now, outside the graph.
fn own_edge(
    context: &Context,
    held: &Entry,
    wanted: &Entry,
    named_at: &'static Location<'static>,
    backtrace: Stack,
) -> Edge {
    let knowledge = knowledge::lock();
    Edge {
        held: knowledge.lock_of(held, held.site),
        held_mode: held.tag.mode(),
        held_at: held.site.into(),
        held_backtrace: context.trace_of(held.tag),
        wanted: knowledge.lock_of(wanted, named_at),
        wanted_mode: wanted.tag.mode(),
        acquired_at: wanted.site.into(),
        backtrace,
        thread: context.info(),
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "not to waste one of the stack's frames")]
fn capture() -> Stack {
    match ledger::settings().backtraces {
        Backtraces::Off => Stack::default(),
        Backtraces::NewEdges | Backtraces::Full => Stack::capture(),
    }
}

/// Does what may allocate before an acquisition, whether it may block or not: room for
/// one more held lock, and its stack, if every held end of an edge is to have one.
pub(crate) fn prepare(context: &'static Context) {
    let _inside = context.enter(ThreadState::Inside);
    context.held.make_room();
    if context.is(ThreadState::Tracing) {
        context.prepare_trace(Stack::capture());
    }
}

/// A thread is about to wait on a condition variable, and has given back the
/// mutex of the acquisition, which it will take again.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[track_caller]
pub(crate) fn about_to_wait(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.held.is_empty() || context.is(ThreadState::Allowing) {
        return;
    }
    if let Some(key) = unjudged(context, context.held.any_place_for(acquisition.wanted.tag)) {
        about_to_block(context, acquisition, key);
    }
    let found = {
        let _inside = context.enter(ThreadState::Inside);
        let Acquisition { wanted, named_at, .. } = acquisition;
        let backtrace = capture();
        let edge = |held| own_edge(context, &held, wanted, named_at, backtrace.clone());
        context.held.iter().map(edge).collect()
    };
    submit(context, vec![(FindingKind::WaitWhileHolding, found)], None);
}

/// A thread is about to write a lock that was never written before: from now on
/// its readers may have to queue, and wait for readers.
///
/// # Panics
///
/// For a finding at [`Level::Deny`].
#[cold]
#[track_caller]
pub(crate) fn first_writer(context: &'static Context, wanted: &Entry) {
    if !presence::may_be_known(wanted.tag.lock()) || context.is(ThreadState::Allowing) {
        return;
    }
    let (found, writer) = {
        let _inside = context.enter(ThreadState::Inside);
        let mut knowledge = knowledge::lock();
        let cycles = knowledge.first_writer(wanted.tag.lock());
        let writer = Writer {
            lock: knowledge.lock_of(wanted, wanted.site),
            thread: context.info(),
            site: wanted.site.into(),
        };
        (cycles.into_iter().map(|cycle| (FindingKind::Inversion, cycle)).collect(), writer)
    };
    submit(context, found, Some(&writer));
}

/// Hands findings to the ledger, and does what it says.
#[track_caller]
fn submit(context: &'static Context, found: Vec<Found>, writer: Option<&Writer>) {
    let messages: Vec<String> = {
        let _reporting = context.enter(ThreadState::Reporting);
        let submit = |(kind, cycle)| match ledger::submit(kind, cycle, writer.cloned()) {
            Verdict::Proceed => None,
            Verdict::Panic(message) => Some(message),
        };
        found.into_iter().filter_map(submit).collect()
    };
    if !messages.is_empty() {
        context.set(ThreadState::Denied, true);
        panic!("{}", messages.join("\n"));
    }
}

/// A lock was released by a thread that did not take it.
pub(crate) fn released_elsewhere(tag: Tag) {
    inside(|| threads::released_elsewhere(tag));
}

/// A lock is destroyed: whatever is known of it goes with it.
pub(crate) fn destroyed(lock: LockId) {
    if let Some(context) = current_if_attached() {
        if !context.held.is_empty() {
            context.held.purge(lock);
        }
        if context.is(ThreadState::Inside) {
            // Our lock may be held by this thread. Only a global allocator can
            // come here, with a lock that it made and destroyed meanwhile.
            return;
        }
    }
    if presence::may_be_known(lock) {
        forget(lock);
    }
}

/// Forgets a lock that may be known.
#[cold]
fn forget(lock: LockId) {
    inside(|| knowledge::lock().forget(lock));
}

/// Runs our own code, in which the program's locks are not looked at.
fn inside<R>(body: impl FnOnce() -> R) -> R {
    let _inside = current_if_attached().map(|context| context.enter(ThreadState::Inside));
    body()
}

/// See [`crate::name`].
pub(crate) fn name(identity: &Identity, name: &str) {
    inside(|| knowledge::lock().name(identity.id(), name));
}

/// See [`crate::allow`].
pub(crate) fn allow<R>(body: impl FnOnce() -> R) -> R {
    let _allowing = current().map(|context| context.enter(ThreadState::Allowing));
    body()
}

/// Forgets the order. Names, and what is held right now, stay.
pub(crate) fn reset() {
    inside(|| knowledge::lock().reset());
    seen::forget_all();
}

/// Has every chain judged again: a level has changed.
pub(crate) fn rejudge() {
    seen::forget_all();
}

/// See [`crate::order_graph`].
pub(crate) fn order_graph() -> OrderGraph {
    inside(|| knowledge::lock().snapshot())
}

/// See [`crate::stats`].
pub(crate) fn stats() -> Stats {
    let edges = inside(|| knowledge::lock().edges());
    Stats { locks: Identity::count(), edges }
}

/// What every thread holds and waits for: a glance, thread by thread.
pub(crate) fn snapshot() -> Vec<ThreadSnapshot> {
    let held_lock = |entry: Entry| HeldLock {
        lock: knowledge::lock().lock_of(&entry, entry.site),
        mode: entry.tag.mode(),
        since: entry.site.into(),
    };
    let thread = |context: &Context| ThreadSnapshot {
        thread: context.info(),
        held: context.holds().into_iter().map(held_lock).collect(),
        waiting: context.waiting().map(|(wanted, for_notification)| {
            let lock = held_lock(wanted);
            if for_notification { Waiting::Notification(lock) } else { Waiting::Lock(lock) }
        }),
    };
    let mut threads: Vec<_> = inside(|| threads::all().into_iter().map(thread).collect());
    threads.retain(|thread| !thread.held.is_empty() || thread.waiting.is_some());
    threads.sort_by_key(|thread| thread.thread.number);
    threads
}
