//! The validator: checks whether an acquisition is safe in the order seen so far.
//!
//! Owns what every thread holds and the order seen so far. Knows locks by their identity and facts,
//! not by their types. Submits findings to the ledger, and panics if the ledger says so. This file
//! has the events in a lock's life, in order; none of them holds a lock of lockdep when it calls
//! the ledger.

#![allow(clippy::inline_always, reason = "measured: see `tracked`")]

mod atomic;
mod atomic_ref;
mod chain_cache;
mod check;
mod clock;
mod context;
mod deadlock;
mod found;
mod graph;
mod helpers;
mod identity;
mod interrupted;
mod lock_id;
mod monitor;
mod process;
pub mod root_poll;
#[cfg(all(test, shuttle))]
mod shuttle_models;
pub mod tasks;
mod waits;

use std::time::Duration;

use self::{
    context::leaks,
    found::{Found, submit},
    graph::{Cycle, SEEN},
    lock_id::{known_locks, tried},
    waits::events,
};
pub(crate) use self::{
    context::{
        Context, State as ThreadState,
        current::{
            acquired_unattached, change_mode_unattached, current, current_if_attached,
            current_unless_in_handler, direct_new_threads, ignore_this_thread, release_exit,
            released_unattached, set_exit,
        },
        held::{Entry, Place, Tag},
        thread_exit::{Progress, ThreadExit, join},
    },
    graph::{
        Acquisition,
        annotations::{allow_pair, class, declare_order, name, name_of, order_by_key, set_rank},
        declared::{Ordered, Rank},
    },
    identity::Identity,
    lock_id::LockId,
    waits::{
        barrier_order::{Arrival, BarrierOrder},
        blocking::{Waited, begin_wait},
        channel_space::{ChannelSpace, Receiving},
        events::about_to_wait_for,
    },
};
use crate::{
    finding::{Detail, OrderGraph, ScopeId, Stats, ThreadSnapshot, WaitKind, Writer},
    ledger::{self, Verdict},
    stack::{RawStack, Stack},
};

/// Returns the chain that a lock would make at its place, unless the thread has it in its recent
/// chains. The chain of a first lock counts only if the thread keeps a
/// [log](context::acquisition_log).
#[inline(always)]
pub(crate) fn unjudged(context: &Context, place: Place) -> Option<u64> {
    let chain = place.chain();
    if place.is_unremarkable() || context.recent.contains(chain) {
        return None;
    }
    Some(chain)
}

/// Returns `true` if the chain is in the recent chains, for an acquisition of a task.
#[inline]
pub(crate) fn is_judged_for_task(context: &Context, place: Place) -> bool {
    let chain = place.chain();
    context.recent.contains(chain)
        || context.recent.contains(chain_cache::by(chain, context.number()))
}

/// Checks an acquisition that may block and whose chain is [unjudged].
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_block(context: &'static Context, acquisition: &Acquisition<'_>, chain: u64) {
    if context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming) {
        return;
    }
    if !context.held.is_whole() {
        // This is a signal handler that has interrupted an acquisition.
        return;
    }
    if context.settle_released_elsewhere() {
        // The chain has changed.
        let place = context.held.any_place_for(acquisition.wanted.tag);
        if let Some(chain) = unjudged(context, place) {
            about_to_block(context, acquisition, chain);
        }
        return;
    }
    if context.is_of_task() && context.recent.contains(chain_cache::by(chain, context.number())) {
        return;
    }
    if let Some(log) = context.log() {
        log.record(context, acquisition);
    }
    context.notes.record(context, acquisition);
    let is_awaited = context.awaited_exit().is_some();
    if context.held.is_empty() && !is_awaited {
        return context.recent.insert(chain);
    }
    let (epoch, key) = (chain_cache::epoch(), chain_cache::key(chain));
    let is_new = !known_locks::may_be_known(acquisition.wanted.tag.lock());
    // While a thread waits for the end of this one, this one holds its exit as well.
    let is_known = !is_awaited && !is_new && (SEEN.contains(key) || is_known_of(context, key));
    if is_known {
        if !context.recent.should_insert(chain) {
            return;
        }
    } else if is_awaited || !graph::leaves::note(context, acquisition, is_new, key) {
        let found = {
            let _inside = context.enter(ThreadState::InValidator);
            check::judge(context, acquisition, key)
        };
        if !found.is_empty() {
            if submit(context, found) {
                let _inside = context.enter(ThreadState::InValidator);
                graph::lock().settle(chain_cache::by(key, context.number_in_segment()));
            }
            return;
        }
    }
    if context.is_of_task() && !SEEN.contains(key) {
        // The thread also polls other tasks in this context.
        context.recent.insert(chain_cache::by(chain, context.number()));
        return;
    }
    context.recent.insert(chain);
    if chain_cache::epoch() != epoch {
        // `forget_chains` may have cleared this cache before the chain was added.
        context.recent.clear();
    }
}

/// Returns `true` if a chain was found harmless for this thread since it last spawned another
/// thread, or for all threads of its family.
fn is_known_of(context: &Context, key: u64) -> bool {
    SEEN.contains(chain_cache::by(key, context.number_in_segment()))
        || context.family().is_some_and(|family| SEEN.contains(chain_cache::by_family(key, family)))
}

/// Allocates what an acquisition may need: room for one more held lock, and its stack, if the
/// stacks of held locks are kept.
pub(crate) fn prepare(context: &'static Context) {
    let _inside = context.enter(ThreadState::InValidator);
    context.held.make_room();
    if context.is(ThreadState::Tracing) {
        context.prepare_trace(Stack::from(&RawStack::capture()));
    }
}

/// Called when a thread is about to wait on a condition variable. It has released the mutex of the
/// acquisition and will reacquire it.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[track_caller]
pub(crate) fn about_to_wait(context: &'static Context, acquisition: &Acquisition<'_>) {
    if context.held.is_empty() || context.is(ThreadState::Allowing) {
        return;
    }
    if let Some(key) = unjudged(context, context.held.any_place_for(acquisition.wanted.tag)) {
        about_to_block(context, acquisition, key);
    }
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        let Acquisition { wanted, named_at, .. } = acquisition;
        events::wait_while_holding(context, wanted, named_at, WaitKind::Condvar)
    };
    if let Some(found) = found {
        submit(context, vec![found]);
    }
}

/// Called with the first lock of the process. Starts what the environment asks for.
fn process_begins() {
    #[cfg(all(unix, not(loom)))]
    process::forks::watch();
    inside(open_record);
    let settings = ledger::settings();
    ledger::note_config();
    let answers = settings.signal.as_deref().is_some_and(listen_for);
    if settings.watchdog.is_some() || answers {
        monitor::watchdog::await_threads(settings.watchdog);
    }
}

/// Listens for signals by name. Returns `true` if the watchdog must answer any of them.
fn listen_for(signals: &str) -> bool {
    #[cfg(all(unix, feature = "signals"))]
    return monitor::on_signal::start(signals);
    #[cfg(not(all(unix, feature = "signals")))]
    {
        let reason = if cfg!(unix) {
            "this build lacks the feature `signals` of lockdep"
        } else {
            "it needs Unix"
        };
        ledger::print(&format!("lockdep: LOCKDEP_SIGNAL={signals} is ignored: {reason}"));
        false
    }
}

/// Opens the record on disk, if one is requested, and writes edges that other threads have added
/// meanwhile.
fn open_record() {
    ledger::open_record();
    if ledger::records() {
        let graph = graph::lock().snapshot();
        let edges = graph.as_petgraph().edge_weights().map(|edge| (edge.clone(), Vec::new()));
        ledger::record_edges(&edges.collect::<Vec<_>>());
    }
}

/// See [`crate::watchdog`].
pub(crate) fn watch(limit: Duration) {
    let settings = ledger::settings();
    if !settings.off && !settings.no_watchdog {
        inside(|| monitor::watchdog::start(settings.watchdog.unwrap_or(limit)));
    }
}

/// Called when a thread is about to write a lock for the first time: from now on its readers may
/// have to queue, and wait for readers.
///
/// # Panics
///
/// For a finding at [`Level::Deny`](crate::Level::Deny).
#[cold]
#[track_caller]
pub(crate) fn first_writer(context: &'static Context, wanted: &Entry) {
    let is_quiet = context.is(ThreadState::Allowing) || context.is(ThreadState::Confirming);
    if is_quiet || !known_locks::may_be_known(wanted.tag.lock()) {
        return;
    }
    let found = {
        let _inside = context.enter(ThreadState::InValidator);
        let mut graph = graph::lock();
        let cycles = graph.first_writer(wanted.tag.lock());
        let writer = Writer {
            lock: graph.lock_of(wanted, wanted.site),
            thread: context.info(),
            site: wanted.site.into(),
        };
        let found = |Cycle { kind, edges, .. }| {
            let detail = Detail::Writer(writer.clone());
            Found { kind, cycle: edges, detail }
        };
        cycles.into_iter().map(found).collect()
    };
    submit(context, found);
}

/// Returns `true` if `held` prevents `wanted` from being acquired.
pub(crate) fn blocks(held: Tag, wanted: Tag) -> bool {
    held.lock() == wanted.lock() && wanted.mode().waits_for(held.mode(), false)
}

/// Called when a destructor of a thread-local has released a lock after the thread returned its
/// context, so the lock may be recorded as leaked.
pub(crate) fn released_at_last(tag: Tag) {
    if leaks::are_any() {
        inside(|| leaks::released(tag));
    }
}

/// Called when the first acquisition of a lock is an attempt.
pub(crate) fn note_tried(lock: LockId) {
    tried::note(lock);
}

/// Called when a thread is about to acquire a lock, and would wait for it.
#[inline]
pub(crate) fn note_waited_for(lock: LockId) {
    tried::forget(lock);
}

/// Returns `true` if the calling thread, or the task that it polls, is known to hold a lock.
pub(crate) fn is_held(tag: Tag) -> bool {
    current_if_attached().is_some_and(|context| context.held.last_of(tag).is_some())
}

/// Called when a thread that did not acquire a lock has released it.
pub(crate) fn released_elsewhere(tag: Tag) {
    inside(|| tasks::released_elsewhere(tag));
}

/// Called when a lock is destroyed. Forgets everything about it.
#[cfg_attr(not(debug_assertions), inline)]
pub(crate) fn destroyed(lock: LockId) {
    let is_idle = current_if_attached().is_some_and(|context| context.held.is_idle());
    if !is_idle || known_locks::may_be_known(lock) {
        destroyed_known(lock, is_idle);
    }
}

#[cold]
#[inline(never)]
fn destroyed_known(lock: LockId, is_idle: bool) {
    if !is_idle || !graph::leaves::forget(lock) {
        destroyed_slow(lock);
    }
}

#[cold]
#[inline(never)]
fn destroyed_slow(lock: LockId) {
    if let Some(context) = current_if_attached() {
        if !context.held.is_empty() {
            context.held.purge(lock);
        }
        if context.is(ThreadState::InValidator) {
            // This thread may hold a lock of lockdep. Only a global allocator gets here, with a
            // lock that it created and destroyed meanwhile.
            return;
        }
    } else {
        context::current::destroyed_unattached(lock);
    }
    if !known_locks::may_be_known(lock) || graph::leaves::forget(lock) {
        return;
    }
    // The key belongs to the program, so it is dropped without any lock of lockdep.
    let key = inside(|| {
        leaks::destroyed(lock);
        tasks::destroyed(lock);
        for other in ledger::forget_pairs(lock) {
            known_locks::left(lock);
            known_locks::left(other);
        }
        graph::lock().forget(lock)
    });
    drop(key);
}

/// Runs lockdep's own code. The program's locks are not checked meanwhile, including those that a
/// signal handler takes: this thread may hold a lock of lockdep.
#[inline]
pub(crate) fn inside<R>(body: impl FnOnce() -> R) -> R {
    let context = current_if_attached();
    let _inside = context.map(|context| context.enter(ThreadState::InValidator));
    let _unattached = context.is_none().then(context::current::stay_unattached);
    body()
}

/// Puts the calling thread into a scope of [`testing`](crate::testing), or into none. Returns the
/// previous one.
pub(crate) fn set_scope(scope: Option<ScopeId>) -> Option<ScopeId> {
    current()?.set_scope(scope)
}

/// Called when a condition variable has returned the calling thread's guard of this lock.
pub(crate) fn note_condition(tag: Tag) {
    if let Some(context) = current_if_attached().filter(|context| !context.is_suspended()) {
        context.note_condition(tag);
    }
}

/// Returns a hash of what the calling thread holds. `None` if that is unknown.
pub(crate) fn held_now() -> Option<u64> {
    current().map(|context| context.held.chain())
}

/// Returns `true` if anything is checked.
pub(crate) fn is_on() -> bool {
    crate::ENABLED && !ledger::settings().off
}

/// See [`crate::allow`].
pub(crate) fn allow<R>(body: impl FnOnce() -> R) -> R {
    let _allowing = current().map(|context| context.enter(ThreadState::Allowing));
    body()
}

/// Forgets the order. Names and held locks stay.
pub(crate) fn reset() {
    context::acquisition_log::forget_all();
    inside(|| graph::lock().reset());
    forget_chains();
}

/// Makes every chain be checked again, because a level has changed.
pub(crate) fn rejudge() {
    forget_chains();
}

/// Forgets every chain, in all threads.
fn forget_chains() {
    chain_cache::forget_all();
    context::registry::all().for_each(|context| context.recent.clear());
}

/// See [`crate::order_graph`].
pub(crate) fn order_graph() -> OrderGraph {
    inside(|| graph::lock().snapshot())
}

/// See [`crate::stats`].
pub(crate) fn stats() -> Stats {
    let edges = inside(|| graph::lock().edges());
    Stats { locks: Identity::count(), edges, cut_short: ledger::cut_short() }
}

/// Returns what every thread holds and waits for. Threads are read one by one, while they run.
pub(crate) fn snapshot() -> Vec<ThreadSnapshot> {
    inside(monitor::snapshot::of_locks)
}

/// As [`snapshot`], with the operating system's state of all threads.
pub(crate) fn snapshot_of_all_threads() -> Vec<ThreadSnapshot> {
    inside(monitor::snapshot::all)
}
